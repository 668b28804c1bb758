"""A model and its larger variants as curves: what each framework achieves as the work grows.

Numbers stand for names, as in the tables' keys. ``reporting/scale_axis.py`` has the same as a table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reporting import markdown as md
from reporting import scale_axis
from reporting.document.types import Line, Model, Report
from reporting.html.lines import Tables
from reporting.marks import BEST, PLAIN

Place = tuple[int, int, int]  # machine, precision, framework


def family(model: Model) -> str:
    """The model that this one varies; itself if it varies none."""
    return next((line.row["scale_of"] for line in model.lines if line.row.get("scale_of")), model.name)


def data(tables: Tables, report: Report) -> dict[str, Any]:
    """By family of models, where a machine has ranked times of two of it or more:

    ``work``: [model, 10^9 operations of a forward pass], the least first; ``curves``: [machine, precision, framework,
    {task: 10^12 operations a second, one for each of ``work``, null where nothing is ranked}]. ``tables`` have
    printed the lines of the report's models before.
    """
    members: dict[str, list[Line]] = {}
    for model in (*report.models, *report.elsewhere):
        members.setdefault(family(model), []).extend(line for line in model.lines if _counts(line, tables))
    shown = {family(model) for model in report.models}
    found = {name: _family(tables, lines) for name, lines in members.items() if name in shown}
    return {name: each for name, each in found.items() if each["curves"]}


def _counts(line: Line, tables: Tables) -> bool:
    return bool(line.row.get("forward_flops")) and line.machine in tables.platforms


def _family(tables: Tables, lines: Iterable[Line]) -> dict[str, Any]:
    work = sorted({(line.row["forward_flops"], line.row["model"]) for line in lines})
    curves: dict[Place, dict[str, list[float | None]]] = {}
    for line in lines:
        place = (
            tables.platforms[line.machine],
            tables.lanes.number(md.one_line(line.lane)),
            tables.frameworks.number(md.one_line(line.row["framework"])),
        )
        at = work.index((line.row["forward_flops"], line.row["model"]))
        for task in scale_axis.FACTORS:
            told = line.figure(f"{task}_ms")
            rate = scale_axis.tflops(line.row, task)
            if rate and told and told.mark in (BEST, PLAIN):
                curve = curves.setdefault(place, {}).setdefault(task, [None] * len(work))
                curve[at] = float(f"{rate:.3g}")
    kept = {
        place: {task: curve for task, curve in tasks.items() if sum(each is not None for each in curve) > 1}
        for place, tasks in curves.items()
    }
    return {
        "work": [[model, float(f"{operations / 1e9:.4g}")] for operations, model in work],
        "curves": [[*place, tasks] for place, tasks in kept.items() if tasks],
    }
