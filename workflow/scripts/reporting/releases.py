"""What the last releases changed: each framework's row before and after its version moved, with intervals.

The two are measured in one run, taking turns, as rows called ``jax-before`` and ``jax`` (workflow/tools/releases.py);
or in two runs of one directory, the earlier one's table in its history.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reporting import changes
from reporting.changes import SAME, UNSURE
from reporting.columns import TASKS, Row
from reporting.quantities import TIMES, Quantity, ends, recovered

BEFORE = "-before"  # of the id of the row that has the older version
LOSS_AGREES = 0.01  # relative, as on the page's run by run
THRESHOLD = 1.05  # as of `make since`
Days = Mapping[tuple[str, str], str]  # (package, version): the day of its release

TIMED = tuple(each for each in TIMES if each.task in TASKS)


@dataclass(frozen=True)
class Effect:
    """What happened to one figure."""

    column: str
    ratio: float  # new over old
    low: float | None = None  # of the 95 % interval; None where it was measured once
    high: float | None = None
    kind: str = UNSURE  # of reporting.changes


@dataclass(frozen=True)
class Cell:
    """One model in one row."""

    model: str
    effects: tuple[Effect, ...]
    status: tuple[str, str]  # old, new
    footprint_mb: tuple[float | None, float | None]

    def effect(self, column: str) -> Effect | None:
        return next((each for each in self.effects if each.column == column), None)


@dataclass(frozen=True)
class Release:
    """A row whose framework's version moved, on one machine."""

    machine: str
    framework: str  # the row's label
    lane: str
    old: str
    new: str
    released: tuple[str | None, str | None]  # days, YYYY-MM-DD; None where the catalogue does not know
    measured: tuple[str, str]
    together: bool  # in one run, taking turns
    cells: tuple[Cell, ...]


def read_days(path: Path) -> dict[tuple[str, str], str]:
    """config/releases.csv: package, version, released. Raises ValueError naming the file if it has other columns."""
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if reader.fieldnames != ["package", "version", "released"]:
            raise ValueError(
                f"{path}: expected the columns package, version, released; got {reader.fieldnames}"
            )
        return {(line["package"], line["version"]): line["released"] for line in reader}


def find(
    own: Sequence[Row],
    elsewhere: Sequence[Row],
    before: Mapping[str, Sequence[Sequence[Row]]],
    packages: Mapping[str, str],
    days: Days,
) -> list[Release]:
    """Every release that is known of: of this run's rows, of published ones (``elsewhere``), and against the tables
    of earlier runs (``before``, by the platform's name in the config, the oldest first).

    ``packages`` is the package of each framework's id. A row that is compared within a run is not compared with
    earlier ones, too.
    """
    pairs = [(old, new, True) for rows in (own, elsewhere) for old, new in _in_one_run(rows)]
    paired = {id(row) for old, new, _ in pairs for row in (old, new)}
    for new in own:
        if id(new) not in paired and (old := _earlier(new, before.get(new.get("platform_id") or "", []))):
            pairs.append((old, new, False))
    groups: dict[tuple[str, ...], list[tuple[Row, Row, bool]]] = {}
    for old, new, together in pairs:
        key = (
            new["platform"],
            new["framework"],
            new.get("lane") or "",
            old["version"],
            new["version"],
            str(together),
        )
        groups.setdefault(key, []).append((old, new, together))
    return [_release(members, packages, days) for members in groups.values()]


def _in_one_run(rows: Iterable[Row]) -> list[tuple[Row, Row]]:
    by_cell = {_cell(row): row for row in rows}
    found = []
    for (platform, model, name, lane), old in by_cell.items():
        new = by_cell.get((platform, model, name.removesuffix(BEFORE), lane))
        if name.endswith(BEFORE) and new and old["version"] != new["version"]:
            found.append((old, new))
    return found


def _earlier(new: Row, runs: Sequence[Sequence[Row]]) -> Row | None:
    """The same cell in the newest earlier run that had another version, if the two may be compared."""
    for rows in reversed(runs):
        for row in rows:
            if _cell(row) == _cell(new) and (row["version"] or "") not in ("", new["version"] or ""):
                return row if new["version"] and _is_like(row, new) else None
    return None


def _cell(row: Row) -> tuple[str, str, str, str]:
    return (row["platform"], row["model"], row.get("row") or row["framework"], row.get("lane") or "")


def _is_like(old: Row, new: Row) -> bool:
    """Whether both did the same work: with other threads, sizes or weights a ratio would say nothing of a release."""
    if any(old.get(name) != new.get(name) for name in ("threads", "forward_flops")):
        return False
    ours, theirs = old.get("loss"), new.get("loss")
    return ours is None or theirs is None or abs(ours - theirs) <= LOSS_AGREES * abs(theirs)


def _release(pairs: Sequence[tuple[Row, Row, bool]], packages: Mapping[str, str], days: Days) -> Release:
    old, new, together = pairs[0]
    package = packages.get(new.get("framework_family") or "", "").partition("[")[0]
    versions = [str(row["version"]) for row in (old, new)]
    first, second = (days.get((package, version.partition("+")[0])) for version in versions)
    return Release(
        machine=new["platform"],
        framework=new["framework"],
        lane=new.get("lane") or "",
        old=versions[0],
        new=versions[1],
        released=(first, second),
        measured=(_day(pair[0] for pair in pairs), _day(pair[1] for pair in pairs)),
        together=together,
        cells=tuple(_compared(old, new, together) for old, new, together in pairs),
    )


def _day(rows: Iterable[Row]) -> str:
    return max((row["date"] for row in rows if row.get("date")), default="")


def _compared(old: Row, new: Row, together: bool) -> Cell:
    usable = all(row["status"] in changes.GOOD for row in (old, new))
    effects = [
        _timed(old, new, each, together) for each in TIMED if usable and old[each.column] and new[each.column]
    ]
    peaks = [row.get("inference_peak_mb") for row in (old, new)]
    if usable and peaks[0] and peaks[1]:
        effects.append(Effect("inference_peak_mb", peaks[1] / peaks[0]))
    return Cell(
        model=new["model"],
        effects=tuple(effects),
        status=(old["status"], new["status"]),
        footprint_mb=(old.get("footprint_mb"), new.get("footprint_mb")),
    )


def _timed(old: Row, new: Row, quantity: Quantity, together: bool) -> Effect:
    """New over old: by the rounds' pairs where one of the two is the fastest of its run, else by both intervals."""
    ratio, low, high = new[quantity.column] / old[quantity.column], None, None
    told = _paired(old, new, quantity) if together else None
    above, below = ends(new, quantity), ends(old, quantity)
    if told:
        ratio, low, high = told
    elif above and below:
        low, high = recovered(above, below)
    kind = UNSURE
    if low is not None and high is not None:
        beyond = max(ratio, 1 / ratio) >= THRESHOLD
        kind = changes.SLOWER if low > 1 and beyond else changes.FASTER if high < 1 and beyond else SAME
    return Effect(quantity.column, ratio, low, high, kind)


def _paired(old: Row, new: Row, quantity: Quantity) -> tuple[float, float, float] | None:
    name = quantity.task

    def to_best(row: Row) -> tuple[float, float, float] | None:
        found = tuple(row.get(f"{name}_to_best{end}") for end in ("", "_low", "_high"))
        return None if None in found else found  # type: ignore[return-value]

    ours, theirs = to_best(new), to_best(old)
    if theirs and theirs[0] == 1.0 and ours:
        return ours
    if ours and ours[0] == 1.0 and theirs:
        point, low, high = theirs
        return 1 / point, 1 / high, 1 / low
    return None
