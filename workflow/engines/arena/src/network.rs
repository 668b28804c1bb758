//! What this process's network namespace saw.

use std::fs;

/// How often a process of this namespace has tried to send where no route leads; none where the system does
/// not tell. In a namespace without any route that counts every attempt to reach a network.
pub fn unroutable_packets() -> Option<u64> {
    let four = fs::read_to_string("/proc/self/net/snmp").ok()?;
    let mut lines = four.lines().filter_map(|line| line.strip_prefix("Ip:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|name| name == "OutNoRoutes")?;
    let four: u64 = values.split_whitespace().nth(at)?.parse().ok()?;
    let six = fs::read_to_string("/proc/self/net/snmp6").unwrap_or_default();
    let six = six.lines().find_map(|line| line.strip_prefix("Ip6OutNoRoutes"));
    Some(four + six.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0))
}
