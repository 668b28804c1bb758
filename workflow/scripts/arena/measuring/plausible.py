"""Whether a process can have measured what it put on record: it may be an engine's own program, which writes anything.

The codec has looked at keys and types. Here figures are held against the job and against the process's life.
"""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from arena.contract.cell import Cell, Reason
from arena.contract.codec import ContractError
from arena.contract.measured import Measured, Quality, Task

#: A call that computes nothing takes longer, from Python and from Rust; a whole inference cannot take less.
LEAST_NS = 100
#: A process's life is taken by another process's clock, and its parts by its own.
SLACK_S = 1.0
LONGEST_TEXT = 1000
LARGEST_BYTES = 64_000_000  # of a record's file: four tasks of 100,000 samples of every kind take less
CODE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def check(record: Measured, cell: Cell, seconds: float) -> None:
    """Raise ContractError naming the key if ``record`` is none of ``cell`` by a process that lived ``seconds``."""
    for path, why in _faults(record, cell, seconds):
        raise ContractError(f"{path}: {why}")


def check_file(path: Path) -> None:
    """Raise ContractError for what is no file of its own: a pipe would be waited for, a link may lead anywhere."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise ContractError(f"{path.name}: no file")


def check_types(name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ContractError naming the tensor of the file ``name`` that holds no numbers that can be compared."""
    for key, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise ContractError(f"{name}.safetensors: {key}: expected floats or integers, got {array.dtype}")


def _faults(record: Measured, cell: Cell, seconds: float) -> Iterator[tuple[str, str]]:
    life = seconds + SLACK_S
    yield from _ended(record.status, record.reason, "")
    for name in ("version", "backend", "device"):
        yield from _short(getattr(record, name), name)
    for name in ("import_s", "load_s", "compile_s"):
        yield from _seconds(getattr(record, name), name, life)
    if record.first_output_monotonic_s is not None and record.first_output_monotonic_s > time.monotonic():
        yield "first_output_monotonic_s", f"{record.first_output_monotonic_s}, which is yet to come"
    asked = cell.protocol.tasks
    for name in record.tasks:
        if name not in asked:
            yield f"tasks.{name}", f"was not asked for; expected only {', '.join(asked)}"
    if record.status == "ok" and record.stage == "done":
        for name in asked:
            if name not in record.tasks:
                yield f"tasks.{name}", "missing, though the process is done"
    for name, task in record.tasks.items():
        yield from _task(task, f"tasks.{name}", name, cell, life)
    yield from _quality(record.quality, cell, life)
    spent = sum(sum(task.warmup_ns or ()) + sum(task.samples_ns or ()) for task in record.tasks.values())
    if spent > life * 1e9:
        yield "tasks", f"{spent / 1e9:.6g} s of iterations in a process of {seconds:.6g} s"


def _quality(text: Quality | None, cell: Cell, life: float) -> Iterator[tuple[str, str]]:
    if text is None:
        return
    if not cell.predicts:
        yield "quality", "was not asked for"
    yield from _ended(text.status, text.reason, "quality.")
    yield from _seconds(text.seconds, "quality.seconds", life)


def _task(task: Task, path: str, name: str, cell: Cell, life: float) -> Iterator[tuple[str, str]]:
    yield from _ended(task.status, task.reason, f"{path}.")
    if task.status != "ok":
        return
    yield from _seconds(task.compile_s, f"{path}.compile_s", life)
    samples = task.samples_ns or []
    if not samples:
        yield f"{path}.samples_ns", "empty, though the task is ok"
    for key in ("warmup_ns", "samples_ns"):
        for index, each in enumerate(getattr(task, key) or []):
            if each < LEAST_NS:
                yield f"{path}.{key}[{index}]", f"{each} ns; expected at least {LEAST_NS} of an iteration"
    for key in ("device_ns", "first_token_ns"):
        found = getattr(task, key)
        if found is not None and len(found) != len(samples):
            yield f"{path}.{key}", f"{len(found)} entries for {len(samples)} samples"
    for index, (first, whole) in enumerate(zip(task.first_token_ns or [], samples, strict=False)):
        if first > whole:
            yield f"{path}.first_token_ns[{index}]", f"{first} ns of a generation of {whole} ns"
    if name == "decode":
        if task.first_token_ns is None:
            yield f"{path}.first_token_ns", "null, though the task is ok"
        if task.new_tokens != cell.decode_tokens:
            yield f"{path}.new_tokens", f"{task.new_tokens}; expected {cell.decode_tokens}, as asked"
    energy = task.energy
    if energy and not (energy.joules >= 0 and 0 < energy.seconds <= life and energy.iterations > 0):
        yield f"{path}.energy", f"{energy.joules} J in {energy.seconds} s and {energy.iterations} iterations"


def _ended(status: str, reason: Reason | None, path: str) -> Iterator[tuple[str, str]]:
    """Why it did not end well is told, in a code and a sentence; where it did, there is nothing to tell."""
    if status == "ok":
        if reason is not None:
            yield f"{path}reason", "given, though the status is ok"
        return
    if reason is None:
        yield f"{path}reason", f"null, though the status is {status}"
        return
    if not CODE.fullmatch(reason.code):
        yield f"{path}reason.code", f"{reason.code[:50]!r}; expected words of a-z and 0-9 with dashes"
    yield from _short(reason.detail, f"{path}reason.detail")


def _short(text: str | None, path: str) -> Iterator[tuple[str, str]]:
    if text is not None and len(text) > LONGEST_TEXT:
        yield path, f"a text of {len(text)} characters; expected at most {LONGEST_TEXT}"


def _seconds(value: float | None, path: str, life: float) -> Iterator[tuple[str, str]]:
    if value is not None and not 0 <= value <= life:
        yield path, f"{value:.6g} s; expected between 0 and the process's {life:.6g}"
