"""Findings on what is wrong or in doubt: the gate's objections, and sources that disagree."""

from __future__ import annotations

import math
from collections import defaultdict

from reporting import machines, views
from reporting.columns import Row
from reporting.groups import BETWEEN, Finding, Group, Ratio, cell, figure, of, times
from reporting.quantities import TIMES, Quantity

APART = 2.0  # ratio beyond which two sources disagree


def gate(groups: list[Group]) -> list[Finding]:
    """Which rows have wrong or doubtful results, or none, and why, as far as their source says."""
    found: dict[tuple[str, bool, str, str, str], list[tuple[Group, Row]]] = defaultdict(list)
    for group in groups:
        for row in group.rows:
            if row["status"] in ("different", "close", "failed"):
                found[group.platform, group.own, row["framework"], row["status"], _reason(row)].append(
                    (group, row)
                )
    words = {"different": "has wrong results", "close": "is beyond the tolerance", "failed": "failed"}
    lines = []
    for (platform, own, framework, status, why), members in found.items():
        text = f"{platform}: {framework} {words[status]} in {', '.join(group.model for group, _ in members)}"
        text += f": {why}." if why else "; its source gives no reason."
        text += _honest_row(groups, platform, framework, why)
        model = members[0][0].model if len(members) == 1 else None
        cells = tuple(cell(group, row, "status") for group, row in members)
        lines.append(Finding("gate", text, own, platform, model, cells=cells))
    return lines


def _honest_row(groups: list[Group], platform: str, framework: str, why: str) -> str:
    """Where a float32 row turns out to be TF32: which row of the same framework says so itself, and its verdict."""
    if "computes in TF32" not in why:
        return ""
    rows = {
        row["framework"]: row["status"]
        for group in groups
        if group.platform == platform
        for row in group.rows
        if row.get("lane") == "tf32" and row["framework"].split()[0] == framework.split()[0]
    }
    if not rows:
        return " It has no TF32 row here."
    words = set(framework.split())
    nearest = min(rows, key=lambda name: len(words.symmetric_difference(name.split())))
    return f" Its TF32 row is {nearest} ({rows[nearest]})."


def _reason(row: Row) -> str:
    if row["status"] == "failed":
        return ": ".join(filter(None, (row.get("reason_code"), row.get("reason_detail"))))
    return row.get("verdict_reasons") or ""


def disagreements(groups: list[Group]) -> list[Finding]:
    """Published figures that differ by more than 2× from this run's on like hardware.

    Like is equal ``machines.kind`` of the processor or the platform's name. A published framework is held
    against the row of ours, of the same first word, that comes nearest to it.
    """  # noqa: RUF002
    found = []
    mine = [group for group in groups if group.own]
    for theirs in (group for group in groups if not group.own):
        for ours in mine:
            if (
                theirs.model != ours.model
                or not _alike(ours, theirs)
                or ours.lane not in ("", theirs.lane or "float32")
            ):
                continue
            for quantity in TIMES[1:]:
                for row in theirs.ranked(quantity.column):
                    found += _apart(theirs, row, ours, quantity)
    return found


def _alike(ours: Group, theirs: Group) -> bool:
    names = {machines.kind(row.get("cpu") or ours.platform) for row in ours.rows} | {
        machines.kind(ours.platform)
    }
    return machines.kind(theirs.rows[0]["platform"]) in names


def _apart(theirs: Group, row: Row, ours: Group, quantity: Quantity) -> list[Finding]:
    column = quantity.column
    family = row["framework"].split()[0].lower()
    same = [each for each in ours.ranked(column) if each["framework"].split()[0].lower() == family]
    if not same:
        return []
    near = min(same, key=lambda each: abs(math.log(row[column] / each[column])))
    low, high = views.rounding(column, row[column])
    ends = Ratio(
        row[column] / near[column],
        low / (near.get(quantity.ends[1]) or near[column]),
        high / (near.get(quantity.ends[0]) or near[column]),
        BETWEEN,
    )
    if not (ends.low > APART or ends.high < 1 / APART):
        return []
    far, way = (ends, "slow") if ends.point > 1 else (ends.inverse(), "fast")
    text = (
        f"{theirs.where()}: {quantity.task}: published {figure(row, quantity)} is {times(far)} times as {way} "
        f"as {figure(near, quantity)} of this run on like hardware, {ours.platform}."
    )
    return [
        of(
            theirs,
            "disagreement",
            text,
            quantity.task,
            far,
            (cell(theirs, row, column), cell(ours, near, column)),
        )
    ]
