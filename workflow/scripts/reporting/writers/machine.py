"""report.json: the document for machines, and what changed since the last one."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

from arena import files
from reporting import changes, versions
from reporting.columns import BEHIND, REQUIRED, Row
from reporting.document.types import Figure, Line, Model, Report

SCHEMA = 2


def content(report: Report, previous: dict[str, Any] | None) -> dict[str, Any]:
    """The content of report.json, without NaN or infinities (workflow/schemas/report.schema.json).

    ``previous`` is the last report's, as ``read_previous`` gives it.
    """
    own = report.own
    return {
        "schema": SCHEMA,
        "measured": max((row["date"] for row in own if row["date"]), default=None),
        "commits": sorted({row["commit"] for row in own if row["commit"]}),
        "models": [_model(model) for model in report.models],
        "elsewhere": [_model(model) for model in report.elsewhere],
        "findings": [plain(finding.as_dict()) for finding in report.findings],
        "differences": [
            {name: line.row[name] for name in ("platform", "model", "framework")}
            | {
                "column": each.quantity.column,
                "compatible": each.mark,
                "rigorous": each.strict,
                "why": each.strict_why,
            }
            for line, each in report.differences()
        ],
        "changes": _changes(report, previous),
        "badges": {"gate": _badge(own)},
    }


def _model(model: Model) -> dict[str, Any]:
    facts = {"name": model.name, "title": model.title, "url": model.url, "weights": model.weights}
    return facts | {"lines": [_line(line) for line in model.lines]}


def _line(line: Line) -> dict[str, Any]:
    told: dict[str, Any] = {
        "own": line.own,
        "machine": line.machine,
        "figures": list(map(_figure, line.all_figures)),
    }
    told |= {"source": {"files": list(line.source.files), "command": line.source.command}}
    return told | {"row": _facts(line.row)}


def _facts(row: Row) -> dict[str, Any]:
    """The columns of a row; what stands behind it is the line's source."""
    return {key: value for key, value in plain(row).items() if key not in BEHIND}


def _figure(told: Figure) -> dict[str, Any]:
    low, high = told.interval or (None, None)
    figure = plain(
        {
            "column": told.quantity.column,
            "value": told.value if told.shown else None,
            "low": low if told.shown else None,
            "high": high if told.shown else None,
            "mark": told.mark,
            "why": told.why or None,
            "notes": list(told.notes) or None,
        }
    )
    if told.strict != told.mark:
        figure |= {"strict": told.strict, "strict_why": told.strict_why}
    return figure


def plain(record: dict[str, Any]) -> dict[str, Any]:
    """The record without what is unknown; infinite numbers as the text ∞."""
    return {
        key: "∞" if isinstance(value, float) and math.isinf(value) else value
        for key, value in record.items()
        if value is not None
    }


def _badge(own: list[Row]) -> dict[str, Any]:
    """Cells that pass, of those that are not unsupported, as shields.io reads it."""
    counts = Counter(row["status"] for row in own)
    passed, judged = counts["pass"], len(own) - counts["unsupported"]
    return {
        "schemaVersion": 1,
        "label": "arena",
        "message": f"{passed} of {judged} cells pass",
        "color": "brightgreen" if passed == judged else "orange" if passed else "red",
    }


def read_previous(path: Path) -> dict[str, Any] | None:
    """The report.json of the last report, or None if there was none, or one of another schema."""
    if not path.exists() or not path.stat().st_size:
        return None
    previous = files.read_json(path)
    return previous if isinstance(previous, dict) and previous.get("schema") == SCHEMA else None


def _changes(report: Report, previous: dict[str, Any] | None) -> dict[str, Any] | None:
    """What changed since the last report whose figures were other ones; None if there was none."""
    if previous is None:
        return None
    old = [line["row"] for model in previous["models"] for line in model["lines"] if line["own"]]
    own = [line.row for model in report.models for line in model.lines if line.own]
    if old == [_facts(row) for row in own]:
        known: dict[str, Any] | None = previous["changes"]
        return known
    before = [_whole(row) for row in old]
    cells = changes.compare(before, own)
    return {
        "since": {"measured": previous["measured"], "commits": previous["commits"]},
        "versions": [each.as_dict() for each in versions.moved(before, own)],
        "cells": [plain(change.as_dict()) for change in cells if change.kind != changes.SAME],
        "same": sum(change.kind == changes.SAME for change in cells),
    }


def _whole(row: dict[str, Any]) -> Row:
    """A row of report.json as the tables have it."""
    return dict.fromkeys(column.name for column in REQUIRED) | row
