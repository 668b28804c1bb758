"""Two views of published rows: as their source ranks them, and as their figures allow.

Rows of this arena's own protocol carry a verdict and intervals, and look the same in both views. The rows
of kvark/inferena carry one figure a column and a ``match`` by that project's rule, so that a reader may want
either: its tables as they were (compatibility), or what can be said from the figures (rigorous).

Compatibility, from that project's harness (harness/src/main.rs, ``print_table``): a row matches if
|Δloss| / max(|reference loss|, 1) < 0.05; every cell of a row that does not is struck; bold is the smallest
figure of a column among the rows that match, all that share it, and a printed 0.00 is never bold, yet it
counts as the smallest, so that nothing else in its column is bold either.

Rigorous: a printed figure stands for every value that rounds to it. A row is ranked if its printed loss
agrees with the reference row's within rounding, and if that loss has digits enough to tell; of those, all
whose rounded figures may be the smallest share the first place; 0.00 is "not measured". One figure of one
process tells nothing of its own noise, so a first place here says "not slower than printed", no more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from reporting import marks, quantities
from reporting.columns import Row
from reporting.marks import RANKED
from reporting.quantities import TIMES, Quantity

REFERENCE = "PyTorch"  # the source's ground truth
LOSS_STEP = 0.01  # losses are printed with two decimals
LOSS_TOLERANCE = (
    1e-3  # relative: up to here this arena calls a row close (gate.float32.loss_error × close_factor)  # noqa: RUF003
)
COARSE = 0.01  # of the reference loss: a printed step beyond it cannot tell right from wrong
ALLOWED = 0.05  # the source's tolerance

Marks = dict[str, str]  # by column of a quantity


class Difference(NamedTuple):
    """A published cell that the two views show differently."""

    row: Row
    quantity: Quantity
    compatible: str
    rigorous: str
    why: str


def legacy(rows: list[Row]) -> bool:
    """Whether these rows of one machine and model come without verdicts: measured by another protocol."""
    return not any(row.get("verdict") for row in rows)


def rounding(column: str, value: float) -> tuple[float, float]:
    """The values that are printed as ``value``: seconds with two decimals, milliseconds as whole numbers
    from 10 on and with one decimal below."""
    half = 0.005 if column.endswith("_s") else 0.5 if value >= 10 else 0.05
    return max(0.0, value - half), value + half


def compatible(rows: list[Row]) -> list[Marks]:
    """Marks of the rows of one machine, model and lane under the source's rules."""
    if not legacy(rows):
        return _by_interval(rows)
    matching = [row for row in rows if row["status"] in RANKED]
    smallest = {
        each.column: min(
            (row[each.column] for row in matching if row.get(each.column) is not None), default=None
        )
        for each in TIMES
    }

    def is_best(row: Row, column: str) -> bool:
        return bool(row[column] > 0 and row[column] == smallest[column])

    return [_marks(row, functools.partial(is_best, row)) for row in rows]


def rigorous(rows: list[Row]) -> list[Marks]:
    """Marks of the same rows as far as their figures allow."""
    if not legacy(rows):
        return _by_interval(rows)
    judged = [_judged(row, _doubt(row, rows)) for row in rows]
    first = {quantity.column: _first(judged, quantity.column) for quantity in TIMES}
    return [_marks(row, functools.partial(_is_among, first, row)) for row in judged]


def differences(rows: list[Row]) -> list[Difference]:
    """The cells of one machine, model and lane whose marks differ between the views, and why."""
    if not legacy(rows):
        return []
    found = []
    for row, old, new in zip(rows, compatible(rows), rigorous(rows), strict=True):
        doubt = _doubt(row, rows)[1]
        for quantity in TIMES:
            pair = old[quantity.column], new[quantity.column]
            if pair[0] != pair[1]:
                found.append(Difference(row, quantity, *pair, doubt or _why(row, rows, quantity.column)))
    return found


def _by_interval(rows: list[Row]) -> list[Marks]:
    named = quantities.of(rows)
    best = {quantity.column: quantities.best(rows, quantity) for quantity in named}
    return [_marks(row, functools.partial(_is_among, best, row), named) for row in rows]


def _is_among(best: Mapping[str, Sequence[Row]], row: Row, column: str) -> bool:
    """Whether the row itself, not an equal one, is among the best of a column."""
    return any(row is one for one in best[column])


def _marks(row: Row, is_best: Callable[[str], bool], named: Sequence[Quantity] = TIMES) -> Marks:
    found = {}
    for quantity in named:
        column = quantity.column
        best = row.get(column) is not None and is_best(column)
        found[column] = marks.of_figure(row, column, quantity.task, best)
    return found


def _reference(rows: list[Row]) -> Row | None:
    return next((row for row in rows if row["framework"] == REFERENCE and row["loss"] is not None), None)


def _doubt(row: Row, rows: list[Row]) -> tuple[str, str]:
    """(the status that the printed loss leaves to a row that matches, the reason); ("", "") if none."""
    reference = _reference(rows)
    if row["status"] not in RANKED or row is reference:
        return "", ""
    if reference is None or row["loss"] is None:
        return "close", f"no {REFERENCE} row with a loss to check it against"
    theirs, expected = row["loss"], reference["loss"]
    apart, scale = abs(theirs - expected), max(abs(expected), LOSS_STEP)
    # Each of the two is off by half a step at most; the rest is a difference that was there.
    certain = apart - LOSS_STEP
    if certain > LOSS_TOLERANCE * scale:
        return "different", (
            f"its loss {theirs:.2f} is not {REFERENCE}'s {expected:.2f}: {100 * apart / scale:.2g} % apart, "
            f"beyond rounding; the source allows |Δ| / max(|{expected:.2f}|, 1) < {ALLOWED}"
        )
    if COARSE * abs(expected) < LOSS_STEP:
        return "close", f"a loss printed as {expected:.2f} has too few digits to tell right from wrong"
    return "", ""


def _judged(row: Row, doubt: tuple[str, str]) -> Row:
    return row | {"status": doubt[0]} if doubt[0] else row


def _first(rows: list[Row], column: str) -> list[Row]:
    """The rows whose printed figure may be the smallest; none where fewer than two are left to rank."""
    ranked = [row for row in rows if row["status"] in RANKED and row.get(column)]
    if len(ranked) < 2:
        return []
    limit = min(rounding(column, row[column])[1] for row in ranked)
    return [row for row in ranked if rounding(column, row[column])[0] < limit]


def _why(row: Row, rows: list[Row], column: str) -> str:
    """Why a row that is ranked in both views has another mark."""
    judged = [_judged(other, _doubt(other, rows)) for other in rows]
    ranked = [other for other in judged if other["status"] in RANKED and other.get(column)]
    if len(ranked) < 2:
        return "no other row is left to rank it against"
    smallest = min(other[column] for other in ranked)
    dropped = [
        other["framework"]
        for other, now in zip(rows, judged, strict=True)
        if other["status"] in RANKED
        and now["status"] not in RANKED
        and (other.get(column) or smallest) < smallest
    ]
    if dropped:
        return f"first once {', '.join(dropped)} is not ranked"
    if row[column] > smallest:
        return f"{row[column]:g} and {smallest:g} may be the same before rounding"
    return "a printed 0.00 is not a time, so it does not keep the first place from others"
