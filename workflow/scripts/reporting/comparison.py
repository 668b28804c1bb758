"""What is compared with what: machines, lanes, sources of published rows, and who is fastest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reporting import ages, allotments, origins, standing
from reporting import markdown as md
from reporting.columns import TASKS, Row
from reporting.marks import RANKED

FIGURES: dict[str, Callable[[float], md.Markdown]] = {
    "compile_s": md.seconds,
    **{f"{task}_ms": md.milliseconds for task in TASKS},
}
MARKS = ("†", "‡", "§")
UNNAMED = "a source that the file does not name"


def platforms(rows: list[Row]) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by machine, in order of appearance."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.get("platform_id"), row["platform"]), []).append(row)
    return groups


def best(rows: list[Row], column: str) -> list[Row]:
    """The fastest of the ranked rows of one machine, model and lane, by one column of FIGURES.

    Fastest first. Who is, was decided once, where all samples were at hand: column ``…_first``. Of a CSV
    without it, every row whose ratio to the fastest has an interval that includes 1; without intervals, every
    row with the smallest figure. A missing figure or a zero (a time too short for its column, or a step that
    the framework does not have) is never best.
    """
    found = [row for row in rows if row["status"] in RANKED and row[column]]
    if not found:
        return []
    found.sort(key=lambda row: row[column])
    first = column.removesuffix("_ms") + "_first"
    if any(row.get(first) is not None for row in found):
        return [row for row in found if row.get(first)]
    ratio = column.removesuffix("_ms") + "_to_best_low"
    if any(row.get(ratio) is not None for row in found):
        return [row for row in found if row.get(ratio) is not None and row[ratio] <= 1.0]
    return [row for row in found if row[column] == found[0][column]]


def source_of(row: Row) -> tuple[str, str | None, str | None]:
    """What a published row rests on, the file that says so, and whom that names.

    The tables of the original are one source.
    """
    evidence = row.get("evidence") or standing.CLAIMED
    return evidence, None if evidence == standing.ORIGINAL else row.get("source"), row.get("measured_by")


def sources(
    published: list[Row], escape: Callable[[str], str] = md.escaped, measured: str | None = None
) -> dict[tuple[Any, ...], tuple[str, md.Markdown]]:
    """Mark and note of each source of published rows, its names and dates as ``escape`` writes them.

    ``measured`` is the day of this run, YYYY-MM-DD: from it the note counts how old the table is.
    """
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in published:
        found.setdefault(source_of(row), []).append(row)
    notes: dict[tuple[Any, ...], tuple[str, md.Markdown]] = {}
    for count, (key, rows) in enumerate(found.items()):
        evidence, file, by = key
        mark = MARKS[count] if count < len(MARKS) else f"{MARKS[0]}{count + 1}"
        when = ages.period([row["date"] for row in rows if row.get("date")], measured)
        who = ", ".join(filter(None, (by or UNNAMED, file)))
        words = [escape(f"{who} ({when})" if when else who), standing.WORDS[evidence]]
        if said := origins.precision_note(rows):
            words.append(escape(said))
        if parts := allotments.said(row.get("allocations") for row in rows):
            words.append(escape(parts))
        notes[key] = (mark, md.Markdown(", ".join(words)))
    return notes
