"""A model and its larger variants as curves: what each framework achieves as the work grows.

Numbers stand for names, as in the tables' keys. ``reporting/scale_axis.py`` has the same as a table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from reporting import markdown as md
from reporting import scale_axis
from reporting.document.types import Line, Model, Report
from reporting.html.lines import Tables
from reporting.marks import BEST, PLAIN

Place = tuple[int, int, int]  # machine, precision, framework
Work = tuple[float, str, int, int]  # operations, model, batch, sequence


def family(model: Model) -> str:
    """The model that this one varies; itself if it varies none."""
    return next((line.work.scale_of for line in model.lines if line.work.scale_of), model.name)


def data(tables: Tables, report: Report) -> dict[str, Any]:
    """By family of models, where a machine has ranked times of two of it or more:

    ``work``: [model, 10^9 operations of a forward pass, batch, sequence], the least first, null where it is not known;
    ``along``: by which of ``work``, ``batch`` and ``sequence`` it grows, while the other of the last two stays;
    ``curves``: [machine, precision, framework, {task: 10^12 operations a second}, their peak, joules of an inference],
    of the third and the last one for each of ``work``, null where nothing is ranked; null where neither is known.
    ``tables`` have printed the lines of the report's models before.
    """
    members: dict[str, list[Line]] = {}
    for model in (*report.models, *report.elsewhere):
        members.setdefault(family(model), []).extend(line for line in model.lines if _counts(line, tables))
    shown = {family(model) for model in report.models}
    found = {name: _family(tables, lines) for name, lines in members.items() if name in shown}
    return {name: each for name, each in found.items() if each["curves"]}


def _counts(line: Line, tables: Tables) -> bool:
    return bool(line.work.forward_flops) and line.machine in tables.platforms


def _family(tables: Tables, lines: Iterable[Line]) -> dict[str, Any]:
    work = sorted({_work(line) for line in lines})
    curves: dict[Place, dict[str, list[float | None]]] = {}
    energies: dict[Place, list[float | None]] = {}
    peaks: dict[Place, float | None] = {}
    for line in lines:
        place = (
            tables.platforms[line.machine],
            tables.lanes.number(md.one_line(line.lane)),
            tables.frameworks.number(md.one_line(line.cell.framework)),
        )
        at = work.index(_work(line))
        peaks.setdefault(place, line.work.peak_tflops)
        for task in scale_axis.FACTORS:
            rate = scale_axis.tflops(line.row, task)
            if rate and _ranked(line, task):
                curve = curves.setdefault(place, {}).setdefault(task, [None] * len(work))
                curve[at] = float(f"{rate:.3g}")
        joules = line.work.energy_j
        if joules and _ranked(line, "inference"):
            energies.setdefault(place, [None] * len(work))[at] = float(f"{joules:.3g}")
    kept = {
        place: {task: curve for task, curve in tasks.items() if sum(each is not None for each in curve) > 1}
        for place, tasks in curves.items()
    }
    return {
        "work": [
            [model, _giga(operations), batch or None, length or None]
            for operations, model, batch, length in work
        ],
        "along": along(work),
        "curves": [
            [*place, tasks, peaks[place], energies.get(place)] for place, tasks in kept.items() if tasks
        ],
    }


def _work(line: Line) -> Work:
    """A line's work, to be put in order; 0 for what is not known."""
    work = line.work
    return work.forward_flops or 0.0, line.cell.model, work.batch or 0, work.sequence or 0


def _giga(operations: float) -> float:
    return float(f"{operations / 1e9:.4g}")


def _ranked(line: Line, task: str) -> bool:
    told = line.figure(f"{task}_ms")
    return bool(told and told.mark in (BEST, PLAIN))


def along(work: Sequence[Work]) -> list[str]:
    """By what models grow: always by their ``work``, and by ``batch`` or ``sequence`` where that alone grows."""
    found = ["work"]
    for name, axis, other in (("batch", 2, 3), ("sequence", 3, 2)):
        known = {(each[other], each[axis]) for each in work if each[axis]}
        if max(Counter(same for same, _ in known).values(), default=0) > 1:
            found.append(name)
    return found
