"""The document as Markdown: report.md, which answers, and details.md, which has every table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

from reporting import closing, details, marks, precision, quality, scale_axis, serving, summary
from reporting import markdown as md
from reporting.columns import TASKS, Row
from reporting.comparison import platforms
from reporting.document.reasons import JUDGED, NOT_MEASURED, listed
from reporting.document.types import Figure, Line, Model, Place, Report, by_group, place
from reporting.quantities import TIMES
from reporting.writers import released
from reporting.writers.text_tables import aligned

COLUMNS = tuple(quantity.column for quantity in TIMES)
EXPLAINED = (marks.STRUCK, marks.CLOSE, marks.FAILED, marks.ABSENT)


def render(report: Report, template: Path) -> str:
    """The text of one template. Whatever it prints is escaped unless it is ``markdown.Markdown``."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        finalize=md.escaped,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = md.Markdown
    own = report.own
    shown = [model for model in report.models if not model.is_variant]
    view = {
        "models": [_model(model) for model in shown],
        "tally": closing.tally(own),
        "lanes": len({row["lane"] for row in own}) > 1,
        "machine_names": list(dict.fromkeys(row["platform"] for row in own)),
        "rounds": sorted({int(row["rounds"]) for row in own if row["rounds"]}),
        "summaries": summary.table(report),
        "upkeep": serving.upkeep(own),
        "scale": scale_axis.table(own, report.published),
        "notes": list(map(md.Markdown, report.notes)),
        "failures": closing.failures(own),
        "unsupported": closing.unsupported(own),
        "machines": closing.machines(own),
        "sources": report.sources,
        "releases": [released.told(each) for each in report.releases],
        "left_out": [model.name for model in report.elsewhere if not model.is_variant],
    }
    return aligned(environment.get_template(template.name).render(view))


def _model(model: Model) -> dict[str, Any]:
    """What the templates print of one model."""
    mine = model.of(own=True)
    strict, reduced = ([line for line in model.lines if _is_strict(line) == each] for each in (True, False))
    return {
        "name": model.name,
        "title": md.link(model.title, model.url),
        "weights": model.weights,
        "caveats": [*map(md.Markdown, model.caveats), *model.remarks],
        "own": [_printed(group) for group in _machines(line for line in strict if line.own)],
        "own_reduced": [_printed(group) for group in _machines(line for line in reduced if line.own)],
        "published": [first_places(group) for group in by_group(model.of(own=False))],
        "results": [line for group in _machines(strict) for line in _printed(group)],
        "reduced": [line for group in _machines(reduced) for line in _printed(group)],
        "reasons": reasons(mine),
        "accuracy": precision.table(_rows(mine)),
        "generation": serving.generation(_rows(mine)),
        "quality": quality.table(_rows(mine)),
        "text_tokens": quality.tokens(_rows(mine)),
        "language": quality.is_language(model.weights),
        "winners": [_winners(group) for group in by_group(mine)],
        "sections": [_section(platform, rows) for (_, platform), rows in platforms(_rows(mine)).items()],
    }


def _is_strict(line: Line) -> bool:
    return line.row.get("lane") in precision.STRICT


def _rows(lines: Iterable[Line]) -> list[Row]:
    return [line.row for line in lines]


def _machines(lines: Iterable[Line]) -> list[list[Line]]:
    found: dict[tuple[bool, str], list[Line]] = {}
    for line in lines:
        found.setdefault((line.own, line.machine), []).append(line)
    return list(found.values())


def _printed(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Lines of one machine in the main table, its name at the first."""
    return [
        {
            "platform": _name(line) if number == 0 else md.Markdown(""),
            "framework": details.framework(line.row, line.weights_mark),
            "loss": figure(line.loss) if line.loss.shown else md.Markdown(""),
        }
        | {each.quantity.column: figure(each) for each in line.figures if each.quantity.column in COLUMNS}
        for number, line in enumerate(lines)
    ]


def _name(line: Line) -> md.Markdown:
    return md.Markdown(" ".join(filter(None, (md.escaped(line.machine), line.source_mark))))


def figure(told: Figure) -> md.Markdown:
    """One figure as its mark asks: bold, plain, struck through, ✗ or —."""
    around = {marks.STRUCK: "~~", marks.BEST: "**"}.get(told.mark, "")
    return md.Markdown(f"{around}{told.text}{around}")


def _winners(lines: Sequence[Line]) -> dict[str, Any]:
    """A line of the summary: the first of one machine and lane in each column."""
    told: dict[str, Any] = {"platform": lines[0].machine, "lane": lines[0].lane}
    for quantity in TIMES:
        first = place(lines, quantity)
        told[quantity.column] = _named(first) if first else md.DASH
    return told


def _named(first: Place) -> md.Markdown:
    names = [
        f"{md.escaped(line.cell.framework)} {each.text}"
        for line, each in zip(first.lines, first.figures, strict=True)
    ]
    return md.Markdown(("tie: " if len(names) > 1 else "") + ", ".join(names))


def first_places(lines: Sequence[Line]) -> dict[str, Any]:
    """A machine and lane measured elsewhere, in one line: who is first in what, and how many rows are ranked."""
    found = []
    for quantity in TIMES:
        first = place(lines, quantity)
        if first:
            found.append(f"{quantity.title.lower()} {_named(first)} {quantity.unit}")
    lane = lines[0].lane
    ranked = sum(marks.standing(line.row) == marks.PLAIN for line in lines)
    return {
        "name": _name(lines[0]),
        "lane": f", {lane}" if lane not in ("", "float32") else "",
        "first": md.Markdown("; ".join(found) or "nobody is first"),
        "ranked": f"{ranked} of {len(lines)}",
    }


def reasons(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Why figures are struck, not ranked or missing: each reason once for a machine, with the frameworks, the
    columns, and the command that measures the cell again where that may help.
    """
    found: dict[tuple[str, str, tuple[str, ...], str], list[Line]] = {}
    for line in lines:
        columns: dict[tuple[str, str], list[str]] = {}
        judged = max((each.why for each in line.figures if each.mark in JUDGED), key=len, default="")
        for each in line.figures:
            if each.mark in EXPLAINED and each.why != NOT_MEASURED:
                why = judged if each.mark in JUDGED else each.why  # of such a row the fullest says it all
                columns.setdefault((each.mark, why), []).append(each.quantity.title.lower())
        for (mark, why), titles in columns.items():
            named = () if len(titles) == len(line.figures) else tuple(titles)
            found.setdefault((line.machine, why, named, mark), []).append(line)
    return [
        {
            "machine": machine,
            "frameworks": listed([line.cell.framework for line in same]),
            "columns": f", {listed(titles)}" if titles else "",
            "why": why.removesuffix("."),
            "again": None if mark == marks.ABSENT else _commands(same),
        }
        for (machine, why, titles, mark), same in found.items()
    ]


def _commands(lines: Sequence[Line]) -> md.Markdown | None:
    found = dict.fromkeys(line.source.command for line in lines if line.source.command)
    return md.Markdown(", ".join(map(md.code, found))) if found else None


def _section(platform: str, rows: list[Row]) -> dict[str, Any]:
    """One machine's details of one model."""
    floors = [row["noise_relative_l2"] for row in rows if row["noise_relative_l2"] is not None]
    return {
        "platform": platform,
        "baseline": rows[0]["baseline"],
        "tasks": {task: details.timings(rows, task) for task in TASKS},
        "costs": details.costs(rows),
        "verdicts": details.verdicts(rows),
        "objections": details.objections(rows),
        "noise": md.tiny(floors[0] if floors else None),
        "caveats": details.caveats(rows),
    }
