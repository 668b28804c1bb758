"""The figures of a task's timed iterations, and the ratios between cells."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from arena.contract.cell import TaskName
from reporting import statistics
from reporting.columns import Row
from reporting.fields import flag, six
from reporting.outcome import task_status
from reporting.rounds import RecordedCell

RANKED = "pass"
JUDGED_WELL = ("pass", "close")


def samples(cell: RecordedCell, task: TaskName) -> list[np.ndarray] | None:
    """The timed iterations of every round, in nanoseconds; None if the task is not ok throughout."""
    if task_status(cell, task)[0] != "ok":
        return None
    return [np.asarray(record.tasks[task].samples_ns) for record in cell.rounds]


def timings(cell: RecordedCell, task: TaskName, seed: int) -> Row:
    """The figures of one task; only its status and reason where it has none."""
    state, reason = task_status(cell, task)
    row = {f"{task}_status": state, f"{task}_reason": reason}
    rounds = samples(cell, task)
    if rounds is None:
        return row
    try:
        summary = statistics.summary(rounds, seed)
    except ValueError as error:
        raise ValueError(f"{cell.paths[0].parent}: {task}: {error}; measure the cell again") from error
    figures = {
        "ms": summary.median,
        "low_ms": summary.low,
        "high_ms": summary.high,
        "p95_ms": summary.p95,
        "min_ms": summary.min,
        "iqr_ms": summary.iqr,
    }
    steady = all(record.tasks[task].steady for record in cell.rounds)
    return (
        row
        | {f"{task}_{name}": round(value / 1e6, 6) for name, value in figures.items()}
        | {
            f"{task}_samples": summary.samples,
            f"{task}_noisy": flag(summary.noisy),
            f"{task}_steady": flag(steady),
        }
    )


def add_ratios(
    cells: list[RecordedCell],
    rows: list[Row],
    task: TaskName,
    baseline: str,
    float32_rows: Mapping[str, str],
    seed: int,
) -> None:
    """Add in place the ratios to the baseline (any lane), to the framework's float32 row, and to the fastest
    passing row (same lane).
    """
    timed = {index: found for index, cell in enumerate(cells) if (found := samples(cell, task)) is not None}
    for model in dict.fromkeys(cell.model for cell in cells):
        mine = [index for index in timed if cells[index].model == model]
        for base in mine:
            if rows[base]["status"] not in JUDGED_WELL:
                continue
            for index in mine:
                against = functools.partial(statistics.ratio, timed[index], timed[base], seed)
                if cells[base].row == baseline:
                    _store(rows[index], f"{task}_ratio", against())
                if cells[base].row == float32_rows.get(cells[index].row):
                    _store(rows[index], f"{task}_float32_ratio", against())
        ranked = [index for index in mine if rows[index]["status"] == RANKED]
        for lane in dict.fromkeys(rows[index]["lane"] for index in ranked):
            group = {index: timed[index] for index in ranked if rows[index]["lane"] == lane}
            for index, ratio in statistics.ratios_to_best(group, seed).items():
                _store(rows[index], f"{task}_to_best", ratio)


def _store(row: Row, name: str, ratio: statistics.Ratio) -> None:
    row |= {name: six(ratio.point), f"{name}_low": six(ratio.low), f"{name}_high": six(ratio.high)}
