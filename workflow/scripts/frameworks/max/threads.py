"""How many threads MAX computes with: as many as the CPUs that the process may run on.

``InferenceSession(num_threads=…)`` looks like the way to say it, but whatever the count, MAX 26.7 ends the
process with "requesting different options to those used to create the existing CPUDevice": the session's own
constructor has made that device, with the default, before it reads the argument. Needs the standard library
only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TOPOLOGY = Path("/sys/devices/system/cpu")
TASKS = Path("/proc/self/task")


def confine(threads: int) -> None:
    """Let this process, and what it starts, run on ``threads`` CPUs only; before MAX's first call.

    Does nothing on macOS, which has no affinity: the record then shows what MAX chose.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, choose(os.sched_getaffinity(0), threads, TOPOLOGY))


def choose(cpus: Iterable[int], threads: int, topology: Path) -> set[int]:
    """The first ``threads`` of ``cpus``, one of each core before a second of any.

    ``topology`` is Linux's directory of CPUs; without it each CPU counts as a core.
    """
    cores: dict[str, list[int]] = {}
    for cpu in sorted(cpus):
        siblings = topology / f"cpu{cpu}" / "topology" / "thread_siblings_list"
        core = siblings.read_text(encoding="utf-8") if siblings.exists() else str(cpu)
        cores.setdefault(core, []).append(cpu)
    ranked = sorted((rank, cpu) for core in cores.values() for rank, cpu in enumerate(core))
    return {cpu for _, cpu in ranked[:threads]}


def workers() -> int | None:
    """MAX's worker threads in this process, by their name (🔥 Thread0); None where there are none to see."""
    names = [path.read_text(encoding="utf-8") for path in TASKS.glob("*/comm")]
    return sum("🔥" in name for name in names) or None
