"""What changed between two tables of cells: each time with the interval of its ratio, each change of status.

The interval of a ratio new / old is made of the two figures' own intervals, by ``quantities.recovered``: these
hold what rounds do to a machine, and nothing else of two runs can be paired.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from reporting.columns import Row
from reporting.marks import RANKED
from reporting.quantities import RATES, TIMES, Quantity, ends, recovered

RECOVERED, UNKNOWN = "95 %, from the two intervals", "none"
FASTER, SLOWER, SAME, UNSURE = "faster", "slower", "same", "unsure"
BROKE, FIXED, RESTATED, ADDED, REMOVED = "broke", "fixed", "other status", "added", "removed"
WORSE = (SLOWER, BROKE)
GOOD = (*RANKED, "close")  # whose results can be used
COMPARED = (*TIMES[1:], *RATES)  # compile times are measured once: one figure against one says nothing

Key = tuple[str, ...]  # platform ("" if each side has one), model, row, lane


@dataclass(frozen=True)
class Change:
    """One cell's status, or one of its times, then and now."""

    platform: str
    model: str
    framework: str
    lane: str
    column: str  # "status" or that of a quantity
    kind: str
    old: Any
    new: Any
    ratio: float | None = None  # of times, new over old; of rates, old over new: above 1 is slower
    low: float | None = None
    high: float | None = None
    basis: str = UNKNOWN

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def keyed(rows: list[Row], one_platform: bool) -> dict[Key, Row]:
    """Rows by cell; without the machine's name where each side has one machine.

    Raises ValueError if two rows are then the same cell.
    """
    found: dict[Key, Row] = {}
    for row in rows:
        place = "" if one_platform else row.get("platform_id") or row["platform"]
        key = (place, row["model"], row.get("row") or row["framework"], row.get("lane") or "")
        if key in found:
            raise ValueError(f"{' / '.join(filter(None, key))}: twice on one side; expected each cell once")
        found[key] = row
    return found


def one_platform(old: list[Row], new: list[Row]) -> bool:
    """Whether each side has one machine at most, so that they are compared whatever they are called."""
    return all(len({(row.get("platform_id"), row["platform"]) for row in rows}) <= 1 for rows in (old, new))


def compare(old: list[Row], new: list[Row], threshold: float = 1.0) -> list[Change]:
    """Every difference between two tables, in the order of the new one; removed cells last.

    A time is faster or slower if the interval of its ratio excludes 1 and the ratio is beyond
    ``threshold`` (1.05: by 5 %) or below its inverse; ``unsure`` without an interval.
    """
    one = one_platform(old, new)
    before, after = keyed(old, one), keyed(new, one)
    found = []
    for key, row in after.items():
        if key not in before:
            found.append(_change(row, "status", ADDED, None, row["status"]))
            continue
        found += _statuses(before[key], row)
        found += [
            _measured(before[key], row, quantity, threshold)
            for quantity in COMPARED
            if all(side["status"] in GOOD and side.get(quantity.column) for side in (before[key], row))
        ]
    gone = (row for key, row in before.items() if key not in after)
    return found + [_change(row, "status", REMOVED, row["status"], None) for row in gone]


def _change(row: Row, column: str, kind: str, old: Any, new: Any, *ratio: Any) -> Change:
    return Change(
        row["platform"], row["model"], row["framework"], row.get("lane") or "", column, kind, old, new, *ratio
    )


def _statuses(old: Row, new: Row) -> list[Change]:
    """A cell that broke or was fixed, or, where it runs in both, the tasks of which that is true."""
    usable = old["status"] in GOOD, new["status"] in GOOD
    if old["status"] != new["status"]:
        kind = {(True, False): BROKE, (False, True): FIXED}.get(usable, RESTATED)
        return [_change(new, "status", kind, old["status"], new["status"])]
    if not all(usable):
        return []
    found = []
    for quantity in COMPARED:
        column = quantity.column
        states = tuple(
            "ok" if side.get(column) else side.get(f"{quantity.task}_status") or "absent"
            for side in (old, new)
        )
        if (states[0] == "ok") != (states[1] == "ok"):
            found.append(_change(new, column, BROKE if states[0] == "ok" else FIXED, *states))
    return found


def _measured(old: Row, new: Row, quantity: Quantity, threshold: float) -> Change:
    column = quantity.column
    point, low, high, basis = _ratio(old, new, quantity)
    kind = UNSURE
    if low is not None and high is not None:
        beyond = max(point, 1 / point) >= threshold
        kind = SLOWER if low > 1 and beyond else FASTER if high < 1 and beyond else SAME
    return _change(new, column, kind, old[column], new[column], point, low, high, basis)


def _ratio(old: Row, new: Row, quantity: Quantity) -> tuple[float, float | None, float | None, str]:
    """Time over time with the ends of its interval; of rates, the inverse of their ratio."""
    upper, lower = (old, new) if quantity.more else (new, old)
    point = upper[quantity.column] / lower[quantity.column]
    above, below = (ends(side, quantity) for side in (upper, lower))
    if above is None or below is None:
        return point, None, None, UNKNOWN
    return (point, *recovered(above, below), RECOVERED)
