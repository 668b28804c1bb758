"""The report's main table of a model, in the original's shape, and who is fastest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reporting import markdown as md
from reporting import origins
from reporting.columns import TASKS, Row

RANKED = ("pass", "match")
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


def lanes(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows by lane, in order of appearance; rows published without one share a lane."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.get("lane") or "", []).append(row)
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


def table(rows: list[Row], published: list[Row], everything: list[Row] | None = None) -> list[dict[str, Any]]:
    """Lines of a model's main table: this run's machines, then the published ones with their mark.

    ``everything`` is all that is published, of which ``published`` is a part: marks are the same everywhere.
    """
    marks = {source: mark for source, (mark, _) in sources(everything or published).items()}
    lines = []
    for group, mine in ((rows, True), (published, False)):
        for (_, platform), members in platforms(group).items():
            bold = {
                column: [id(row) for lane in lanes(members).values() for row in best(lane, column)]
                for column in FIGURES
            }
            for number, row in enumerate(members):
                name = md.escaped(platform if number == 0 else None)
                if number == 0 and not mine:
                    name = md.Markdown(f"{name} {marks[source_of(row)]}")
                cells = {column: figure(row, column, id(row) in bold[column]) for column in FIGURES}
                lines.append({"platform": name, "framework": framework(row), "loss": loss(row)} | cells)
    return lines


def framework(row: Row) -> md.Markdown:
    """The framework's name with version, lane unless float32, backend, and marks: `close`, other weights."""
    text = " ".join(filter(None, (row["framework"], row["version"])))
    if row.get("lane") not in (None, "float32"):
        text += f", {row['lane']}"
    if asked := origins.asks_for(row):
        text += f", {asked}"
    if row["backend"]:
        text += f" ({row['backend']})"
    marks = [" ≈"] if row["status"] == "close" else []
    marks += [f" {row['weights_mark']}"] if row.get("weights_mark") else []
    return md.Markdown(md.escaped(text) + "".join(marks))


def figure(row: Row, column: str, is_best: bool) -> md.Markdown:
    """One time, as the status asks: bold, plain, struck through, ✗ or —."""
    if row["status"] == "failed" or row.get(column.replace("_ms", "_status")) == "failed":
        return md.CROSS
    if row["status"] == "unsupported" or row[column] is None:
        return md.DASH
    text = FIGURES[column](row[column])
    if row["status"] == "different":
        return md.Markdown(f"~~{text}~~")
    return md.Markdown(f"**{text}**") if is_best else text


def loss(row: Row) -> md.Markdown:
    """The loss with two decimals; ∞ where it overflowed."""
    if row["loss"] is None or row["status"] in ("failed", "unsupported"):
        return md.Markdown("")
    text = f"{row['loss']:.2f}".replace("inf", "∞")
    return md.Markdown(f"~~{text}~~" if row["status"] == "different" else text)


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


def winners(rows: list[Row]) -> list[dict[str, Any]]:
    """Lines of the summary: the fastest row of each machine and lane of one model, ties by name."""
    lines = []
    for (_, platform), members in platforms(rows).items():
        for lane, group in lanes(members).items():
            line: dict[str, Any] = {"platform": platform, "lane": lane}
            for column, text in FIGURES.items():
                names = [f"{md.escaped(row['framework'])} {text(row[column])}" for row in best(group, column)]
                tie = "tie: " if len(names) > 1 else ""
                line[column] = md.Markdown(tie + ", ".join(names)) if names else md.DASH
            lines.append(line)
    return lines
