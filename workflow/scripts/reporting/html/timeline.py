"""Times of a model run by run: this run's and those in the tables of earlier ones (``reporting/history.py``).

Numbers stand for names, as in the tables' keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from arena.contract.cell import TaskName
from reporting import markdown as md
from reporting.columns import Row
from reporting.document.types import Line, Report
from reporting.html.lines import Tables
from reporting.marks import PLAIN, standing

TASKS: tuple[TaskName, ...] = ("inference", "training")
LOSS_AGREES = 0.01  # relative: of the same work and weights losses differ by far less, of others by far more
Point = tuple[int, float, str, str]  # number of the run, ms, version, day


def data(tables: Tables, report: Report, before: Mapping[str, Sequence[Sequence[Row]]]) -> dict[str, Any]:
    """By model and machine, where a framework was measured in two runs or more:

    ``days``: of the runs that measured something of it, the oldest first; ``curves``: [precision, framework,
    {task: points}], a point being [number of the run, ms] and, where it begins a version, that. ``before``: tables of
    earlier runs by the platform's name in the config, the oldest first. ``tables`` have printed the lines before.
    """
    runs = {platform: [*earlier, _present(report, platform)] for platform, earlier in before.items()}
    cells = {platform: list(map(_by_cell, rows)) for platform, rows in runs.items()}
    days = {platform: [_day(rows) for rows in found] for platform, found in runs.items()}
    result: dict[str, Any] = {}
    for model in report.models:
        lines: dict[str, list[Line]] = {}
        for line in model.of(own=True):
            lines.setdefault(line.cell.platform_id, []).append(line)
        for platform, members in lines.items():
            found = _machine(tables, members, cells.get(platform, []), days.get(platform, []))
            if found["curves"]:
                result.setdefault(model.name, {})[tables.platforms[members[0].machine]] = found
    return result


def of_cell(tables: Tables, past: Mapping[str, Any], line: Line) -> list[Any] | None:
    """Where ``data`` has a cell's own times: [model, machine, number of its curve]; None where it has none."""
    model, machine = line.cell.model, tables.platforms.get(line.machine, -1)
    place = [
        tables.lanes.get(md.one_line(line.lane), -1),
        tables.frameworks.get(md.one_line(line.cell.framework), -1),
    ]
    curves = past.get(model, {}).get(machine, {}).get("curves", [])
    return next(([model, machine, at] for at, each in enumerate(curves) if list(each[:2]) == place), None)


def _present(report: Report, platform: str) -> list[Row]:
    return [row for row in report.own if row.get("platform_id") == platform]


def _day(rows: Iterable[Row]) -> str:
    return max((row["date"] for row in rows if row.get("date")), default="")


def _cell(row: Row) -> tuple[str, ...]:
    return (row["platform"], row["model"], row.get("row") or row["framework"], row.get("lane") or "")


def _by_cell(rows: Iterable[Row]) -> dict[tuple[str, ...], Row]:
    return {_cell(row): row for row in rows}


def _machine(
    tables: Tables, lines: Iterable[Line], runs: Sequence[Mapping[tuple[str, ...], Row]], days: Sequence[str]
) -> dict[str, Any]:
    curves: list[tuple[int, int, dict[TaskName, list[Point]]]] = []
    for line in lines:
        rows = comparable([run.get(_cell(line.row)) for run in runs])
        tasks = {task: found for task in TASKS if len(found := points(rows, task)) > 1}
        if tasks:
            framework = tables.frameworks.number(md.one_line(line.cell.framework))
            curves.append((tables.lanes.number(md.one_line(line.lane)), framework, tasks))
    kept = sorted({each[0] for _, _, tasks in curves for found in tasks.values() for each in found})
    number = {run: at for at, run in enumerate(kept)}
    return {
        "days": [days[run] for run in kept],
        "curves": [
            [lane, framework, {task: _short(found, number) for task, found in tasks.items()}]
            for lane, framework, tasks in curves
        ],
    }


def comparable(rows: Sequence[Row | None]) -> list[Row | None]:
    """One cell's rows, run by run, None where its time may not be held against the newest that may be ranked.

    It may not where the row is not ranked, had other threads or another amount of work, or a loss that weights or
    inputs of another kind have.
    """
    ranked = [row if row and standing(row) == PLAIN else None for row in rows]
    newest = next((row for row in reversed(ranked) if row), None)
    return [row if row and newest and _is_like(row, newest) else None for row in ranked]


def _is_like(row: Row, newest: Row) -> bool:
    if any(row.get(name) != newest.get(name) for name in ("threads", "forward_flops")):
        return False
    ours, theirs = row.get("loss"), newest.get("loss")
    return ours is None or theirs is None or abs(ours - theirs) <= LOSS_AGREES * abs(theirs)


def points(rows: Sequence[Row | None], task: TaskName) -> list[Point]:
    """A task's measurements: a row that a run took over from the run before is none."""
    found: list[Point] = []
    for run, row in enumerate(rows):
        if row and (time := row.get(f"{task}_ms")):
            told = (float(f"{time:.4g}"), row.get("version") or "", row.get("date") or "")
            if not found or found[-1][1:] != told:
                found.append((run, *told))
    return found


def _short(found: Sequence[Point], number: Mapping[int, int]) -> list[list[Any]]:
    """Points for the browser, in three digits: the version only where it is another than before."""
    versions = ["", *(version for _, _, version, _ in found)]
    return [
        [number[run], _digits(time), *([md.one_line(version)] if version != versions[at] else [])]
        for at, (run, time, version, _) in enumerate(found)
    ]


def _digits(time: float) -> float:
    short = float(f"{time:.3g}")
    return int(short) if short.is_integer() else short
