"""What the tables say, computed: each finding with its interval and the cells that it comes from.

Intervals. A cell of this arena's protocol has 95 % intervals of its time and of its ratios, between processes. A
published figure without one stands for the values that round to it, so a ratio of two such figures has the
ends of that rounding (`basis` says which of the two); it knows nothing of noise. Shares of cells carry
Wilson's 95 % score interval (Wilson, "Probable inference, the law of succession, and statistical inference",
Journal of the American Statistical Association 22, 1927), as if the cells were a sample of such cells.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Set
from functools import partial

from arena.contract.cell import TaskName
from reporting import machines, quantities, standing
from reporting import markdown as md
from reporting.columns import TASKS, Row
from reporting.doubts import disagreements, gate
from reporting.groups import (
    BETWEEN,
    Finding,
    Group,
    Ratio,
    baseline,
    cell,
    figure,
    grouped,
    of,
    ratio,
    stored,
    times,
)
from reporting.quantities import Quantity
from reporting.trade_offs import compile_pays, reduced_precision, small_and_fast

#: By ``id`` of a row, the columns in which the document gives it the first place, alone or with others.
Firsts = Mapping[int, Set[str]]

WILSON = "95 % Wilson"
#: Kinds in the order in which they take turns where few can be shown: what is wrong, then who is fast, then costs.
TURNS = (
    "gate",
    "speed-up",
    "fastest",
    "footprint",
    "precision",
    "compile",
    "disagreement",
    "first-places",
)
DO = {"inference": "infers", "latency": "answers the smallest input", "training": "trains"}
Z = 1.959964  # 97.5th percentile of the normal distribution


def find(own: list[Row], published: list[Row], firsts: Firsts) -> list[Finding]:
    """Every finding of this run's rows and the published ones, by kind. ``firsts`` is the document's."""
    groups = grouped(own, published)
    kinds = (
        partial(fastest, firsts=firsts),
        speedups,
        partial(wins, firsts=firsts),
        compile_pays,
        small_and_fast,
        reduced_precision,
        gate,
        disagreements,
    )
    return [finding for kind in kinds for finding in kind(groups)]


def in_order(found: list[Finding]) -> list[Finding]:
    """The most telling first, this run's before others': of each machine and precision, the kinds take turns.

    Within a kind, the largest ratios that are surely no 1 come first, and what is wrong in the most cells.
    """
    turns: Counter[tuple[str | None, str, str]] = Counter()
    placed: list[tuple[bool, int, int, int, Finding]] = []
    for finding in sorted(found, key=_strength, reverse=True):
        place = (finding.platform, lane_of(finding), finding.kind)
        placed.append((not finding.own, turns[place], TURNS.index(finding.kind), len(placed), finding))
        turns[place] += 1
    return [finding for *_, finding in sorted(placed, key=lambda each: each[:-1])]


def _strength(finding: Finding) -> tuple[float, int]:
    low, high, estimate = finding.low, finding.high, finding.estimate
    sure = estimate and low and high and not low <= 1 <= high and finding.basis != WILSON
    return (abs(math.log(estimate)) if sure and estimate else 0.0, len(finding.cells))


def lane_of(finding: Finding) -> str:
    """The numeric precision of its cells."""
    return next((each["lane"] for each in finding.cells), "")


def fastest(groups: list[Group], firsts: Firsts) -> list[Finding]:
    """The first of each machine, model, lane and column, and how far ahead of the next; ties as ties."""
    found = []
    for group in groups:
        for quantity in quantities.of(group.rows):
            ranked = group.ranked(quantity.column, quantity.more)
            first = [row for row in ranked if quantity.column in firsts[id(row)]]
            if quantity.column == "compile_s" or len(ranked) < 2 or not first:
                continue
            rest = [row for row in ranked if all(row is not one for one in first)]
            names = " and ".join(figure(row, quantity) for row in first)
            lead = _lead(first[0], rest[0], quantity) if rest else None
            ahead = (
                f"{times(lead)} times as fast as the next, {figure(rest[0], quantity)}"
                if lead
                else "all tied"
            )
            text = f"{group.where()}: {quantity.title.lower()}: "
            text += f"{'tie of ' + names if len(first) > 1 else names + ' is first'}; {ahead}."
            cells = tuple(cell(group, row, quantity.column) for row in [*first, *rest[:1]])
            found.append(of(group, "fastest", text, quantity.task, lead, cells))
    return found


def _lead(first: Row, following: Row, quantity: Quantity) -> Ratio:
    point, low, high = quantities.lead(first, following, quantity)
    if low is None or high is None:
        return ratio(following, first, quantity.column)
    return Ratio(point, low, high, BETWEEN)


def speedups(groups: list[Group]) -> list[Finding]:
    """How many times as fast as the baseline (PyTorch) each framework is: the range over the models."""
    found: dict[tuple[str, str, bool, str, str, str], list[tuple[Group, Row, Ratio]]] = defaultdict(list)
    for group in groups:
        base = baseline(group.rows)
        if base is None:
            continue
        for task in TASKS:
            for row in group.ranked(f"{task}_ms"):
                if row is base or not base.get(f"{task}_ms"):
                    continue
                known = stored(row, f"{task}_ratio")
                speed = known.inverse() if known else ratio(base, row, f"{task}_ms")
                key = (group.platform, group.lane, group.own, row["framework"], base["framework"], task)
                found[key].append((group, row, speed))
    return [_range(*key, members) for key, members in found.items()]


def _range(
    platform: str,
    lane: str,
    own: bool,
    framework: str,
    base: str,
    task: str,
    members: list[tuple[Group, Row, Ratio]],
) -> Finding:
    members = sorted(members, key=lambda member: member[2].point)
    least, most = members[0][2], members[-1][2]
    span: str = md.significant(least.point)
    if len(members) > 1:
        span = f"{span}–{md.significant(most.point)}"  # noqa: RUF001
    each = ", ".join(f"{group.model} {times(speed)}" for group, _, speed in members)
    where = platform + (f", {lane}" if lane not in ("", "float32") else "")
    cells = tuple(
        reference
        for group, row, _ in members
        for reference in (
            cell(group, row, f"{task}_ms"),
            cell(group, baseline(group.rows) or row, f"{task}_ms"),
        )
    )
    return Finding(
        "speed-up",
        f"{where}: {framework} {DO[task]} {span} times as fast as {base}: {each}.",
        own,
        platform,
        members[0][0].model if len(members) == 1 else None,
        task,
        math.sqrt(least.point * most.point),
        least.low,
        most.high,
        least.basis,
        cells,
    )


def wins(groups: list[Group], firsts: Firsts) -> list[Finding]:
    """By maker of the machine and task: how often each framework is first, and where it is not.

    What is recomputed, claimed, or the original's is counted apart.
    """
    tallies: dict[tuple[bool, str, str, TaskName], list[tuple[Group, list[Row]]]] = defaultdict(list)
    for group in groups:
        who = machines.maker(group.platform)
        if not who:
            continue
        for task in TASKS:
            if len(ranked := group.ranked(f"{task}_ms")) > 1:
                first = [row for row in ranked if f"{task}_ms" in firsts[id(row)]]
                tallies[group.own, group.evidence, who, task].append((group, first))
    found = []
    for (own, evidence, who, task), contests in tallies.items():
        entered = Counter(row["framework"] for group, _ in contests for row in group.ranked(f"{task}_ms"))
        winners = Counter(row["framework"] for _, first in contests for row in first)
        for framework, count in winners.most_common():
            of_whom = f"{who} ({evidence})" if evidence == standing.CLAIMED else who
            found.append(_share(own, of_whom, task, framework, count, entered[framework], contests))
    return found


def _share(
    own: bool,
    who: str,
    task: str,
    framework: str,
    count: int,
    entered: int,
    contests: list[tuple[Group, list[Row]]],
) -> Finding:
    won = [(group, first) for group, first in contests if any(row["framework"] == framework for row in first)]
    tied = sum(len(first) > 1 for _, first in won)
    lost = [
        f"{group.platform} / {group.model} ({', '.join(row['framework'] for row in first)})"
        for group, first in contests
        if not any(row["framework"] == framework for row in first)
        and any(row["framework"] == framework for row in group.ranked(f"{task}_ms"))
    ]
    low, high = wilson(count, entered)
    text = f"{who}, {task}: {framework} is first in {count} of the {entered} cells in which it is ranked"
    text += f", {tied} of them tied" if tied else ""
    text += f" ({100 * low:.0f}–{100 * high:.0f} %)"  # noqa: RUF001
    text += f"; not on {', '.join(lost)}." if 0 < len(lost) <= 3 else "."
    cells = tuple(
        cell(group, row, f"{task}_ms")
        for group, first in won
        for row in first
        if row["framework"] == framework
    )
    return Finding("first-places", text, own, None, None, task, count / entered, low, high, WILSON, cells)


def wilson(count: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share; ``total`` is at least 1."""
    share, z2 = count / total, Z * Z / total
    middle = (share + z2 / 2) / (1 + z2)
    half = Z * math.sqrt(share * (1 - share) / total + z2 / (4 * total)) / (1 + z2)
    return max(0.0, middle - half), min(1.0, middle + half)
