"""Data of a model's SVG figure: the document's figures of one machine as bars."""

from __future__ import annotations

from typing import Any

from reporting import markdown as md
from reporting import marks
from reporting.document.types import NOISY, Figure, Line, Model, by_group
from reporting.html import charts
from reporting.quantities import Quantity

STATES = {marks.BEST: charts.BEST, marks.PLAIN: charts.PLAIN}
SAY = {marks.STRUCK: ", wrong", marks.CLOSE: ", close"}


def bars(model: Model) -> dict[Quantity, list[dict[str, Any]]]:
    """Data of the figure by quantity: this run's lines of the first machine and lane. No compile times."""
    found: dict[Quantity, list[dict[str, Any]]] = {}
    for line in next(iter(by_group(model.of(own=True))), []):
        for each in line.figures:
            if each.shown and each.value and each.quantity.column != "compile_s":
                found.setdefault(each.quantity, []).append(_bar(line, each))
    return found


def _bar(line: Line, told: Figure) -> dict[str, Any]:
    value = told.value
    low, high = told.interval or (value, value)
    noisy = " ~" if NOISY in told.notes else ""
    return {
        "framework": md.one_line(line.cell.framework),
        "value": value,
        "low": low,
        "high": high,
        "state": STATES.get(told.mark, charts.OFF),
        "label": f"{told.text} {told.quantity.unit}{noisy}{SAY.get(told.mark, '')}",
    }
