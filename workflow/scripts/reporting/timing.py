"""The figures of a task's timed iterations, and the ratios between cells."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from arena.contract.cell import TaskName
from arena.contract.round import Round
from reporting import series, statistics
from reporting.columns import Row
from reporting.fields import flag, six
from reporting.intervals import worth
from reporting.intervals.model import Figure, Model, is_first
from reporting.outcome import task_status
from reporting.rounds import RecordedCell
from reporting.statistics import Summary

RANKED = "pass"
JUDGED_WELL = ("pass", "close")

Key = tuple[str, str]  # model, row


@dataclass(frozen=True)
class Timed:
    """One task, or part of one, of all cells that did it: each one's samples in short, and the model of them all."""

    summaries: dict[Key, Summary]
    model: Model[Key]


def key(cell: RecordedCell) -> Key:
    """What names a cell of one platform."""
    return cell.model, cell.row


def samples(cell: RecordedCell, task: TaskName) -> list[np.ndarray] | None:
    """The timed iterations of every round, in nanoseconds; None if the task is not ok throughout."""
    if task_status(cell, task)[0] != "ok":
        return None
    return [np.asarray(record.tasks[task].samples_ns) for record in cell.rounds]


def timed(
    cells: list[RecordedCell], task: TaskName, of_cell: Callable[[RecordedCell], list[np.ndarray] | None]
) -> Timed:
    """``of_cell`` gives a cell's vectors of nanoseconds, one a round, or None.

    Raises ValueError naming the cell's directory and the task if a duration is no duration.
    """
    summaries: dict[Key, Summary] = {}
    lanes: dict[Key, str] = {}
    rounds: dict[Key, list[Hashable]] = {}
    for cell in cells:
        found = of_cell(cell)
        if found is None:
            continue
        try:
            summaries[key(cell)] = statistics.summary(found)
        except ValueError as error:
            raise ValueError(f"{cell.paths[0].parent}: {task}: {error}; measure the cell again") from error
        lanes[key(cell)], rounds[key(cell)] = cell.rounds[0].cell.lane, cell.blocks
    return Timed(summaries, Model({name: each.medians for name, each in summaries.items()}, lanes, rounds))


def timings(cell: RecordedCell, task: TaskName, found: Timed) -> Row:
    """The figures of one task; only its status and reason where it has none."""
    state, reason = task_status(cell, task)
    row: Row = {f"{task}_status": state, f"{task}_reason": reason}
    if key(cell) not in found.summaries:
        return row
    summary, time = found.summaries[key(cell)], found.model.time(key(cell))
    figures = {
        "ms": time.point,
        "low_ms": time.low,
        "high_ms": time.high,
        "p95_ms": summary.p95,
        "min_ms": summary.min,
        "iqr_ms": summary.iqr,
    }
    results = [record.tasks[task] for record in cell.rounds]
    return (
        row
        | _seconds(cell, task, found.model.spread(key(cell)))
        | {
            f"{task}_{name}": None if value is None else round(value / 1e6, 6)
            for name, value in figures.items()
        }
        | {
            f"{task}_samples": summary.samples,
            f"{task}_noisy": flag(summary.noisy),
            f"{task}_steady": flag(all(result.steady for result in results)),
            f"{task}_series": series.of_cell(
                (result.warmup_ns or [], result.samples_ns or []) for result in results
            ),
        }
    )


def _lived(record: Round) -> float:
    """Seconds of a process, without those of the text that round 1 alone predicts."""
    return record.duration_s - ((record.quality and record.quality.seconds) or 0.0)


def _seconds(cell: RecordedCell, task: TaskName, variance: float | None) -> Row:
    """Seconds of samples in a process, and those that are worth it."""
    taken = [np.asarray(record.tasks[task].samples_ns, dtype=np.float64) for record in cell.rounds]
    found = worth.cost(taken, list(map(_lived, cell.rounds)), variance)
    most = cell.rounds[0].cell.protocol.sampling.max_seconds
    return {
        f"{task}_sampled_s": six(float(np.mean([samples.sum() for samples in taken])) / 1e9),
        f"{task}_worth_s": found and six(min(found.worth * found.sample_s, max(most, found.sample_s))),
    }


def add_ratios(
    rows: dict[Key, Row], task: TaskName, found: Timed, baseline: str, float32_rows: Mapping[str, str]
) -> None:
    """Add in place the ratios of one task to the baseline (any lane) and to the framework's float32 row."""
    for mine, row in rows.items():
        if mine not in found.summaries:
            continue
        model, own = mine
        bases = {"ratio": baseline, "float32_ratio": float32_rows.get(own)}
        for name, base in bases.items():
            theirs = (model, base or "")
            if theirs in found.summaries and rows[theirs]["status"] in JUDGED_WELL:
                _store(row, f"{task}_{name}", found.model.ratio(mine, theirs))


def add_first(rows: dict[Key, Row], name: str, found: Timed, least_difference: float) -> None:
    """Add in place, in the columns ``{name}_to_best…`` and ``{name}_first``, the ratios to the fastest passing
    row of each model and lane, and who shares the first place with it.
    """
    groups: dict[tuple[str, str], list[Key]] = {}
    for each, row in rows.items():
        if each in found.summaries and row["status"] == RANKED:
            groups.setdefault((row["model"], row["lane"]), []).append(each)
    for members in groups.values():
        for each, ratio in found.model.to_best(members).items():
            _store(rows[each], f"{name}_to_best", ratio)
            rows[each][f"{name}_first"] = flag(is_first(ratio, least_difference))


def _store(row: Row, name: str, ratio: Figure) -> None:
    row |= {name: six(ratio.point), f"{name}_low": six(ratio.low), f"{name}_high": six(ratio.high)}
