"""What is ranked: the columns of times and rates, how each is printed, and who is first in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reporting import comparison
from reporting import markdown as md
from reporting.columns import Row
from reporting.comparison import FIGURES
from reporting.marks import RANKED


@dataclass(frozen=True)
class Quantity:
    """One column that ranks rows."""

    column: str
    title: str
    unit: str
    task: str  # whose status, reason, `noisy` and `steady` it shares
    form: Callable[[float], str]
    more: bool = False  # whether more is better

    @property
    def ends(self) -> tuple[str, str]:
        """The columns of its 95 % interval."""
        if self.more:
            return f"{self.column}_low", f"{self.column}_high"
        return f"{self.task}_low_ms", f"{self.task}_high_ms"

    @property
    def heading(self) -> str:
        return f"{self.title} ({self.unit})"


def _rate(value: float) -> str:
    return md.significant(value, 3)


TIMES = tuple(
    Quantity("compile_s", "Compile", "s", "compile", form)
    if column == "compile_s"
    else Quantity(column, column.removesuffix("_ms").capitalize(), "ms", column.removesuffix("_ms"), form)
    for column, form in FIGURES.items()
)
RATES = (
    Quantity("prefill_tokens_per_s", "Prefill", "tokens/s", "decode", _rate, more=True),
    Quantity("decode_tokens_per_s", "Decode", "tokens/s", "decode", _rate, more=True),
)


def of(rows: list[Row]) -> list[Quantity]:
    """The quantities of these rows: every time, and the rates that any of them has."""
    return [*TIMES, *(rate for rate in RATES if any(row.get(rate.column) is not None for row in rows))]


def best(rows: list[Row], quantity: Quantity) -> list[Row]:
    """The first of the ranked rows of one machine, model and lane, with those that cannot be told from it.

    Times as ``comparison.best``. Rates: by column ``…_first``; of a CSV without it, every row whose interval of
    the ratio to the highest, recovered from the two intervals, includes 1; where a CSV has no intervals, every
    row with the highest rate.
    """
    found = [row for row in rows if row["status"] in RANKED and row.get(quantity.column)]
    if not quantity.more:
        return comparison.best(found, quantity.column)
    found.sort(key=lambda row: row[quantity.column], reverse=True)
    first = f"{quantity.column}_first"
    if any(row.get(first) is not None for row in found):
        return [row for row in found if row.get(first)]
    return [row for row in found if row is found[0] or _tied(found[0], row, quantity)]


def _tied(first: Row, row: Row, quantity: Quantity) -> bool:
    ours, theirs = (ends(each, quantity) for each in (first, row))
    if ours is None or theirs is None:
        return bool(row[quantity.column] == first[quantity.column])
    return recovered(ours, theirs)[0] <= 1.0


def ends(row: Row, quantity: Quantity) -> tuple[float, float, float] | None:
    """(low, point, high) of a figure and its 95 % interval; None where one of them is absent or 0."""
    low, point, high = (row.get(name) for name in (quantity.ends[0], quantity.column, quantity.ends[1]))
    return (low, point, high) if low and point and high else None


def recovered(upper: Sequence[float], lower: Sequence[float]) -> tuple[float, float]:
    """Ends of the 95 % interval of the ratio ``upper / lower``, each given as (low, point, high), above 0.

    The method of variance estimates recovery, on logarithms (Zou and Donner, "Construction of confidence
    limits about effect measures: a general approach", Statistics in Medicine 27, 2008, equation 5), for two
    figures whose intervals were found apart: with d the difference of the logarithms,
    low = d - sqrt((upper - upper_low)^2 + (lower_high - lower)^2), and high alike.
    """
    (a, b, c), (d, e, f) = (map(math.log, ends) for ends in (upper, lower))
    middle = b - e
    return math.exp(middle - math.hypot(b - a, f - e)), math.exp(middle + math.hypot(c - b, e - d))


def lead(first: Row, following: Row, quantity: Quantity) -> tuple[float, float | None, float | None]:
    """How many times as fast the first is as the one that follows: (ratio, low, high) of the 95 % interval.

    Ends are None where nothing is known of them: of what was measured once.
    """
    mine, next_ones = first[quantity.column], following[quantity.column]
    point: float = mine / next_ones if quantity.more else next_ones / mine
    name = quantity.column if quantity.more else quantity.task
    ratio, low, high = (following.get(f"{name}_to_best{end}") for end in ("", "_low", "_high"))
    if ratio is not None:
        return ratio, low, high
    pair = (first, following) if quantity.more else (following, first)
    upper, lower = (ends(row, quantity) for row in pair)
    return (point, None, None) if upper is None or lower is None else (point, *recovered(upper, lower))
