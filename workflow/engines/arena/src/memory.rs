//! Resident memory of this process, in bytes; Linux only, zero elsewhere.

use std::fs;

/// Resident set size.
pub fn resident_bytes() -> u64 {
    status("VmRSS:")
}

/// Make [`peak_bytes`] count from now.
pub fn reset_peak() {
    // Where the kernel forbids it the peak counts from the start of the process, as in Python.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Largest resident set size since [`reset_peak`].
pub fn peak_bytes() -> u64 {
    status("VmHWM:")
}

fn status(key: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
