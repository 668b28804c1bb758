"""A cell: everything that decides its figures; and a job: one round of it, with the files in and out.

The workflow compares a cell with the one that was measured, and measures it again if a key differs. What changes no
figure, such as a time limit or a label, is therefore no part of it. workflow/engines/arena/src/contract.rs says the
same in Rust.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from arena.contract.codec import Count, Later

TaskName = Literal["inference", "latency", "training", "decode"]
#: Whatever may fail of a cell that is otherwise measured: a task, or the text that round 1 predicts.
PartName = Literal["inference", "latency", "training", "decode", "quality"]


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why something did not work, or is not done."""

    code: Annotated[str, "A reason code, see docs/design.md"]
    detail: Annotated[str, "One sentence for the reader"]


@dataclass(frozen=True, kw_only=True)
class Warmup:
    """When warming up ends."""

    min_iterations: Annotated[Count, "Iterations at least"]
    min_seconds: Annotated[float, "Seconds at least"]
    max_seconds: Annotated[float, "Seconds after which the task is sampled though it is not steady"]
    window: Annotated[Count, "Of how many last iterations the durations must agree"]
    tolerance: Annotated[float, "By what share of the shortest of them they may differ"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """When sampling ends."""

    min_iterations: Annotated[Count, "Iterations at least"]
    min_seconds: Annotated[float, "Seconds at least"]
    max_seconds: Annotated[float, "Seconds after which no iteration starts"]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is measured, and how; config/README.md explains each key."""

    tasks: Annotated[list[TaskName], "What is asked of the cell, in this order"]
    warmup: Annotated[Warmup, "Of every task"]
    sampling: Annotated[Sampling, "Of every task"]
    exclusive: Annotated[bool, "Whether nothing else of this run is measured at the same time"]
    offline: Annotated[bool, "Whether the measuring process has no network, where the system allows that"]
    seed: Annotated[int, "Of the order of cells within a round"]
    energy_seconds: Annotated[float | None, "For how long inference repeats to count a GPU's energy"] = None
    node: Annotated[
        Literal["exclusive", "shared"] | None,
        "What a cluster's node is asked for; null on a machine of one's own",
    ] = None


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What is measured: one model in one row on one platform, with every setting that decides its figures."""

    platform: Annotated[str, "The platform's name in the configuration"]
    model: Annotated[str, "The model's name"]
    row: Annotated[str, "The row's id"]
    framework: Annotated[str, "The framework's id, of which the row is a variant"]
    lane: Annotated[str, "The numeric precision"]
    accelerator: Annotated[
        str, "The device: cpu, cuda, rocm, metal, xpu or vulkan, whatever the interface to it"
    ]
    interface: Annotated[
        str, "By which the row reaches the device, such as wgpu; often the accelerator's name"
    ]
    definition: Annotated[str, "The model's architecture: llama, action_expert, unet, resnet or whisper"]
    loss: Annotated[Literal["cross_entropy", "mse"], "With what the output is scored, and trained"]
    options: Annotated[dict[str, Any], "The row's options, for its adapter"]
    environment: Annotated[
        dict[str, str], "Variables of the measuring process; {threads} and {cache} are filled in"
    ]
    distribution: Annotated[str, "The framework's package: of its version and its size on disk"]
    libraries: Annotated[list[str], "Packages beside it that count to its size on disk"]
    threads: Annotated[Count, "Threads given; in a record, what a cluster's node left of those asked"]
    decode_tokens: Annotated[Count, "Tokens that task decode generates; 0 where the model does not"]
    protocol: Annotated[Protocol, "What is measured, and how"]
    unsupported: Annotated[
        Reason | None, "Why nothing of this cell runs, as far as that is known beforehand"
    ] = None
    unsupported_tasks: Annotated[
        dict[TaskName, Reason], "Tasks asked for that are not run, each with why"
    ] = field(default_factory=dict)
    predicts: Annotated[bool, "Whether round 1 also predicts the text of the model's workload", Later()] = (
        False
    )

    @property
    def name(self) -> tuple[str, str, str, str]:
        """What tells it from another: platform, model, row, and the lane in which it was measured."""
        return self.platform, self.model, self.row, self.lane

    def order_key(self, number: int) -> int:
        """Where the cell stands in round ``number``: a hash of 24 bits, so that adding a cell moves no other."""
        text = f"{self.protocol.seed}:{number}:{self.platform}:{self.model}:{self.row}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:3], "big")


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where a round's files are: what it reads, and what it writes."""

    weights: Annotated[Path, "model.safetensors"]
    config: Annotated[Path, "config.json, the architecture"]
    inputs: Annotated[Path, "inputs.safetensors"]
    cache: Annotated[Path, "Compiler caches: empty in round 1, round 1's in later rounds"]
    result: Annotated[Path, "Where the record goes"]
    outputs: Annotated[Path, "Where the tensors computed go"]
    gradients: Annotated[Path | None, "Where the gradients go; null in later rounds than the first"] = None
    export: Annotated[Path | None, "What the export step wrote for this framework"] = None
    decode_export: Annotated[Path | None, "The same for task decode, if it has a file of its own"] = None
    adapter: Annotated[Path | None, "Python file with the framework's Adapter; null for an engine"] = None
    program: Annotated[Path | None, "An engine's executable, which takes the place of measure.py"] = None
    build: Annotated[Path | None, "What build_engine.py recorded of it"] = None
    first: Annotated[Path | None, "Round 1's record; null in round 1"] = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a measuring process is told: one round of a cell. Paths are absolute."""

    cell: Annotated[Cell, "What is measured"]
    round: Annotated[int, "Which round, from 1"]
    files: Annotated[Files, "What it reads and writes"]
    offline: Annotated[
        bool, "Whether this process has no network, so that attempts to reach one can be counted"
    ]
