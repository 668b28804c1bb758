"""Which versions differ between two tables of cells: a framework's, its packages', the system's, the arena's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from reporting.changes import Key, keyed, one_platform
from reporting.columns import Row

#: Columns beside the packages that hold a version, and what they are called.
COLUMNS = {
    "python": "Python",
    "os": "system",
    "kernel": "kernel",
    "gpu_driver": "GPU driver",
    "commit": "the arena",
}
ABSENT = "none"
EVERY = "every framework"

Move = tuple[str, str, str, str]  # platform, what, old version, new version


@dataclass(frozen=True)
class Moved:
    """One version, then and now, and the rows that it concerns."""

    platform: str  # the machine; "" if each side has one
    name: str
    old: str
    new: str
    frameworks: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "platform": self.platform,
            "name": self.name,
            "old": self.old,
            "new": self.new,
            "frameworks": list(self.frameworks),
        }

    def words(self) -> str:
        """``jax 0.10.2 → 0.10.3 (JAX, JAX bfloat16)``."""
        where = f", on {self.platform}" if self.platform else ""
        return f"{self.name} {self.old} → {self.new} ({', '.join(self.frameworks)}){where}"


def moved(old: list[Row], new: list[Row]) -> list[Moved]:
    """Every version that differs in cells of both tables; those that concern every framework of a machine say so.

    A side that does not tell a version (a published table has few) is not held against the other.
    """
    one = one_platform(old, new)
    before, after = keyed(old, one), keyed(new, one)
    concerned: dict[Move, list[str]] = defaultdict(list)
    on_machine: dict[str, set[str]] = defaultdict(set)
    for key, row in after.items():
        if key not in before:
            continue
        on_machine[_place(key, row)].add(row["framework"])
        for name, was, now in _moves(before[key], row):
            concerned[_place(key, row), name, was, now].append(row["framework"])
    found = []
    for (place, name, was, now), rows in concerned.items():
        names = tuple(dict.fromkeys(rows))
        every = len(names) > 1 and set(names) == on_machine[place]
        found.append(Moved(place, name, was, now, (EVERY,) if every else names))
    return found


def _place(key: Key, row: Row) -> str:
    return row["platform"] if key[0] else ""


def _moves(old: Row, new: Row) -> Iterable[tuple[str, str, str]]:
    """(name, old, new) of one cell."""
    packages = old.get("packages") or {}, new.get("packages") or {}
    seen = set()
    if all(packages):
        for name in dict.fromkeys([*packages[1], *packages[0]]):
            was, now = (side.get(name, ABSENT) for side in packages)
            if was != now:
                seen.add((was, now))
                yield name, was, now
    was, now = old.get("version"), new.get("version")
    if was and now and was != now and (was, now) not in seen:
        yield new["framework"], was, now
    for column, name in COLUMNS.items():
        was, now = old.get(column), new.get(column)
        if was and now and was != now:
            yield name, was, now
