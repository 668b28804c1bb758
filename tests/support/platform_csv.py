"""From made-up rounds and verdicts to a platform's CSV, through the arena's own collector."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import collect_platform
import records
from arena.weights import source
from reporting import analysis, columns, export
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
    """A platform CSV of this run, through the collector's own functions; its path. The analysis lies beside it."""
    found = records.write(directory, rounds, verdicts)
    cells = rounds_module.cells(found[0], found[1], "local", list(models), list(names))
    weights = dict.fromkeys(models, source.Weights("seeded (seed 7)", "0" * 64))
    rows = rows_module.rows(cells, "This machine", "eager", weights, labels=records.LABELS, **options)
    path = directory / "local.csv"
    analysis.write(analysis_of(path), rows)
    path.write_text(export.csv_text(rows), encoding="utf-8")
    return path


def analysis_of(table: Path) -> Path:
    """The analysis beside a platform CSV that ``own_csv`` made."""
    return table.with_suffix(".json")


def edit(table: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    """Let ``change`` edit the rows of an analysis in place, as if they had been measured so; the CSV's path."""
    path = analysis_of(table)
    told = json.loads(path.read_text(encoding="utf-8"))
    change(told["rows"])
    path.write_text(json.dumps(told), encoding="utf-8")
    return table


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
        "failures": directory / "failures.json",
        "analysis": directory / "local.json",
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
