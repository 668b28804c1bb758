"""Times of one task on one machine: each cell's with its interval, ratios, and who is first.

What is modelled is the logarithm of a process's median: samples of one process share its memory layout, its
thread placement and its minute, so the process is the unit that is repeated (Kalibera and Jones, "Rigorous
benchmarking in reasonable time", ISMM 2013).

Two-way additive: log median = cell + round + what this process had of its own. Where every cell ran in every
round, rounds are blocks: what the machine did in round 2 to all of them cancels in every ratio, and is taken out
of the variance. A round's effect is the median over the cells, which one bad process does not move. Where cells
have different numbers of rounds, or are few, there are no blocks, and the rounds' effects stay in the variance.

The variance between processes is moderated (``prior``), by lane where a lane has MIN_CELLS cells, else by all
cells of the machine; with fewer in all it is one, common to them.

Time: exp(mean of the log medians), the geometric mean of the processes' medians. Its interval holds what rounds
did too, by Satterthwaite's degrees of freedom. Ratio: exp(difference of two means), Student's t with Welch's
degrees of freedom, no more than all cells have together. With one process there is no variance and no interval.

docs/statistics.md says what the intervals are worth.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from scipy import special

from reporting.intervals import prior

LEVEL = 0.95
MIN_CELLS = 5  # from which a prior is fitted, and rounds are blocks

Key = TypeVar("Key", bound=Hashable)  # of a cell


@dataclass(frozen=True)
class Figure:
    """A time (in the unit of the medians) or a ratio, with the ends of its interval where one is known."""

    point: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class _Cell:
    mean: float  # of the log medians
    count: int
    variance: float | None  # of one process, moderated; None where nothing is known of it
    freedom: float


class Model(Generic[Key]):
    """The cells of one machine and one task."""

    def __init__(self, medians: Mapping[Key, Sequence[float]], lanes: Mapping[Key, str]) -> None:
        """``medians``: by cell, of each process in the order of the rounds. ``lanes``: numeric precision by cell.

        Raises ValueError if a cell has no process, or a median is not finite and positive.
        """
        for key, values in medians.items():
            if not len(values) or not all(math.isfinite(value) and value > 0 for value in values):
                raise ValueError(f"{key}: medians {list(values)}; expected one or more, finite and positive")
        logs = {key: np.log(np.asarray(values, dtype=np.float64)) for key, values in medians.items()}
        squares, self._freedom, self._rounds, self._rounds_freedom = _spread(logs)
        known: dict[Key, tuple[float, float]] = {}
        for pool, keys in _pools(logs, lanes):
            found = _moderated(pool, logs, squares, self._freedom)
            known |= {key: found[key] for key in keys}
        self._cells = {
            key: _Cell(float(values.mean()), values.size, *known.get(key, (None, 0.0)))
            for key, values in logs.items()
        }

    def time(self, key: Key) -> Figure:
        """The median of a cell, and its 95 % interval."""
        cell = self._cells[key]
        if cell.variance is None:
            return Figure(math.exp(cell.mean), None, None)
        parts = [(cell.variance, cell.freedom), (self._rounds, self._rounds_freedom)]
        variance = sum(part for part, _ in parts)
        freedom = _satterthwaite(parts)
        half = float(special.stdtrit(freedom, (1 + LEVEL) / 2)) * math.sqrt(variance / cell.count)
        return Figure(*(math.exp(cell.mean + side * half) for side in (0, -1, 1)))

    def ratio(self, upper: Key, lower: Key, comparisons: int = 1) -> Figure:
        """Time over time, with its interval: 95 %, or so wide that ``comparisons`` of them hold it together.

        That is Bonferroni's bound. A cell over itself is exactly 1.
        """
        if upper == lower:
            return Figure(1.0, 1.0, 1.0)
        one, other = self._cells[upper], self._cells[lower]
        difference = one.mean - other.mean
        if one.variance is None or other.variance is None:
            return Figure(math.exp(difference), None, None)
        parts = [
            (cell.variance / cell.count, cell.freedom) for cell in (one, other) if cell.variance is not None
        ]
        freedom = min(_satterthwaite(parts), self._freedom)
        tail = (1 - LEVEL) / 2 / comparisons
        half = float(special.stdtrit(freedom, 1 - tail)) * math.sqrt(sum(part for part, _ in parts))
        return Figure(*(math.exp(difference + side * half) for side in (0, -1, 1)))

    def to_best(self, keys: Iterable[Key]) -> dict[Key, Figure]:
        """Ratio of each of ``keys`` to the fastest of them, which gets exactly 1; intervals hold together."""
        members = list(keys)
        if not members:
            return {}
        best = min(members, key=lambda key: self._cells[key].mean)
        return {key: self.ratio(key, best, max(1, len(members) - 1)) for key in members}


def is_first(to_best: Figure, least_difference: float) -> bool:
    """Whether a cell shares the first place: its ratio to the fastest is not shown to be above 1, or is too small
    to matter (``least_difference`` 0.02: up to 1.02). Without an interval the latter alone decides.
    """
    return to_best.point <= 1 + least_difference or (to_best.low is not None and to_best.low <= 1.0)


def _satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of independent variances, each given with its own (Satterthwaite 1946)."""
    total = sum(part for part, _ in parts)
    if total == 0.0:
        return max(freedom for _, freedom in parts)
    return total**2 / sum(part**2 / freedom for part, freedom in parts if part)


