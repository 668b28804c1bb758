"""Which rows fit into a number of minutes, and what is said of the others.

Rows are taken in the order of `run.rows`, the baseline first, each if it still fits beside those taken before. A row
costs the jobs and the environments that no row taken before needs; what any report needs is paid for first.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Step(NamedTuple):
    """Something that a run does: for the cells of which rows (none: for all), and how long it takes in seconds."""

    rows: frozenset[str]
    seconds: float | None  # None: unknown
    measures: bool = False


class Choice(NamedTuple):
    """What fits: the rows taken, in the run's order; why each other is not; the seconds of what is taken."""

    taken: list[str]
    left_out: dict[str, str]
    seconds: float
    whole: bool  # all rows, with every extra round that they may get


def choose(
    rows: Sequence[str], baseline: str, steps: Collection[Step], extra_s: float, minutes: float
) -> Choice:
    """The rows of ``rows`` for which ``steps`` can be carried out within ``minutes``.

    ``extra_s``: what the rounds beyond the planned ones take at most; where they do not fit, no row gets any.
    Raises ValueError if not even the baseline fits.
    """
    limit = 60 * minutes
    if cost(rows, steps) + extra_s <= limit and not unknown(rows, steps):
        return Choice(list(rows), {}, cost(rows, steps) + extra_s, whole=True)
    least = cost([baseline], steps)
    if least > limit:
        raise ValueError(
            f"MINUTES={minutes:g} is too little: the baseline alone, {baseline}, takes about {_minutes(least)} with "
            "what every report needs; give that many or more"
        )
    taken, left_out = {baseline}, {}
    within = f"the run was to end within {minutes:g} minutes (`make report MINUTES={minutes:g}`)."
    for row in rows:
        total = cost({*taken, row}, steps)
        if unknown([row], steps) and row != baseline:
            left_out[row] = f"How long it takes is not known, and {within}"
        elif total > limit:
            left_out[row] = f"It takes about {_minutes(total - cost(taken, steps))}, and {within}"
        else:
            taken.add(row)
    return Choice([row for row in rows if row in taken], left_out, cost(taken, steps), whole=False)


def _minutes(seconds: float) -> str:
    return f"{math.ceil(seconds / 60)} min"


def cost(rows: Iterable[str], steps: Collection[Step]) -> float:
    """Seconds of the steps that these rows need, as far as they are known."""
    wanted = set(rows)
    return sum(step.seconds or 0.0 for step in steps if not step.rows or step.rows & wanted)


def unknown(rows: Iterable[str], steps: Collection[Step]) -> bool:
    """Whether something of these rows is to be measured of which no duration is known."""
    wanted = set(rows)
    return any(step.measures and step.seconds is None and step.rows & wanted for step in steps)


def overlay(choice: Choice) -> Mapping[str, Any]:
    """The configuration that measures what was taken, and says in the report why the rest is not there."""
    if choice.whole:
        return {"run": {"rows": choice.taken}}
    return {
        "run": {"rows": choice.taken, "left_out": choice.left_out},
        "protocol": {"adaptive": {"max_rounds": 0}},
    }
