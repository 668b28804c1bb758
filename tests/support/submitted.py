"""Submissions made up for tests: packed from records of a small run, and forged line by line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import records
import tolerances
from platform_csv import good
from reporting.submissions import packing

GATE = {"float32": tolerances.GATE}
MODEL = {
    "definition": "resnet",
    "loss": "cross_entropy",
    "architecture": {"depth": 2},
    "workload": {"batch": 1},
}
CONFIG = {"models": {"Tiny": MODEL}, "gate": GATE, "run": {"baseline": "eager"}}
CATALOGUE = {
    "models": {"Tiny": MODEL},
    "rows": {
        "eager": {"framework": "pytorch", "lane": "float32", "label": "PyTorch eager", "options": {}},
        "onnx": {"framework": "onnx", "lane": "float32", "label": "ONNX Runtime", "options": {"fast": True}},
    },
    "float32_rows": {},
    "work": {"Tiny": {"scale_of": None, "forward_flops": 1000}},
}
ROWS = {"eager": 40.0, "onnx": 10.0, "mine": 20.0}


def verdict(row: str, **changes: Any) -> dict[str, Any]:
    """The JSON of a verdict that its figures have; ``changes`` are figures of inference."""
    judged = records.verdict_record(row)
    judged["parts"]["inference"] |= {"loss": 6.0125, "printed_loss_error": 0.0} | changes
    return judged


def results(directory: Path, rounds: list[dict] | None = None, verdicts: list[dict] | None = None) -> Path:
    """A results directory with the records of three rows; its path."""
    if rounds is None:
        rounds = [record for row, time in ROWS.items() for record in good(row, time, rounds=2)]
    records.write(directory, rounds, [verdict(row) for row in ROWS] if verdicts is None else verdicts)
    (directory / "models/Tiny/config.json").write_text(json.dumps(MODEL["architecture"] | {"classes": 10}))
    return directory


def packed(directory: Path, **options: Any) -> str:
    """The text of a submission of these results."""
    return packing.packed(results(directory), "local", CONFIG, "My machine", "Somebody", **options)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def forged(text: str, edit: Callable[[list[dict[str, Any]]], Any]) -> str:
    """The submission after ``edit`` of its lines, with the sum that it then has: nothing but its content is wrong."""
    changed = lines(text)
    edit(changed)
    body = "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n" for line in changed[1:])
    changed[0]["sha256"] = hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
    return json.dumps(changed[0]) + "\n" + body


def of(changed: list[dict[str, Any]], kind: str, row: str = "eager", number: int = 1) -> dict[str, Any]:
    """The round or the verdict of a row, to be edited."""
    shared = changed[1]["shared"]
    for line in changed[2:]:
        if kind == "round" and kind in line:
            found = line[kind]
            if shared[found["cell"]]["row"] == row and found["round"] == number:
                return found
        if kind == "verdict" and kind in line and line[kind]["row"] == row:
            return line[kind]
    raise KeyError(kind, row, number)


def cell(changed: list[dict[str, Any]], row: str = "eager", number: int = 1) -> dict[str, Any]:
    """A copy of the row's cell that the round alone has, to be edited."""
    record = of(changed, "round", row, number)
    changed[1]["shared"].append(json.loads(json.dumps(changed[1]["shared"][record["cell"]])))
    record["cell"] = len(changed[1]["shared"]) - 1
    return changed[1]["shared"][-1]
