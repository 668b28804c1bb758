"""The one document of a report: this run's analysed rows beside the published ones, every mark and reason decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reporting import ages, comparison, fallbacks, findings, marks, origins, quantities, scale_axis, views
from reporting.columns import Row
from reporting.details import SERIES
from reporting.document.reasons import why
from reporting.document.types import Cell, Figure, Line, Model, Report, Source, Work
from reporting.groups import Group, grouped
from reporting.quantities import Quantity
from reporting.releases import Release

#: The last column of every table; no rank is given by it.
LOSS = Quantity("loss", "Loss", "", "inference", lambda value: f"{value:.2f}".replace("inf", "∞"))


def report(
    own: list[Row],
    published: list[Row],
    captions: Mapping[str, Mapping[str, Any]],
    notes: Sequence[str] = (),
    releases: Sequence[Release] = (),
) -> Report:
    """The document of this run's rows (``reporting.analysis``) and the published ones.

    ``captions``: title, url, caveats and expected_loss of each of this run's models; ``notes``: sentences on the
    frameworks. Both are Markdown of the configuration. ``releases`` as ``reporting.releases`` finds them.
    """
    groups = grouped(own, published)
    names = list(dict.fromkeys(row["model"] for row in own))
    absent = sorted({row["model"] for row in published}.difference(names))
    sources = comparison.sources(published, str, ages.measured(own))
    signs = {source: mark for source, (mark, _) in sources.items()}
    models = tuple(_model(name, captions[name], groups, signs) for name in names)
    elsewhere = tuple(_model(name, {}, groups, signs) for name in absent)
    firsts = {
        id(line.row): {each.quantity.column for each in line.figures if each.mark == marks.BEST}
        for model in (*models, *elsewhere)
        for line in model.lines
    }
    return Report(
        own=own,
        published=published,
        models=models,
        elsewhere=elsewhere,
        sources=tuple((mark, str(note)) for mark, note in sources.values()),
        findings=tuple(findings.find(own, published, firsts)),
        notes=tuple(" ".join(text.split()) for text in notes),
        releases=tuple(releases),
    )


def _model(
    name: str, caption: Mapping[str, Any], everything: list[Group], signs: Mapping[tuple[Any, ...], str]
) -> Model:
    groups = [group for group in everything if group.model == name]
    rows = [row for group in groups for row in group.rows]
    mine = [row for group in groups if group.own for row in group.rows]
    named = tuple(quantities.of(rows))
    others = origins.marks(rows)
    called = origins.weights_of(rows)
    other = {id(row): others.get(called.get(id(row), ""), "") for row in rows}
    # Lanes of one machine stand together.
    order = {name: number for number, name in enumerate(dict.fromkeys(g.platform for g in everything))}
    check = origins.loss_check(mine, caption.get("expected_loss"))
    return Model(
        name=name,
        title=caption.get("title") or name,
        url=caption.get("url"),
        is_variant=any(scale_axis.is_variant(row) for row in rows),
        weights=", ".join(dict.fromkeys(row["weights"] for row in mine if row["weights"])),
        caveats=tuple(" ".join(text.split()) for text in caption.get("caveats") or ()),
        remarks=(
            *([check] if check else []),
            *map(origins.mark_note, others.items()),
            *fallbacks.notes(rows),
        ),
        quantities=named,
        lines=tuple(
            line
            for group in sorted(groups, key=lambda group: (not group.own, order[group.platform]))
            for line in lines(group, named, signs, other)
        ),
    )


def lines(
    group: Group,
    named: Sequence[Quantity],
    signs: Mapping[tuple[Any, ...], str],
    other: Mapping[int, str],
) -> list[Line]:
    """The lines of one machine, model and lane. ``signs``: marks of sources; ``other``: of other weights, by ``id`` of
    the row.
    """
    both = list(zip(views.compatible(group.rows), views.rigorous(group.rows), strict=True))
    first = {quantity: _first(group.rows, [mark for mark, _ in both], quantity) for quantity in named}
    doubts = {(id(each.row), each.quantity.column): each.why for each in views.differences(group.rows)}
    found = []
    for row, (mark, strict) in zip(group.rows, both, strict=True):
        source = Source(tuple(row.get("records") or ()), row.get("repeat"))
        figures = []
        for quantity in named:
            column = quantity.column
            sign = mark.get(column, marks.ABSENT)
            reason = why(row, quantity, sign, first[quantity])
            figures.append(
                Figure(
                    quantity=quantity,
                    value=row.get(column),
                    interval=_interval(row, quantity),
                    mark=sign,
                    why=reason,
                    source=source,
                    strict=strict.get(column, sign),
                    strict_why=doubts.get((id(row), column), reason),
                    notes=_notes(row, quantity),
                )
            )
        found.append(
            Line(
                machine=group.platform,
                own=group.own,
                lane=group.lane,
                cell=_cell(row),
                work=_work(row),
                row=row,
                figures=tuple(figures),
                loss=_loss(row, source, strict),
                source=source,
                source_mark="" if group.own else signs[comparison.source_of(row)],
                weights_mark=other.get(id(row), ""),
            )
        )
    return found


def _cell(row: Row) -> Cell:
    optional = ("version", "backend", "platform_id", "row", "evidence")
    return Cell(
        model=row["model"],
        framework=row["framework"],
        status=row["status"],
        table=row.get("source") or "",
        **{name: row.get(name) or "" for name in optional},
    )


def _work(row: Row) -> Work:
    batch, sequence = row.get("batch"), row.get("sequence")
    return Work(
        scale_of=row.get("scale_of"),
        forward_flops=row.get("forward_flops"),
        batch=None if batch is None else int(batch),
        sequence=None if sequence is None else int(sequence),
        peak_tflops=row.get("peak_tflops"),
        energy_j=row.get("inference_energy_j"),
    )


def _first(rows: Sequence[Row], both: Sequence[views.Marks], quantity: Quantity) -> list[Row]:
    """The rows that share the first place of a column, best first."""
    found = [row for row, mark in zip(rows, both, strict=True) if mark.get(quantity.column) == marks.BEST]
    return sorted(found, key=lambda row: row[quantity.column], reverse=quantity.more)


def _interval(row: Row, quantity: Quantity) -> tuple[float, float] | None:
    low, high = (row.get(end) for end in quantity.ends)
    return None if low is None or high is None else (low, high)


def _notes(row: Row, quantity: Quantity) -> tuple[str, ...]:
    noisy = "noisy" if row.get(f"{quantity.task}_noisy") else ""
    return tuple(filter(None, (noisy, SERIES.get(row.get(f"{quantity.task}_series") or "", ""))))


def _loss(row: Row, source: Source, strict: views.Marks) -> Figure:
    mark = marks.of_figure(row, LOSS.column, LOSS.task, best=False)
    # What the figures say against a published row they say against its loss, too.
    doubted = next((each for each in strict.values() if each in (marks.STRUCK, marks.CLOSE)), mark)
    blank = mark in (marks.FAILED, marks.ABSENT)
    reason = "" if mark == marks.PLAIN else why(row, LOSS, mark, [])
    return Figure(LOSS, row["loss"], None, mark, reason, source, mark if blank else doubted, reason)
