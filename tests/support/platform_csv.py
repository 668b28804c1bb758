"""From made-up rounds and verdicts to a platform's CSV, through the arena's own collector."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import collect_platform
import records
from reporting import columns
from reporting import rounds as rounds_module
from reporting import rows as rows_module


def good(row: str, milliseconds: float = 40.0, rounds: int = 3, **changes: Any) -> list[dict[str, Any]]:
    """Rounds of a cell that went well, each taking about so long; ``changes`` replace keys of every record."""
    return [
        records.round_record(row, number, milliseconds=milliseconds, **changes)
        for number in range(1, rounds + 1)
    ]


def own_csv(
    directory: Path,
    rounds: list[dict],
    verdicts: list[dict],
    names: Sequence[str] = ("eager", "compiled"),
    models: Sequence[str] = ("Tiny",),
    **options: Any,
) -> Path:
    """A platform CSV of this run, through the collector's own functions; its path."""
    found = records.write(directory, rounds, verdicts)
    cells = rounds_module.cells(found[0], found[1], "local", list(models), list(names))
    weights = dict.fromkeys(models, "seeded (seed 7)")
    rows = rows_module.rows(cells, "This machine", "eager", weights, labels=records.LABELS, **options)
    path = directory / "local.csv"
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns.NAMES)
        writer.writeheader()
        writer.writerows(rows)
    return path


def arguments(
    directory: Path,
    rounds: list[dict],
    verdicts: list[dict],
    rows: Sequence[str] = ("eager", "compiled"),
    models: Sequence[str] = ("Tiny",),
    **options: Any,
) -> list[str]:
    """Write these records; collect_platform.py's arguments for them."""
    files = dict(
        zip(("rounds", "validations", "sources"), records.write(directory, rounds, verdicts), strict=True)
    )
    plain = {
        "platform": "local",
        "label": "auto",
        "baseline": "eager",
        "retry": "my results/retry",
        "labels": json.dumps(records.LABELS),
        "out": directory / "local.csv",
    } | options
    command = ["--models", *models, "--rows", *rows]
    for name, paths in files.items():
        command += [f"--{name}", *paths]
    for name, value in plain.items():
        command += [f"--{name}", value]
    return list(map(str, command))


def collected(directory: Path, rounds: list[dict], verdicts: list[dict], **options: Any) -> dict[Any, dict]:
    """The CSV's rows by model and row id, or by row id alone if there is one model; as text."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["collect", *arguments(directory, rounds, verdicts, **options)])
        collect_platform.main()
    with open(directory / "local.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == list(columns.NAMES)
    if len({row["model"] for row in rows}) > 1:
        return {(row["model"], row["row"]): row for row in rows}
    return {row["row"]: row for row in rows}


def refusal(directory: Path, rounds: list[dict], verdicts: list[dict], **options: Any) -> str:
    """What the collector says when it refuses; it must write nothing."""
    with pytest.raises(SystemExit) as refused:
        collected(directory, rounds, verdicts, **options)
    assert not (directory / "local.csv").exists()
    return str(refused.value)
