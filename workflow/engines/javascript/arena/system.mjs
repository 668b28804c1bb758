/** What this process and its system say of themselves; memory and network on Linux only. */

import fs from "node:fs";

/** Nanoseconds by the system's monotonic clock, which the supervisor read when it started this process. */
export function monotonicNs() {
  return Number(process.hrtime.bigint());
}

/** Resident set size in bytes; zero where the system does not tell. */
export function residentBytes() {
  return status("VmRSS:");
}

/** Make `peakBytes` count from now. */
export function resetPeak() {
  try {
    fs.writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // Where the kernel forbids it the peak counts from the start of the process, as in Python.
  }
}

/** Largest resident set size in bytes since `resetPeak`. */
export function peakBytes() {
  return status("VmHWM:");
}

/** How often a process of this network namespace has tried to send where no route leads; null where the system does not
 * tell. In a namespace without any route that counts every attempt to reach a network.
 */
export function unroutablePackets() {
  const [names, values] = lines("/proc/self/net/snmp").filter((line) => line.startsWith("Ip:"));
  const at = names?.split(/\s+/).indexOf("OutNoRoutes") ?? -1;
  if (at < 0 || values === undefined) return null;
  const six = lines("/proc/self/net/snmp6").find((line) => line.startsWith("Ip6OutNoRoutes"));
  return Number(values.split(/\s+/)[at]) + Number(six?.split(/\s+/)[1] ?? 0);
}

function status(key) {
  const line = lines("/proc/self/status").find((each) => each.startsWith(key));
  return line ? Number(line.split(/\s+/)[1]) * 1024 : 0;
}

function lines(path) {
  try {
    return fs.readFileSync(path, "utf8").split("\n");
  } catch {
    return [];
  }
}
