"""report.html: the document as a page."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from reporting import closing, quality, quantities, trade_offs
from reporting import markdown as md
from reporting.columns import Row
from reporting.document.types import Model, Report
from reporting.html import charts, curves, losses, overview, timeline
from reporting.html.lines import Tables
from reporting.quantities import Quantity
from reporting.writers import released

LISTED = 60  # changed cells that are printed; report.json has all
ASSETS = ("state.js", "tables.js", "charts.js", "heat.js", "overview.js", "curves.js", "losses.js", "main.js")


def page(
    report: Report,
    told: dict[str, Any],
    evidence: tuple[dict[int, str], list[dict[str, Any]]],
    figures: dict[str, str],
    before: Mapping[str, Sequence[Sequence[Row]]],
    template: Path,
) -> str:
    """The whole page, its text escaped by the template.

    ``told`` is report.json's content, ``evidence`` as ``evidence.collect`` gives it, ``figures`` are SVGs by model,
    ``before`` are the tables of earlier runs by the platform's name in the config, the oldest first.
    """
    shown, data = _view(report, told, evidence, figures, before)
    assets = template.parent / "html"
    script = "\n".join((assets / name).read_text(encoding="utf-8") for name in ASSETS)
    script = script.replace("</script", r"<\/script").replace("<!--", r"<\!--")
    vega = charts.runtime()
    shown |= {
        "style": (assets / "style.css").read_text(encoding="utf-8"),
        "script": script,
        "vega": charts.packed(vega),
        "hashes": [_hash(text) for text in (script, vega)],
        "data": data | {"specifications": charts.specifications()},
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["ascii"] = str.isascii
    environment.filters |= {"json": _json, "clean": md.one_line}
    return environment.get_template(template.name).render(shown)


def _view(
    report: Report,
    told: dict[str, Any],
    evidence: tuple[dict[int, str], list[dict[str, Any]]],
    figures: dict[str, str],
    before: Mapping[str, Sequence[Sequence[Row]]],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the template prints, and the data that the page's scripts read; arguments as of ``page``."""
    own = report.own
    tables = Tables(report, evidence[0])
    models = [_model(tables, model, figures.get(model.name)) for model in report.models]
    named = quantities.of(own)
    growth = curves.data(tables, report)
    past = timeline.data(tables, report, before)
    lost = losses.data(tables, report.models)
    for block in evidence[1]:
        block["past"] = timeline.of_cell(tables, past, block["line"])
    shown = {
        "quantities": named,
        "tally": closing.tally(own),
        "told": told,
        "rounds": sorted({int(row["rounds"]) for row in own if row["rounds"]}),
        "glance": _glance(report, tables, named),
        "models": models,
        "families": list(growth),
        "past": list(past),
        "lost": {
            model.name: {
                "lines": losses.table(model),
                "tokens": quality.tokens([line.row for line in model.lines]),
                "language": quality.is_language(model.weights),
            }
            for model in report.models
            if model.name in lost
        },
        "findings": overview.sentences(tables, report.findings),
        "few": overview.TOP,
        "listed": LISTED,
        "differences": tables.differences(),
        "releases": [released.told(each) for each in report.releases],
        "sources": [{"mark": mark, "note": note} for mark, note in report.sources],
        "left_out": [model.name for model in report.elsewhere],
        "machines": _machines(own),
        "evidence": evidence[1],
    }
    every = quantities.of([*own, *report.published])
    data = {
        "quantities": [
            {"column": each.column, "title": each.title, "unit": each.unit, "more": each.more}
            for each in every
        ],
        "costs": trade_offs.COSTS,
        "overview": overview.data(tables, [each for each in report.models if not each.is_variant], every),
        "curves": growth,
        "history": past,
        "losses": lost,
        "measures": quality.MEASURES,
        "evidence": {block["name"]: _drawn(block) for block in evidence[1]},
        "names": {
            "platform": list(tables.platforms),
            "framework": list(tables.frameworks),
            "lane": list(tables.lanes),
            "text": list(tables.texts),
        },
    }
    return shown, data


def _drawn(block: dict[str, Any]) -> dict[str, Any]:
    """What the charts of a cell's panel are drawn from."""
    placed = [line for line in block["verdict"] if line.at is not None]
    lines = [
        [f"{line.part}: {line.figure}", line.at, f"{line.value} {line.tolerance}", line.close]
        for line in placed
    ]
    return {"samples": block["samples"], "ends": block["ends"], "limits": lines, "past": block["past"]}


def _model(tables: Tables, model: Model, figure: str | None) -> dict[str, Any]:
    return {
        "name": model.name,
        "family": curves.family(model),
        "title": model.title,
        "url": model.url,
        "caveats": model.caveats,
        "weights": model.weights,
        "quantities": model.quantities,
        "winners": tables.winners(model.lines, model.quantities),
        "cells": tables.cells(model.lines, model.quantities),
        "figure": figure,
    }


def _glance(report: Report, tables: Tables, named: list[Quantity]) -> list[dict[str, Any]]:
    """Who is first on this run's machines, a line for each model, machine and lane."""
    return [line for model in report.models for line in tables.winners(model.of(own=True), named)["lines"]]


def _machines(own: list[Row]) -> list[dict[str, Any]]:
    """Facts of each machine of this run as (title, value)."""
    titles = {
        "id": "Name in the config", "cpu": "CPU", "cpu_id": "CPU, by its numbers", "device": "Device",
        "cores": "Physical cores",
        "memory_gb": "Memory (GB)", "threads": "Threads given", "kernel": "Kernel", "os": "Operating system",
        "python": "Python", "commit": "Arena commit", "dates": "Measured",
        "steal": "CPU time taken by the hypervisor, at most", "load": "Load before a round, at most",
    }  # fmt: skip
    return [
        {"platform": facts["platform"], "facts": [(title, facts[key]) for key, title in titles.items()]}
        for facts in closing.machines(own)
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
