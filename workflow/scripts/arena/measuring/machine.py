"""What the machine is, and what else it was doing. Linux in full; elsewhere what psutil can tell."""

from __future__ import annotations

import contextlib
import math
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from arena.measuring import cgroups, nvml

CPU_TOPOLOGY = Path("/sys/devices/system/cpu")
CPU_INFO = Path("/proc/cpuinfo")


def usable_threads(asked: int) -> int:
    """The thread count to give to every framework: ``asked``, but no more than the physical cores.

    Counts the physical cores that the process's affinity allows, bounded by the cgroups' CPU
    quotas; hyper-threads of one core count once, because float32 kernels gain nothing from them.
    """
    return max(1, min(asked, physical_cores(), _quota_cores()))


def physical_cores() -> int:
    """Physical cores in this process's affinity mask (at least 1)."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, cores_of(os.sched_getaffinity(0)))
    return psutil.cpu_count(logical=False) or psutil.cpu_count() or 1


def _core_of(cpu: int) -> tuple[str, str]:
    topology = CPU_TOPOLOGY / f"cpu{cpu}" / "topology"
    package, core = _read(topology / "physical_package_id"), _read(topology / "core_id")
    return (package, core) if package and core else ("cpu", str(cpu))


def confined_cpus(whole: set[int]) -> set[int] | None:
    """The CPUs to which threads of this process have been confined, together; None if its first thread is free.

    ``whole`` are those that it had at its start. A library that binds threads binds the first one too; threads
    that it has not bound are another's, and need not compute.
    """
    if sys.platform != "linux" or os.sched_getaffinity(os.getpid()) >= whole:
        return None
    bound = set()
    for path in Path("/proc/self/task").glob("*"):
        with contextlib.suppress(OSError):  # it may have ended meanwhile
            cpus = os.sched_getaffinity(int(path.name))
            bound |= cpus if cpus < whole else set()
    return bound


def own_cpus() -> set[int]:
    """The CPUs on which this process may run; empty where the system does not tell."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def cores_of(cpus: set[int]) -> int:
    """How many physical cores these CPUs are."""
    return len({_core_of(cpu) for cpu in cpus})


def _quota_cores() -> int:
    """Whole cores that the cgroups' CPU quotas allow; without a quota a very large number."""
    limit = cgroups.cpus()
    return max(1, math.floor(limit)) if limit is not None else 1_000_000


def memory_bytes() -> int:
    """Memory of the machine, or what the cgroups leave of it to this process, in bytes."""
    limits = [limit for limit, _ in cgroups.memory()]
    return min([psutil.virtual_memory().total, *limits])


def available_bytes() -> int:
    """Memory that is free to be used now, of the machine and of every cgroup of this process, in bytes."""
    return max(0, min([psutil.virtual_memory().available, *(free for _, free in cgroups.memory())]))


def facts() -> dict[str, Any]:
    """What the report says of the machine: CPU, cores, memory (bytes), kernel, OS, Python, NVIDIA GPU."""
    gpu = nvml.open_gpu()
    return {
        "cpu": cpu_name(),
        **cpu_numbers(),
        "logical_cores": psutil.cpu_count(),
        "physical_cores": psutil.cpu_count(logical=False),
        "usable_physical_cores": physical_cores(),
        "cpus": sorted(own_cpus()) or None,
        "memory_bytes": memory_bytes(),
        "architecture": platform.machine(),
        "kernel": f"{platform.system()} {platform.release()}",
        "os": _os_name(),
        "python": platform.python_version(),
        "hostname": platform.node(),
        "gpu": gpu and gpu.facts(),
    }


def cpu_name() -> str:
    """The processor's marketing name; at the least its architecture."""
    if name := _first_processor().get("model name"):
        return name
    if platform.system() == "Darwin":
        answer = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        if answer.stdout.strip():
            return answer.stdout.strip()
    return platform.processor() or platform.machine()


def cpu_numbers() -> dict[str, int | None]:
    """Family, model and stepping of the processor, as x86's CPUID tells Linux; each None where nobody tells it.

    They name the silicon where a hypervisor hides the model number in the processor's name.
    """
    told = _first_processor()
    names = {"cpu_family": "cpu family", "cpu_model": "model", "cpu_stepping": "stepping"}
    return {key: int(told[name]) if told.get(name, "").isdecimal() else None for key, name in names.items()}


def _first_processor() -> dict[str, str]:
    """What the kernel says of the first processor, by name in lower case; empty off Linux."""
    block, _, _ = (_read(CPU_INFO) or "").partition("\n\n")
    pairs = (line.partition(":") for line in block.splitlines())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _os_name() -> str:
    for line in (_read("/etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip('"')
    return platform.platform()


def conditions() -> dict[str, Any]:
    """Counters to be taken before and after a measurement; what they are is in ``disturbance``."""
    times, gpu = psutil.cpu_times(), nvml.open_gpu()
    return {
        "load_1min": os.getloadavg()[0],
        "cpu_seconds": sum(times) - getattr(times, "guest", 0) - getattr(times, "guest_nice", 0),
        "steal_seconds": getattr(times, "steal", 0.0),
        "throttle_events": _throttle_events(),
        "oom_kills": _oom_kills(),
        "gpu": gpu and gpu.snapshot(),
        "gpu_processes": {str(pid): held for pid, held in gpu.processes().items()} if gpu else {},
    }


def disturbance(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What disturbed the time between two ``conditions()``.

    ``steal``: share of CPU time that the hypervisor gave to others; ``throttle_events``: thermal
    throttling counted by the kernel, None where it does not tell; ``load_before``: 1-minute load average;
    ``gpu_processes``: bytes held on the GPU beforehand, by process id.
    """
    seconds = after["cpu_seconds"] - before["cpu_seconds"]
    throttles = [before["throttle_events"], after["throttle_events"]]
    return {
        "steal": (after["steal_seconds"] - before["steal_seconds"]) / seconds if seconds > 0 else 0.0,
        "load_before": before["load_1min"],
        "throttle_events": None if None in throttles else throttles[1] - throttles[0],
        "gpu_processes": before["gpu_processes"],
    }


def _throttle_events() -> int | None:
    counts = [_read(path) for path in CPU_TOPOLOGY.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")]
    return sum(int(count) for count in counts if count) if counts else None


def _oom_kills() -> int | None:
    for line in (_read("/proc/vmstat") or "").splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return None


def unroutable_packets() -> int | None:
    """How often a process of this network namespace has tried to send where no route leads, or None.

    In a namespace without any route that counts every attempt to reach a network (Linux, IPv4 and IPv6).
    """
    lines = [line.split() for line in (_read("/proc/self/net/snmp") or "").splitlines()]
    names, values = ([line for line in lines if line[0] == "Ip:"] + [[], []])[:2]
    if not values:
        return None
    six = dict(line.split() for line in (_read("/proc/self/net/snmp6") or "").splitlines())
    return int(values[names.index("OutNoRoutes")]) + int(six.get("Ip6OutNoRoutes", 0))


def resident_bytes() -> int:
    """Resident set size of this process, in bytes."""
    return psutil.Process().memory_info().rss


def reset_peak() -> bool:
    """Make ``peak_bytes`` count from now (Linux, ``/proc/self/clear_refs``); False where impossible."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_bytes() -> int:
    """Largest resident set size of this process since ``reset_peak`` (else since its start), in bytes.

    Linux: ``VmHWM``, not ``ru_maxrss``, which a child inherits from the process that started it.
    """
    for line in (_read("/proc/self/status") or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    import resource  # POSIX only, and needed only here

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def _read(path: str | os.PathLike[str]) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
