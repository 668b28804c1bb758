"""Lines of the page's tables, and beside them the keys by which a browser filters, sorts and draws them.

A line is printed once, as HTML, by the template; the browser moves and hides finished lines. The keys are
compact: numbers for names that occur often, one letter for a mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reporting import markdown as md
from reporting import marks, origins
from reporting.columns import Row
from reporting.document.reasons import NOT_MEASURED
from reporting.document.types import NOISY, Figure, Line, Place, Report, by_group, place
from reporting.html import hints
from reporting.outcome import is_exact
from reporting.quantities import Quantity

LETTERS = {
    marks.BEST: "b",
    marks.PLAIN: "p",
    marks.CLOSE: "c",
    marks.STRUCK: "s",
    marks.FAILED: "f",
    marks.ABSENT: "a",
}
VIEWS = ("compatible", "rigorous")
SAY = {marks.BEST: "fastest", marks.CLOSE: "close, not ranked", marks.STRUCK: "wrong, not ranked"}


class Index(dict[str, int]):
    """Numbers for names, in order of appearance."""

    def number(self, name: str) -> int:
        return self.setdefault(name, len(self))


class Tables:
    """The lines of every table of the page, and the names that their keys number."""

    def __init__(self, report: Report, evidence: dict[int, str]):
        """``evidence``: by ``id`` of a row, the name of its block of evidence."""
        self.report = report
        self.evidence = evidence
        self.platforms, self.frameworks, self.lanes, self.texts = Index(), Index(), Index(), Index()

    def cells(self, lines: Sequence[Line], named: Sequence[Quantity]) -> dict[str, Any]:
        """The main table of a model: ``lines`` to print, ``keys`` for the browser."""
        columns = [quantity.column for quantity in named]
        keys: dict[str, Any] = {name: [] for name in ("platform", "framework", "lane", "loss")}
        keys |= {name: {column: [] for column in columns} for name in ("value", "mark", "strict")}
        keys |= {name: {column: {} for column in columns} for name in ("ends", "noisy")}
        for number, line in enumerate(lines):
            self._add_keys(keys, line, number)
        for name in ("mark", "strict"):
            keys[name] = {column: "".join(letters) for column, letters in keys[name].items()}
        if keys["strict"] == keys["mark"]:
            del keys["strict"]
        keys |= hints.keys(lines, self.texts)
        return {"lines": [self._line(line) for line in lines], "keys": keys}

    def _line(self, line: Line) -> dict[str, Any]:
        return {
            "platform": line.machine,
            "source": line.source_mark or None,
            "framework": md.one_line(line.cell.framework),
            "version": md.one_line(line.cell.version),
            "lane": shown_lane(line),
            "backend": backend(line.row),
            "fallback": line.row.get("fallback"),
            "status": line.cell.status,
            "evidence": self.evidence.get(id(line.row)),
            "figures": [figure(each) for each in line.figures],
            "loss": figure(line.loss) if line.loss.shown else None,
        }

    def _add_keys(self, keys: dict[str, Any], line: Line, number: int) -> None:
        self._add_names(keys, line)
        keys["framework"].append(self.frameworks.number(md.one_line(line.cell.framework)))
        loss = line.loss.value
        keys["loss"].append(loss if loss is not None and loss < float("inf") else None)
        for each in line.figures:
            column = each.quantity.column
            keys["value"][column].append(each.value)
            keys["mark"][column].append(LETTERS[each.mark])
            keys["strict"][column].append(LETTERS[each.strict])
            if each.interval:
                keys["ends"][column][number] = list(each.interval)
            if NOISY in each.notes:
                keys["noisy"][column][number] = 1

    def _add_names(self, keys: dict[str, Any], line: Line) -> None:
        keys["platform"].append(self.platforms.number(line.machine))
        keys["lane"].append(self.lanes.number(md.one_line(line.lane)))

    def winners(self, lines: Sequence[Line], named: Sequence[Quantity]) -> dict[str, Any]:
        """Who is first in each column, a line for each machine and lane of a model and, where they differ, each
        view of it.
        """
        found: list[dict[str, Any]] = []
        keys: dict[str, Any] = {"platform": [], "lane": [], "view": []}
        for group in by_group(lines):
            both = [
                [winner(place(group, quantity, strict)) for quantity in named] for strict in (False, True)
            ]
            shown = [("", both[0])] if both[0] == both[1] else list(zip(VIEWS, both, strict=True))
            for view, columns in shown:
                names = {
                    "platform": group[0].machine,
                    "model": group[0].cell.model,
                    "lane": shown_lane(group[0]),
                }
                found.append(names | {"own": group[0].own, "view": view, "columns": columns})
                self._add_names(keys, group[0])
                keys["view"].append(view)
        return {"lines": found, "keys": keys}

    def differences(self) -> dict[str, Any]:
        """Cells of published rows that the two views show differently, a line for those of a row that do so alike."""
        lines: list[dict[str, Any]] = []
        keys: dict[str, list[int]] = {"platform": [], "framework": [], "lane": []}
        alike: dict[tuple[object, ...], dict[str, Any]] = {}
        for line, each in self.report.differences():
            words = {"compatible": each.mark, "rigorous": each.strict, "why": each.strict_why}
            where = (id(line.row), *words.values())
            if where not in alike:
                names = {"platform": line.machine, "model": line.cell.model}
                names |= {"framework": md.one_line(line.cell.framework)}
                alike[where] = names | words | {"columns": [], "figures": []}
                self._add_names(keys, line)
                keys["framework"].append(self.frameworks.number(md.one_line(line.cell.framework)))
            alike[where]["columns"].append(each.quantity.heading)
            alike[where]["figures"].append(each.text)
        lines += alike.values()
        return {"lines": lines, "keys": keys}


def shown_lane(line: Line) -> str:
    """The precision, where it is worth a word."""
    return "" if line.lane in ("", "float32") else md.one_line(line.lane)


def backend(row: Row) -> str:
    """By which means the row computes, the precision that its source asks for without a word, and what is odd."""
    exact = "implausibly exact" if is_exact(row) else None
    return md.one_line(", ".join(filter(None, (row["backend"], origins.asks_for(row), exact))))


def figure(told: Figure) -> dict[str, Any]:
    """One figure: its text, its mark in both views, what to say of it, and why it is not ranked."""
    notes = [SAY.get(told.mark, ""), *(told.notes if told.shown else ())]
    silent = told.mark in (marks.BEST, marks.PLAIN) or told.why == NOT_MEASURED
    return {
        "text": told.text,
        "mark": told.mark,
        "strict": told.strict if told.strict != told.mark else None,
        "noisy": NOISY in told.notes and told.shown,
        "interval": md.interval(*told.interval) if told.interval and told.shown else "",
        "notes": ", ".join(filter(None, notes)),
        "why": "" if silent else told.why,
    }


def winner(first: Place | None) -> dict[str, Any] | None:
    """The first of one column, and how far ahead of the next; None where nobody is."""
    if first is None:
        return None
    point, low, high = first.ahead or (None, None, None)
    return {
        "names": [md.one_line(line.cell.framework) for line in first.lines],
        "figures": list(dict.fromkeys(each.text for each in first.figures)),
        "ahead": "" if point is None else md.significant(point),
        "interval": "" if low is None or high is None else md.interval(low, high),
    }
