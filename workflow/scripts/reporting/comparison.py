"""What is compared with what: machines, lanes, sources of published rows, and who is fastest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reporting import markdown as md
from reporting import origins
from reporting.columns import TASKS, Row
from reporting.marks import RANKED

FIGURES: dict[str, Callable[[float], md.Markdown]] = {
    "compile_s": md.seconds,
    **{f"{task}_ms": md.milliseconds for task in TASKS},
}
MARKS = ("†", "‡", "§")
PROTOCOLS = {
    True: "by this arena's own protocol and gate, in other processes on another machine",
    False: "by that source's own protocol: not to be compared with this run sample by sample",
}


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


def source_of(row: Row) -> tuple[str | None, str | None]:
    """Who measured a published row, and when."""
    return row.get("measured_by"), row.get("date")


def sources(
    published: list[Row], escape: Callable[[str], str] = md.escaped
) -> dict[tuple[Any, ...], tuple[str, md.Markdown]]:
    """Mark and note of each source of published rows, its name and date as ``escape`` writes them."""
    notes: dict[tuple[Any, ...], tuple[str, md.Markdown]] = {}
    for row in published:
        if (key := source_of(row)) in notes:
            continue
        count = len(notes)
        mark = MARKS[count] if count < len(MARKS) else f"{MARKS[0]}{count + 1}"
        by = key[0] or "a source that the file does not name"
        who = escape(f"{by} ({key[1]})" if key[1] else by)
        words = [who, PROTOCOLS[is_ours(row)]]
        if said := origins.precision_note([each for each in published if source_of(each) == key]):
            words.append(escape(said))
        notes[key] = (mark, md.Markdown(", ".join(words)))
    return notes


def is_ours(row: Row) -> bool:
    """Whether a published row was measured by this arena's protocol: it says what only that records."""
    return row.get("verdict") is not None or row.get("reason_code") is not None
