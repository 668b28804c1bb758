"""What comes of a measuring process: how it ended and what it wrote, as fields of its round's record."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from arena import storage, tensors
from arena.contract import codec
from arena.contract.cell import Cell
from arena.contract.measured import Measured, Quality, Task
from arena.measuring import plausible, supervisor

Fields = dict[str, Any]  # keys of a Round with their JSON values


def ended(code: str, detail: str) -> Fields:
    """A failure and its reason, by their keys in the record."""
    return {"status": "failed", "reason": {"code": code, "detail": detail}}


def statuses(found: Fields) -> list[Fields]:
    """Whatever has a status and a reason: the process, its tasks, and the text that it was to predict."""
    return [found, *found["tasks"].values(), *filter(None, [found.get("quality")])]


def judge(ending: supervisor.Ending, stage: Path, cell: Cell, call: str | None = None) -> Fields:
    """Merge how the child ended with what it wrote, if that can be a measurement of ``cell``.

    ``call``: what it was in when a signal killed it, if that is known.

    A child that died after its inference was measured keeps those figures; the task during which
    it died is the one that failed.
    """
    blank: Fields = {"tasks": {}}
    try:
        measured = read_measured(stage / "result.json")
        plausible.check(measured, cell, ending.seconds)
        record: Fields = codec.encode(measured)
        for name in ("outputs", "gradients"):
            made = stage / f"{name}.safetensors"
            if os.path.lexists(made):
                plausible.check_file(made)
                plausible.check_types(name, tensors.load(made))
    except (OSError, ValueError) as error:
        if storage.fault(error, stage):
            raise storage.failed(stage, error) from error
        code, detail = ending.code or "bad-result", ending.detail or f"unreadable result: {error}"
        return blank | ended(code, detail.replace(f"{stage}{os.sep}", "")[:500])

    done = record.pop("stage")
    if ending.code is None and done != "done" and record["status"] == "ok":
        ending = supervisor.Ending("bad-result", f"ended by itself during {done}", ending.seconds)
    if ending.code is None or done == "done":
        return record
    inside = f", in {call}" if call and ending.code == "crashed" else ""
    failure = ended(ending.code, f"{ending.detail} during {done}{inside}")
    if done == "quality":
        return record | {done: codec.encode(codec.build(Quality, **failure))}
    if record["tasks"].get("inference", {}).get("status") != "ok":
        return record | blank | failure
    record["tasks"][done] = codec.encode(codec.build(Task, **failure))
    return record


def read_measured(path: Path) -> Measured:
    """What a process has left. Raises ContractError if that is no record, OSError if there is no such file."""
    if os.path.lexists(path):
        plausible.check_file(path)
    if path.stat().st_size > plausible.LARGEST_BYTES:
        raise codec.ContractError(f"{path}: larger than {plausible.LARGEST_BYTES:,} bytes")
    return codec.read(Measured, path)
