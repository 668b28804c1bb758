"""Keys of a table's lines that the overview needs: why a figure is missing or does not count, and costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reporting import markdown as md
from reporting import trade_offs
from reporting.document.types import Line, by_group
from reporting.marks import BEST, PLAIN

if TYPE_CHECKING:
    from reporting.html.lines import Index

LONGEST = 300  # characters of a reason; the cell's panel has all of it
RANKED = (BEST, PLAIN)


def keys(lines: Sequence[Line], texts: Index) -> dict[str, Any]:
    """Of these lines, by their number: ``why`` a figure is not ranked, one reason for the whole line, and
    ``columnWhy``, of a column that has another (both as numbers of ``texts``); ``cost`` by what it costs
    (``reporting.trade_offs.COSTS``).
    """
    why: dict[int, int] = {}
    column_why: dict[str, dict[int, int]] = {}
    cost: dict[str, dict[int, float]] = {}
    for number, line in enumerate(lines):
        for told in line.figures:
            if told.mark in RANKED and told.strict in RANKED:
                continue
            text = texts.number(short(told.why if told.mark not in RANKED else told.strict_why))
            if why.setdefault(number, text) != text:
                column_why.setdefault(told.quantity.column, {})[number] = text
    numbers = {id(line.row): number for number, line in enumerate(lines)}
    for group in by_group(lines):
        rows = [line.row for line in group]
        for row, costs in zip(rows, trade_offs.costs(rows), strict=True):
            for name, value in costs.items():
                cost.setdefault(name, {})[numbers[id(row)]] = float(f"{value:.4g}")
    return {"why": why, "columnWhy": column_why, "cost": cost}


def short(text: str) -> str:
    """The text on one line, cut at LONGEST."""
    line = md.one_line(text)
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
