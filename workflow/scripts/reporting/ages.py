"""How old a published table is."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from reporting.columns import Row

MONTH = 30.44  # days, on average


def measured(own: list[Row]) -> str | None:
    """The last day on which a row of this run was measured."""
    return max((row["date"] for row in own if row.get("date")), default=None)


def period(dates: Sequence[str], measured: str | None) -> str:
    """``2026-11-22, 6 days before this run``: when rows were measured, and how long before the day ``measured``.

    ``dates`` are YYYY-MM-DD or YYYY-MM; the age is that of the latest. Empty without a date.
    """
    if not dates:
        return ""
    first, last = min(dates), max(dates)
    span = last if first == last else f"{first} to {last}"
    return span if measured is None else f"{span}, {age(last, measured)}"


def age(date: str, measured: str) -> str:
    """How long before this run something was measured; a month without a day counts from its first day."""
    days = (_day(measured) - _day(date)).days
    if days <= 0:
        return "no older than this run"
    if days < 2 * MONTH:
        return f"{days} day{'s' * (days > 1)} before this run"
    months = round(days / MONTH)
    return f"{months} months before this run" if months < 24 else f"{days / 365.25:.1f} years before this run"


def _day(date: str) -> datetime.date:
    year, month, *rest = map(int, date.split("-"))
    return datetime.date(year, month, *(rest or (1,)))