def _spread(logs: Mapping[Key, np.ndarray]) -> tuple[dict[Key, float], float, float, float]:
    """What varies: (by cell the sum of squares over the rounds, all cells' degrees of freedom together, variance
    of a round's effect, its degrees of freedom).
    """
    centred = {key: values - values.mean() for key, values in logs.items()}
    counts = {values.size for values in logs.values()}
    rounds, cells = max(counts, default=0), len(logs)
    if cells < MIN_CELLS or len(counts) > 1 or rounds < 2:
        squares = {key: float((values**2).sum()) for key, values in centred.items()}
        return squares, float(sum(values.size - 1 for values in logs.values())), 0.0, 1.0
    effects = np.median(np.stack(list(centred.values())), axis=0)
    effects -= effects.mean()
    # A cell's own share of the effects makes its rest smaller, by one in so many cells.
    squares = {
        key: float(((values - effects) ** 2).sum()) * cells / (cells - 1) for key, values in centred.items()
    }
    # The median of normal values has pi / 2 times the variance of their mean; what is above that is the rounds'.
    usual = float(np.median(list(squares.values()))) / (2 * float(special.gammaincinv((rounds - 1) / 2, 0.5)))
    seen = float((effects**2).sum()) / (rounds - 1)
    above = max(0.0, seen - math.pi / 2 * usual / cells)
    return squares, float((cells - 1) * (rounds - 1)), above, float(rounds - 1)


def _pools(logs: Mapping[Key, np.ndarray], lanes: Mapping[Key, str]) -> list[tuple[list[Key], set[Key]]]:
    """(cells that tell of a prior, cells that it is for): a lane for itself, small lanes by all cells."""
    by_lane: dict[str, list[Key]] = {}
    for key in logs:
        by_lane.setdefault(lanes[key], []).append(key)

    def telling(keys: Iterable[Key]) -> int:
        return sum(logs[key].size > 1 for key in keys)

    pools = [(keys, set(keys)) for keys in by_lane.values() if telling(keys) >= MIN_CELLS]
    rest = {key for keys in by_lane.values() if telling(keys) < MIN_CELLS for key in keys}
    if rest and telling(logs):
        pools.append((list(logs), rest))
    return pools


def _moderated(
    keys: list[Key], logs: Mapping[Key, np.ndarray], squares: Mapping[Key, float], total: float
) -> dict[Key, tuple[float, float]]:
    """(variance of a process, its degrees of freedom) by cell of one pool."""
    freedom = np.array([logs[key].size - 1 for key in keys])
    variances = np.array([squares[key] for key in keys]) / np.maximum(freedom, 1)
    few = (freedom > 0).sum() < MIN_CELLS
    found = prior.common(variances, freedom) if few else prior.fit(variances, freedom)
    share = total * freedom.sum() / sum(values.size - 1 for values in logs.values())
    moderated, degrees = found.moderated(variances, freedom, share)
    return {key: (float(v), float(d)) for key, v, d in zip(keys, moderated, degrees, strict=True)}
