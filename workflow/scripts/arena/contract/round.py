"""A round: what one process of one cell measured, under which conditions, and with what. One file each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from arena.contract import codec
from arena.contract.build import Build
from arena.contract.cell import Cell, Reason, TaskName
from arena.contract.codec import Count, Later
from arena.contract.limits import Limits
from arena.contract.measured import Memory, Quality, Status, Task


@dataclass(frozen=True, kw_only=True)
class Order:
    """Where the round stood in the shuffled order of its number."""

    seed: Annotated[int, "Of the shuffle"]
    key: Annotated[Count, "Of two cells, that with the larger key is measured first"]


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A card and its driver."""

    name: Annotated[str | None, "As the driver says"] = None
    index: Annotated[
        Count | None, "Its number among the host's cards, from 0, by the driver's count", Later()
    ] = None
    uuid: Annotated[str | None, "As the driver says"] = None
    driver: Annotated[str | None, "Its version"] = None
    cuda_driver: Annotated[str | None, "The CUDA version up to which the driver goes"] = None
    memory_bytes: Annotated[Count | None, "Of the card"] = None
    power_limit_w: Annotated[float | None, "Watts at most"] = None
    max_sm_mhz: Annotated[Count | None, "Clock at most"] = None


@dataclass(frozen=True, kw_only=True)
class GpuState:
    """A card at one moment."""

    sm_mhz: Annotated[Count | None, "Clock of the processors"] = None
    memory_mhz: Annotated[Count | None, "Clock of the memory"] = None
    power_w: Annotated[float | None, "Power drawn"] = None
    celsius: Annotated[Count | None, "Temperature"] = None
    throttle: Annotated[list[str] | None, "What keeps the clock from rising"] = None
    used_bytes: Annotated[Count | None, "Memory in use, by whomever"] = None


@dataclass(frozen=True, kw_only=True)
class GpuWatch:
    """A card while the process ran, looked at every second; gauges are [least, median, largest]."""

    looks: Annotated[Count, "How often it was looked at"]
    sm_mhz: Annotated[list[float] | None, "Clock of the processors"] = None
    memory_mhz: Annotated[list[float] | None, "Clock of the memory"] = None
    power_w: Annotated[list[float] | None, "Power drawn"] = None
    celsius: Annotated[list[float] | None, "Temperature"] = None
    throttle: Annotated[dict[str, Count], "In how many looks each reason kept the clock from rising"]
    process_bytes: Annotated[Count | None, "Most that the process held, if the driver named it"] = None
    rise_bytes: Annotated[int | None, "Most by which the memory in use exceeded that at the start"] = None
    others: Annotated[dict[str, Count], "Most that each other process held, by its id"]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the process ran on."""

    cpu: Annotated[str, "The processor's name"]
    cpu_family: Annotated[
        Count | None, "The processor's family, by CPUID; null where Linux tells none", Later()
    ] = None
    cpu_model: Annotated[Count | None, "Its model, likewise", Later()] = None
    cpu_stepping: Annotated[Count | None, "Its stepping, likewise", Later()] = None
    logical_cores: Annotated[Count | None, "Hyper-threads counted"] = None
    physical_cores: Annotated[Count | None, "Of the machine"] = None
    usable_physical_cores: Annotated[Count | None, "Those on which the process may run"] = None
    cpus: Annotated[
        list[Count] | None,
        "CPUs on which it may run, by their numbers; null where the system tells none",
        Later(),
    ] = None
    memory_bytes: Annotated[
        Count | None, "Of the machine; where control groups leave less of it to the process, that"
    ] = None
    architecture: Annotated[str | None, "x86_64, aarch64, arm64, …"] = None
    kernel: Annotated[str | None, "Name and release"] = None
    os: Annotated[str | None, "Its own name for itself"] = None
    python: Annotated[str | None, "Version of the supervisor's"] = None
    hostname: Annotated[str | None, "Not published"] = None
    gpu: Annotated[Gpu | None, "The NVIDIA card that CUDA calls device 0"] = None


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Counters of the machine at one moment."""

    load_1min: Annotated[float, "Load average of the last minute"]
    cpu_seconds: Annotated[float, "Of all cores, idle ones included"]
    steal_seconds: Annotated[float, "Given to others by the hypervisor"]
    throttle_events: Annotated[Count | None, "Thermal throttling counted by the kernel"] = None
    oom_kills: Annotated[Count | None, "Processes that the kernel killed for want of memory"] = None
    gpu: Annotated[GpuState | None, "The card"] = None
    gpu_processes: Annotated[dict[str, Count | None], "Bytes held on the card, by process id"]


