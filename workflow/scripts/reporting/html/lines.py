"""Lines of the page's tables, and beside them the keys by which a browser filters, sorts and draws them.

A line is printed once, as HTML, by the template; the browser moves and hides finished lines. The keys are
compact: numbers for names that occur often, one letter for a mark.
"""

from __future__ import annotations

from typing import Any

from reporting import comparison, origins, quantities, views
from reporting import markdown as md
from reporting.columns import Row
from reporting.details import SERIES
from reporting.groups import Group, grouped
from reporting.quantities import Quantity

LETTERS = {
    views.BEST: "b",
    views.PLAIN: "p",
    views.CLOSE: "c",
    views.STRUCK: "s",
    views.FAILED: "f",
    views.ABSENT: "a",
}
VIEWS = ("compatible", "rigorous")
SAY = {views.BEST: "fastest", views.CLOSE: "close, not ranked", views.STRUCK: "wrong, not ranked"}


class Index(dict[str, int]):
    """Numbers for names, in order of appearance."""

    def number(self, name: str) -> int:
        return self.setdefault(name, len(self))


class Tables:
    """The lines of every table of the page, and the names that their keys number."""

    def __init__(self, own: list[Row], published: list[Row], evidence: dict[int, str]):
        """``evidence``: by ``id`` of a row, the name of its block of evidence."""
        self.groups = grouped(own, published)
        self.evidence = evidence
        self.sources = {key: mark for key, (mark, _) in comparison.sources(published).items()}
        self.platforms, self.frameworks, self.lanes = Index(), Index(), Index()
        self.marks: dict[int, tuple[views.Marks, views.Marks]] = {}
        for group in self.groups:
            pairs = zip(views.compatible(group.rows), views.rigorous(group.rows), strict=True)
            self.marks |= {id(row): pair for row, pair in zip(group.rows, pairs, strict=True)}

    def of_model(self, model: str) -> list[Group]:
        return [group for group in self.groups if group.model == model]

    def quantities(self, model: str) -> list[Quantity]:
        """The columns of a model's tables."""
        return quantities.of([row for group in self.of_model(model) for row in group.rows])

    def cells(self, model: str) -> dict[str, Any]:
        """The main table of a model: ``lines`` to print, ``keys`` for the browser."""
        named = self.quantities(model)
        columns = [quantity.column for quantity in named]
        lines: list[dict[str, Any]] = []
        keys: dict[str, Any] = {name: [] for name in ("platform", "framework", "lane", "loss")}
        keys |= {name: {column: [] for column in columns} for name in ("value", "mark", "strict")}
        keys |= {name: {column: {} for column in columns} for name in ("ends", "noisy")}
        # Lanes of one machine stand together.
        order = {name: number for number, name in enumerate(dict.fromkeys(g.platform for g in self.groups))}
        for group in sorted(self.of_model(model), key=lambda group: order[group.platform]):
            for row in group.rows:
                self._add_keys(keys, group, row, named, len(lines))
                lines.append(self._line(group, row, named))
        for name in ("mark", "strict"):
            keys[name] = {column: "".join(letters) for column, letters in keys[name].items()}
        if keys["strict"] == keys["mark"]:
            del keys["strict"]
        return {"lines": lines, "keys": keys}

    def _line(self, group: Group, row: Row, named: list[Quantity]) -> dict[str, Any]:
        compatible, rigorous = self.marks[id(row)]
        blank = row["status"] in ("failed", "unsupported")
        return {
            "platform": group.platform,
            "source": None if group.own else self.sources[comparison.source_of(row)],
            "framework": md.one_line(row["framework"]),
            "version": md.one_line(row["version"] or ""),
            "lane": shown_lane(group),
            "backend": backend(row),
            "status": row["status"],
            "evidence": self.evidence.get(id(row)),
            "figures": [
                figure(
                    row,
                    quantity,
                    compatible.get(quantity.column, views.ABSENT),
                    rigorous.get(quantity.column),
                )
                for quantity in named
            ],
            "loss": "" if blank else comparison.loss(row | {"status": "pass"}),
        }

    def _add_keys(
        self, keys: dict[str, Any], group: Group, row: Row, named: list[Quantity], number: int
    ) -> None:
        compatible, rigorous = self.marks[id(row)]
        self._add_names(keys, group, row)
        keys["loss"].append(row["loss"] if row["loss"] is not None and row["loss"] < float("inf") else None)
        for quantity in named:
            column = quantity.column
            keys["value"][column].append(row.get(column))
            keys["mark"][column].append(LETTERS[compatible.get(column, views.ABSENT)])
            keys["strict"][column].append(LETTERS[rigorous.get(column, views.ABSENT)])
            low, high = (row.get(end) for end in quantity.ends)
            if low is not None and high is not None:
                keys["ends"][column][number] = [low, high]
            if row.get(f"{quantity.task}_noisy"):
                keys["noisy"][column][number] = 1

    def _add_names(self, keys: dict[str, Any], group: Group, row: Row | None = None) -> None:
        keys["platform"].append(self.platforms.number(group.platform))
        keys["lane"].append(self.lanes.number(md.one_line(group.lane)))
        if row is not None:
            keys["framework"].append(self.frameworks.number(md.one_line(row["framework"])))

    def winners(self, groups: list[Group], named: list[Quantity]) -> dict[str, Any]:
        """Who is first in each column, a line for each group and, where they differ, each view of it."""
        lines: list[dict[str, Any]] = []
        keys: dict[str, Any] = {"platform": [], "lane": [], "view": []}
        for group in groups:
            both = []
            for number in (0, 1):
                marks = [self.marks[id(row)][number] for row in group.rows]
                both.append([winner(group.rows, marks, quantity) for quantity in named])
            shown = [("", both[0])] if both[0] == both[1] else list(zip(VIEWS, both, strict=True))
            for view, columns in shown:
                names = {"platform": group.platform, "model": group.model, "lane": shown_lane(group)}
                lines.append(names | {"own": group.own, "view": view, "columns": columns})
                self._add_names(keys, group)
                keys["view"].append(view)
        return {"lines": lines, "keys": keys}

    def differences(self) -> dict[str, Any]:
        """Cells of published rows that the two views show differently."""
        lines: list[dict[str, Any]] = []
        keys: dict[str, list[int]] = {"platform": [], "framework": [], "lane": []}
        for group in self.groups:
            for found in views.differences(group.rows):
                lines.append(
                    {
                        "platform": group.platform,
                        "model": group.model,
                        "framework": md.one_line(found.row["framework"]),
                        "column": found.quantity.heading,
                        "figure": found.quantity.form(found.row[found.quantity.column]),
                        "compatible": found.compatible,
                        "rigorous": found.rigorous,
                        "why": found.why,
                    }
                )
                self._add_names(keys, group, found.row)
        return {"lines": lines, "keys": keys}


