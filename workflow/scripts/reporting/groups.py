"""Cells in groups that may be compared, ratios of their times, and what is found in them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from reporting import machines, views
from reporting import markdown as md
from reporting.columns import Row
from reporting.marks import RANKED
from reporting.quantities import Quantity

BETWEEN, ROUNDING, NONE = "95 %, between processes", "rounding of the figures", "none"


@dataclass(frozen=True)
class Ratio:
    """A ratio of two times with the ends of its interval."""

    point: float
    low: float
    high: float
    basis: str

    def inverse(self) -> Ratio:
        return Ratio(1 / self.point, 1 / self.high, 1 / self.low if self.low else math.inf, self.basis)


@dataclass(frozen=True)
class Group:
    """The rows of one machine, model and lane."""

    platform: str  # as readers see it
    model: str
    lane: str
    own: bool
    rows: list[Row]

    @property
    def evidence(self) -> str:
        """What a published table rests on (``reporting.standing``); empty for this run's."""
        return str(self.rows[0].get("evidence") or "")

    def ranked(self, column: str, more: bool = False) -> list[Row]:
        """Rows with right results and a figure, best first."""
        found = [row for row in self.rows if row["status"] in RANKED and row.get(column)]
        return sorted(found, key=lambda row: row[column], reverse=more)

    def where(self) -> str:
        return f"{self.platform}, {self.model}" + (
            f", {self.lane}" if self.lane not in ("", "float32") else ""
        )


@dataclass(frozen=True)
class Finding:
    """One sentence; ``estimate`` with ``low`` and ``high`` is its figure, ``cells`` where it comes from."""

    kind: str
    text: str
    own: bool  # whether the cells are this run's
    platform: str | None = None
    model: str | None = None
    task: str | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    basis: str = NONE
    cells: tuple[dict[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def grouped(own: list[Row], published: list[Row]) -> list[Group]:
    """Rows by machine, model and lane, in their order."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for rows, mine in ((own, True), (published, False)):
        for row in rows:
            found.setdefault((machines.key(row, mine), row["model"], row.get("lane") or "", mine), []).append(
                row
            )
    names = machines.named((key, row) for (key, *_), rows in found.items() for row in rows)
    return [Group(names[key], model, lane, mine, rows) for (key, model, lane, mine), rows in found.items()]


def cell(group: Group, row: Row, column: str) -> dict[str, Any]:
    """A reference to one figure."""
    return {
        "platform": group.platform,
        "model": group.model,
        "framework": row["framework"],
        "lane": group.lane,
        "column": column,
        "value": row.get(column),
    }


def ratio(upper: Row, lower: Row, column: str) -> Ratio:
    """Printed figure over printed figure, with the ends that their rounding allows."""
    (a, b), (c, d) = (views.rounding(column, row[column]) for row in (upper, lower))
    return Ratio(upper[column] / lower[column], a / d, b / c if c else math.inf, ROUNDING)


def stored(row: Row, name: str) -> Ratio | None:
    point, low, high = (row.get(name + end) for end in ("", "_low", "_high"))
    return None if point is None or low is None or high is None else Ratio(point, low, high, BETWEEN)


def times(value: Ratio) -> str:
    """A ratio with its interval in brackets."""
    return f"{md.significant(value.point)} ({md.interval(value.low, value.high)})"


def figure(row: Row, quantity: Quantity) -> str:
    """A framework with its figure in brackets."""
    return f"{row['framework']} ({quantity.form(row[quantity.column])} {quantity.unit})"


def baseline(rows: list[Row]) -> Row | None:
    """The row that the others are compared with: the CSV's baseline, else the one called PyTorch."""
    name = next((row["baseline"] for row in rows if row.get("baseline")), views.REFERENCE)
    return next((row for row in rows if row["framework"] == name and row["status"] in RANKED), None)


def of(
    group: Group, kind: str, text: str, task: str, value: Ratio | None, cells: tuple[dict[str, Any], ...]
) -> Finding:
    """A finding of one group, its figure a ratio."""
    found = Finding(kind, text, group.own, group.platform, group.model, task, cells=cells)
    if value is None:
        return found
    return replace(found, estimate=value.point, low=value.low, high=value.high, basis=value.basis)
