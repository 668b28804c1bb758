"""Speed against quality on the page: rows of every precision, and what their users lose of a text.

Numbers stand for names, as in the tables' keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reporting import markdown as md
from reporting import marks, quality
from reporting.document.types import Line, Model
from reporting.html.lines import Tables, shown_lane


def data(tables: Tables, models: Sequence[Model]) -> dict[str, Any]:
    """By model, where two rows have figures or more: [machine, precision, framework, ms, ranked, [what is lost]].

    What is lost is in the order of ``quality.MEASURES``. ``tables`` have printed the models' lines before.
    """
    found = {
        model.name: [point for line in model.lines if (point := _point(tables, line))] for model in models
    }
    return {name: points for name, points in found.items() if len(points) > 1}


def _point(tables: Tables, line: Line) -> list[Any] | None:
    lost = quality.drawn(line.row)
    if lost is None:
        return None
    return [
        tables.platforms[line.machine],
        tables.lanes[md.one_line(line.lane)],
        tables.frameworks[md.one_line(line.cell.framework)],
        line.row["inference_ms"],
        int(marks.standing(line.row) == marks.PLAIN),
        [lost[name] for name in quality.MEASURES],
    ]


def table(model: Model) -> list[dict[str, Any]]:
    """Lines to print of this run's rows."""
    lines = {id(line.row): line for line in model.of(own=True)}
    rows = quality.known(line.row for line in lines.values())
    return [
        {name: str(text) for name, text in told.items()}
        | {
            "platform": row["platform"],
            "framework": md.one_line(row["framework"]),
            "lane": shown_lane(lines[id(row)]),
            "status": row["status"],
        }
        for row, told in zip(rows, quality.table(rows), strict=True)
    ]