@dataclass(frozen=True, kw_only=True)
class During:
    """What was seen while the process ran."""

    gpu: Annotated[GpuWatch | None, "The card, on platforms that compute on one"] = None


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """What disturbed the time between two snapshots."""

    steal: Annotated[float, "Share of the CPU time that the hypervisor gave to others"]
    load_before: Annotated[float, "Load average before the process started"]
    throttle_events: Annotated[int | None, "Thermal throttling meanwhile"] = None
    gpu_processes: Annotated[dict[str, Count | None], "Bytes held on the card beforehand, by process id"]


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the machine was doing."""

    before: Annotated[Snapshot, "As the process was started"]
    during: Annotated[During, "While it ran"]
    after: Annotated[Snapshot, "When it had ended"]
    disturbance: Annotated[Disturbance, "The difference"]


@dataclass(frozen=True, kw_only=True)
class OtherJobs:
    """Other jobs on a cluster's node; null where it cannot ask."""

    before: Annotated[Count | None, "As the process was started"] = None
    after: Annotated[Count | None, "When it had ended"] = None


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """What Slurm gave to the job."""

    job: Annotated[str, "Its id"]
    name: Annotated[str | None, "The node's"] = None
    partition: Annotated[str | None, "Of the node"] = None
    cpus: Annotated[list[Count], "On which the process may run"]
    cpus_given: Annotated[Count | None, "How many Slurm gave"] = None
    pinned: Annotated[bool | None, "Whether the process may run on no more than Slurm gave"] = None
    gpus: Annotated[str | None, "Devices of the job, by the node's numbers"] = None


@dataclass(frozen=True, kw_only=True)
class Node:
    """A cluster's node; what it means for a cell is in docs/cluster.md."""

    use: Annotated[Literal["exclusive", "shared"], "Whether the job had the node to itself"]
    waited_s: Annotated[float, "For other measurements on the node to end"]
    monotonic_s: Annotated[list[float], "Begin and end, by the node's monotonic clock"]
    other_jobs: Annotated[OtherJobs, "Beside this one"]
    allocation: Annotated[Allocation | None, "Null outside a Slurm job"] = None
    gpu: Annotated[Gpu | None, "The card, where the platform computes on one"] = None


@dataclass(frozen=True, kw_only=True)
class Round:
    """One process of one cell, as ``round-{n}.json`` holds it."""

    schema: Annotated[Literal[2], "Of this record"] = 2
    cell: Annotated[Cell, "What was measured"]
    round: Annotated[int, "Which round, from 1"]
    status: Annotated[Status, "How it ended"]
    reason: Annotated[Reason | None, "Why it is not ok"] = None
    started: Annotated[str, "ISO 8601, UTC"]
    duration_s: Annotated[float, "Of the measuring process; 0 where none was started"] = 0.0
    order: Annotated[Order, "Where it stood in its round"]
    waited_s: Annotated[
        float | None, "For another measurement on this machine to end; null where none is waited for", Later()
    ] = None
    command: Annotated[list[str] | None, "What was started"] = None
    environment: Annotated[
        dict[str, str] | None, "All variables with which it was started; null where nothing was", Later()
    ] = None
    withheld: Annotated[
        list[str] | None, "The caller's variables that it was not given, by name", Later()
    ] = None
    limits: Annotated[Limits | None, "At which it was to be ended; null where none was started", Later()] = (
        None
    )
    version: Annotated[str | None, "The framework's"] = None
    backend: Annotated[str | None, "What computed, in the framework's words"] = None
    device: Annotated[str | None, "On what, in the framework's words"] = None
    fallback: Annotated[
        str | None,
        "What of the framework it did without, because that fails here, and why; null for nothing",
        Later(),
    ] = None
    threads_reported: Annotated[Count | None, "Threads, as the framework reports them"] = None
    packages: Annotated[dict[str, str], "Versions of all that the framework needs, by package or crate"]
    footprint_bytes: Annotated[
        Count | None,
        "Files of the framework, of all that it requires and of the cell's libraries, without byte code and without "
        "the tools that every environment shares; of an engine, its program",
    ] = None
    build: Annotated[Build | None, "Of an engine"] = None
    cold: Annotated[bool, "Whether compiler caches were empty, as in round 1"]
    cold_start_s: Annotated[float | None, "From the start of the process to its first inference output"] = (
        None
    )
    import_s: Annotated[float | None, "Seconds to import the framework; null for an engine"] = None
    load_s: Annotated[float | None, "Seconds to bring the weights from disk to host memory"] = None
    compile_s: Annotated[float | None, "That of inference"] = None
    offline: Annotated[bool | None, "Whether the process had no network; null where none was started"] = None
    network_attempts: Annotated[
        Count | None, "Packets that found no route; null where it had a network, or nobody counts"
    ] = None
    tasks: Annotated[dict[TaskName, Task], "What was measured, by task; one that was not begun is absent"]
    loss: Annotated[float | None, "Of the inference output; null where it is not finite"] = None
    training_loss: Annotated[float | None, "As the training step says; null where it is not finite"] = None
    quality: Annotated[
        Quality | None,
        "The text that round 1 predicted; null where that was not asked for, or not begun",
        Later(),
    ] = None
    memory: Annotated[Memory | None, "Peaks"] = None
    conditions: Annotated[Conditions | None, "What else the machine was doing"] = None
    machine: Annotated[Machine, "What it ran on"]
    node: Annotated[Node | None, "On platforms with a cluster"] = None
    commit: Annotated[str | None, "The arena's; ends in -dirty where files differed from it"] = None
    log_tail: Annotated[str | None, "The last lines that the process printed, where something failed"] = None

    def ok(self, task: str) -> bool:
        """Whether ``task`` was measured to its end."""
        return self.status == "ok" and task in self.tasks and self.tasks[task].status == "ok"


def read(path: Path) -> Round:
    """The round in a file. Raises ContractError naming file and key, and saying what to do."""
    try:
        return codec.read(Round, path)
    except codec.ContractError as error:
        raise codec.ContractError(f"{error}; delete the file and measure the round again") from error
