"""What a measuring process puts on record; the supervisor makes a round of it.

workflow/engines/arena/src/contract.rs says the same in Rust.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from arena.contract.cell import Reason, TaskName
from arena.contract.codec import ContractError, Count, Later

Status = Literal["ok", "failed", "unsupported"]


@dataclass(frozen=True, kw_only=True)
class Energy:
    """What a GPU consumed while inference repeated, idle power included."""

    joules: Annotated[float, "By the driver's counter"]
    seconds: Annotated[float, "From the first repetition to the end of the last"]
    iterations: Annotated[Count, "Repetitions"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task in one process. All but status and reason are null where it did not end well."""

    status: Annotated[Status, "How it ended"]
    reason: Annotated[Reason | None, "Why it is not ok"] = None
    compile_s: Annotated[float | None, "Seconds from preparing it to its first result"] = None
    warmup_ns: Annotated[list[Count] | None, "Nanoseconds of each iteration of the warm-up"] = None
    steady: Annotated[bool | None, "Whether the warm-up ended because its last iterations agreed"] = None
    samples_ns: Annotated[list[Count] | None, "Nanoseconds of each timed iteration, none discarded"] = None
    device_ns: Annotated[
        list[Count] | None, "The same by the device's own clock, where the framework tells"
    ] = None
    energy: Annotated[Energy | None, "Of inference, where the protocol asks and a GPU counts"] = None
    first_token_ns: Annotated[list[Count] | None, "Of decode: of each sample, until its first new token"] = (
        None
    )
    prompt_tokens: Annotated[Count | None, "Of decode: tokens of the prompt"] = None
    new_tokens: Annotated[Count | None, "Of decode: tokens generated"] = None

    def __post_init__(self) -> None:
        for name in ("compile_s", "warmup_ns", "steady", "samples_ns") if self.status == "ok" else ():
            if getattr(self, name) is None:
                raise ContractError(f"{name}: null, though the task is ok")


@dataclass(frozen=True, kw_only=True)
class Quality:
    """A text that the row has predicted, token by token, untimed: all but status and reason are null where it did not
    end well. What it predicted is in the tensors; docs/gate.md has what is made of them.
    """

    status: Annotated[Status, "How it ended"]
    reason: Annotated[Reason | None, "Why it is not ok"] = None
    tokens: Annotated[Count | None, "Tokens of the text whose probability was looked up"] = None
    loss: Annotated[
        float | None, "Mean of -log of their probabilities, in nats; null where it is not finite"
    ] = None
    seconds: Annotated[float | None, "That all of it took, with what the arena makes of the outputs"] = None

    def __post_init__(self) -> None:
        for name in ("tokens", "seconds") if self.status == "ok" else ():
            if getattr(self, name) is None:
                raise ContractError(f"{name}: null, though the text was predicted")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes. Peaks of the host are resident bytes of the process; those of a device are the framework's count."""

    baseline_bytes: Annotated[Count | None, "Resident before the weights were loaded"] = None
    inference_peak_bytes: Annotated[Count | None, "Most resident up to and during inference and latency"] = (
        None
    )
    decode_peak_bytes: Annotated[Count | None, "Most resident during decode"] = None
    training_peak_bytes: Annotated[Count | None, "Most resident during training"] = None
    device_inference_peak_bytes: Annotated[
        Count | None, "Most held on the device, up to the end of inference"
    ] = None
    device_latency_peak_bytes: Annotated[Count | None, "The same, up to the end of latency"] = None
    device_decode_peak_bytes: Annotated[Count | None, "The same, up to the end of decode"] = None
    device_training_peak_bytes: Annotated[Count | None, "The same, up to the end of training"] = None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one measuring process has measured so far. Written anew at every stage, so that a crash shows where."""

    status: Annotated[Status, "How it went, as far as the process itself can tell"]
    stage: Annotated[
        Literal["import", "load", "inference", "latency", "training", "decode", "quality", "done"],
        "What is being done",
    ]
    reason: Annotated[Reason | None, "Why it is not ok"] = None
    version: Annotated[str | None, "The framework's, as it says itself"] = None
    backend: Annotated[str | None, "What computes, in its words"] = None
    device: Annotated[str | None, "On what, in its words"] = None
    fallback: Annotated[
        str | None,
        "What of the framework it does without, because that fails here, and why; null for nothing",
        Later(),
    ] = None
    threads_reported: Annotated[Count | None, "Threads, as the framework reports them"] = None
    import_s: Annotated[float | None, "Seconds to import the framework; null for an engine"] = None
    load_s: Annotated[float | None, "Seconds to bring the weights from disk to host memory"] = None
    compile_s: Annotated[float | None, "That of inference"] = None
    first_output_monotonic_s: Annotated[
        float | None, "When the first inference was done, by the system's monotonic clock"
    ] = None
    network_attempts: Annotated[
        Count | None, "Packets that found no route; null where it has a network, or nobody counts"
    ] = None
    loss: Annotated[float | None, "Of the inference output; null where it is not finite"] = None
    training_loss: Annotated[float | None, "As the training step says; null where it is not finite"] = None
    memory: Annotated[Memory, "Peaks"] = field(default_factory=Memory)
    tasks: Annotated[dict[TaskName, Task], "What was measured, by task; one that was not begun is absent"] = (
        field(default_factory=dict)
    )
    quality: Annotated[
        Quality | None, "The text that it predicted; null where that was not asked for, or not begun", Later()
    ] = None