def shown_lane(group: Group) -> str:
    """The precision, where it is worth a word."""
    return "" if group.lane in ("", "float32") else md.one_line(group.lane)


def backend(row: Row) -> str:
    """By which means the row computes, and the precision that its source asks for without a word."""
    return md.one_line(", ".join(filter(None, (row["backend"], origins.asks_for(row)))))


def figure(row: Row, quantity: Quantity, mark: str, strict: str | None) -> dict[str, Any]:
    """One figure: its text, its mark in both views, what to say of it."""
    blank = {views.FAILED: "✗", views.ABSENT: "—"}.get(mark)
    low, high = (row.get(end) for end in quantity.ends)
    noisy = bool(row.get(f"{quantity.task}_noisy")) and not blank
    moves = "" if blank else SERIES.get(row.get(f"{quantity.task}_series") or "", "")
    notes = [SAY.get(mark, ""), "noisy" if noisy else "", moves]
    return {
        "text": blank or quantity.form(row[quantity.column]),
        "mark": mark,
        "strict": strict if strict != mark else None,
        "noisy": noisy,
        "interval": "" if low is None or high is None or blank else md.interval(low, high),
        "notes": ", ".join(filter(None, notes)),
    }


def winner(rows: list[Row], marks: list[views.Marks], quantity: Quantity) -> dict[str, Any] | None:
    """The first of one column, and how far ahead of the next; None where nobody is."""
    by_mark: dict[str, list[Row]] = {}
    for row, mark in zip(rows, marks, strict=True):
        if row.get(quantity.column):
            by_mark.setdefault(mark[quantity.column], []).append(row)
    first, rest = (
        sorted(by_mark.get(mark, []), key=lambda row: row[quantity.column], reverse=quantity.more)
        for mark in (views.BEST, views.PLAIN)
    )
    if not first:
        return None
    point, low, high = quantities.lead(first[0], rest[0], quantity) if rest else (None, None, None)
    return {
        "names": [md.one_line(row["framework"]) for row in first],
        "figures": list(dict.fromkeys(quantity.form(row[quantity.column]) for row in first)),
        "ahead": "" if point is None else md.significant(point),
        "interval": "" if low is None or high is None else md.interval(low, high),
    }
