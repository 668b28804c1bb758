"""The page and its twin for machines: report.html and report.json, from the same rows and findings."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from arena import files
from reporting import changes, comparison, details, quantities, views
from reporting import markdown as md
from reporting.columns import REQUIRED, Row
from reporting.groups import Finding, grouped
from reporting.html import charts
from reporting.html.lines import Tables
from reporting.quantities import Quantity

SCHEMA = 1
KINDS = {
    "fastest": "Who is fastest, and by how much",
    "speed-up": "How the others stand to PyTorch",
    "first-places": "First places by maker of the machine",
    "compile": "What compile time buys",
    "footprint": "Size against speed",
    "precision": "What fewer bits gain and lose",
    "gate": "Wrong, doubtful or failed",
    "disagreement": "Where published figures and this run disagree",
}
LISTED = 60  # findings of one kind that are printed; report.json has all
ASSETS = ("state.js", "tables.js", "charts.js", "main.js")


def summary(
    own: list[Row], published: list[Row], found: list[Finding], previous: dict[str, Any] | None
) -> dict[str, Any]:
    """The content of report.json, without NaN or infinities (workflow/schemas/report.schema.json)."""
    rows = [_plain(row) | {"own": mine} for rows, mine in ((own, True), (published, False)) for row in rows]
    passed, judged = _passed(own)
    return {
        "schema": SCHEMA,
        "measured": max((row["date"] for row in own if row["date"]), default=None),
        "commits": sorted({row["commit"] for row in own if row["commit"]}),
        "models": list(dict.fromkeys(row["model"] for row in own)),
        "rows": rows,
        "findings": [_plain(finding.as_dict()) for finding in found],
        "differences": [
            {name: each.row[name] for name in ("platform", "model", "framework")}
            | {
                "column": each.quantity.column,
                "compatible": each.compatible,
                "rigorous": each.rigorous,
                "why": each.why,
            }
            for group in grouped([], published)
            for each in views.differences(group.rows)
        ],
        "changes": _changes(own, previous),
        "badges": {
            "gate": {
                "schemaVersion": 1,
                "label": "arena",
                "message": f"{passed} of {judged} cells pass",
                "color": "brightgreen" if passed == judged else "orange" if passed else "red",
            }
        },
    }


def _passed(own: list[Row]) -> tuple[int, int]:
    """Cells that pass, of those that are not unsupported."""
    counts = Counter(row["status"] for row in own)
    return counts["pass"], len(own) - counts["unsupported"]


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """The record without what is unknown; infinite numbers as the text ∞."""
    return {
        key: "∞" if isinstance(value, float) and math.isinf(value) else value
        for key, value in record.items()
        if value is not None
    }


def read_previous(path: Path) -> dict[str, Any] | None:
    """The report.json of the last report, or None if there was none, or one of another schema."""
    if not path.exists() or not path.stat().st_size:
        return None
    previous = files.read_json(path)
    return previous if isinstance(previous, dict) and previous.get("schema") == SCHEMA else None


def _changes(own: list[Row], previous: dict[str, Any] | None) -> dict[str, Any] | None:
    """What changed since the last report whose figures were other ones; None if there was none."""
    if previous is None:
        return None
    old = [row for row in previous["rows"] if row["own"]]
    if old == [_plain(row) | {"own": True} for row in own]:
        known: dict[str, Any] | None = previous["changes"]
        return known
    cells = changes.compare([_whole(row) for row in old], own)
    return {
        "since": {"measured": previous["measured"], "commits": previous["commits"]},
        "cells": [_plain(change.as_dict()) for change in cells if change.kind != changes.SAME],
        "same": sum(change.kind == changes.SAME for change in cells),
    }


def _whole(row: dict[str, Any]) -> Row:
    """A row of report.json as the tables have it."""
    return dict.fromkeys(column.name for column in REQUIRED) | row


def page(
    own: list[Row],
    published: list[Row],
    found: list[Finding],
    told: dict[str, Any],
    captions: dict[str, dict[str, Any]],
    evidence: tuple[dict[int, str], list[dict[str, Any]]],
    figures: dict[str, str],
    template: Path,
) -> str:
    """The whole page, its text escaped by the template.

    ``told`` is the ``summary``, ``evidence`` as ``evidence.collect`` gives it, ``figures`` are SVGs by model.
    """
    tables = Tables(own, published, evidence[0])
    models = [_model(tables, name, captions[name], own, figures.get(name)) for name in told["models"]]
    assets = template.parent / "html"
    scripts = [charts.runtime(), "\n".join((assets / name).read_text(encoding="utf-8") for name in ASSETS)]
    scripts = [text.replace("</script", r"<\/script").replace("<!--", r"<\!--") for text in scripts]
    mine, named = [group for group in tables.groups if group.own], quantities.of(own)
    kinds = {kind: [each for each in found if each.kind == kind] for kind in KINDS}
    view = {
        "style": (assets / "style.css").read_text(encoding="utf-8"),
        "scripts": scripts,
        "hashes": [_hash(text) for text in scripts],
        "quantities": named,
        "tally": details.tally(own),
        "told": told,
        "rounds": sorted({int(row["rounds"]) for row in own}),
        "glance": tables.winners(mine, named)["lines"],
        "models": models,
        "kinds": {KINDS[kind]: members for kind, members in kinds.items() if members},
        "listed": LISTED,
        "differences": tables.differences(),
        "sources": [
            {"mark": mark, "note": note} for mark, note in comparison.sources(published, str).values()
        ],
        "left_out": sorted({row["model"] for row in published} - set(told["models"])),
        "machines": _machines(own),
        "evidence": evidence[1],
    }
    data = {
        "quantities": [
            {"column": each.column, "title": each.title, "unit": each.unit, "more": each.more}
            for each in quantities.of([*own, *published])
        ],
        "specifications": charts.specifications(),
        "samples": {block["name"]: block["samples"] for block in evidence[1]},
        "names": {
            "platform": list(tables.platforms),
            "framework": list(tables.frameworks),
            "lane": list(tables.lanes),
        },
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"json": _json, "clean": md.one_line}
    return environment.get_template(template.name).render(view | {"data": data})


def _model(
    tables: Tables, name: str, caption: dict[str, Any], own: list[Row], figure: str | None
) -> dict[str, Any]:
    mine = [row for row in own if row["model"] == name]
    return {
        "name": name,
        "title": caption.get("title") or name,
        "url": caption.get("url"),
        "caveats": caption.get("caveats") or [],
        "weights": ", ".join(dict.fromkeys(row["weights"] for row in mine if row["weights"])),
        "quantities": tables.quantities(name),
        "winners": tables.winners(tables.of_model(name), tables.quantities(name)),
        "cells": tables.cells(name),
        "figure": figure,
    }


def _machines(own: list[Row]) -> list[dict[str, Any]]:
    """Facts of each machine of this run as (title, value)."""
    titles = {
        "id": "Name in the config", "cpu": "CPU", "device": "Device", "cores": "Physical cores",
        "memory_gb": "Memory (GB)", "threads": "Threads given", "kernel": "Kernel", "os": "Operating system",
        "python": "Python", "commit": "Arena commit", "dates": "Measured",
        "steal": "CPU time taken by the hypervisor, at most", "load": "Load before a round, at most",
    }  # fmt: skip
    return [
        {"platform": facts["platform"], "facts": [(title, facts[key]) for key, title in titles.items()]}
        for facts in details.machines(own)
    ]


def _hash(text: str) -> str:
    """The text's hash as a Content-Security-Policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _json(value: Any) -> Any:
    """JSON for a script element: nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return markupsafe.Markup(text.replace("<", r"\u003c"))


def _shown(value: Any) -> Any:
    return "" if value is None else str(value) if isinstance(value, md.Markdown) else value


def figure_rows(rows: list[Row]) -> dict[Quantity, list[dict[str, Any]]]:
    """Data of a model's figure by quantity: this run's rows of the first machine and lane."""
    found: dict[Quantity, list[dict[str, Any]]] = {}
    for group in grouped(rows, [])[:1]:
        for row, marks in zip(group.rows, views.compatible(group.rows), strict=True):
            for quantity in quantities.of(group.rows)[1:]:
                mark = marks[quantity.column]
                if mark not in (views.FAILED, views.ABSENT) and row[quantity.column]:
                    found.setdefault(quantity, []).append(_bar(row, quantity, mark))
    return found


def _bar(row: Row, quantity: Quantity, mark: str) -> dict[str, Any]:
    note = {views.STRUCK: ", wrong", views.CLOSE: ", close"}.get(mark, "")
    noisy = " ~" if row.get(f"{quantity.task}_noisy") else ""
    value = row[quantity.column]
    return {
        "framework": md.one_line(row["framework"]),
        "value": value,
        "low": row.get(quantity.ends[0]) or value,
        "high": row.get(quantity.ends[1]) or value,
        "state": {views.BEST: charts.BEST, views.PLAIN: charts.PLAIN}.get(mark, charts.OFF),
        "label": f"{quantity.form(value)} {quantity.unit}{noisy}{note}",
    }
