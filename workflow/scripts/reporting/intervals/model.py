"""Times of one task on one machine: each cell's with its interval, ratios, and who is first.

What is modelled is the logarithm of a process's median: samples of one process share its memory layout, its
thread placement and its minute, so the process is the unit that is repeated (Kalibera and Jones, "Rigorous
benchmarking in reasonable time", ISMM 2013).

Two-way additive: log median = cell + round + what this process had of its own. What a round did to all cells of the
machine is found and taken out (``blocks``), so that a cell is compared with one that ran in other rounds as if both had
run in the same; what cannot be found of it stays in the variance.

The variance between processes is moderated (``prior``), by lane where a lane has MIN_CELLS cells, else by all
cells of the machine; with fewer in all it is one, common to them.

Time: exp(mean of the log medians less their rounds' effects); where every cell ran in every round, the geometric mean
of the processes' medians. Its interval holds what rounds did too, by Satterthwaite's degrees of freedom. Ratio:
exp(difference of two means), Student's t with Welch's degrees of freedom, no more than all cells have together. With
one process there is no variance and no interval.

docs/statistics.md says what the intervals are worth.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from scipy import special

from reporting.intervals import blocks, prior
from reporting.intervals.blocks import MIN_CELLS

LEVEL = 0.95
FAR = 1.5  # see is_first
MOST = 0.8  # of the cells that have several processes: so many tell of the prior at least

Key = TypeVar("Key", bound=Hashable)  # of a cell


@dataclass(frozen=True)
class Figure:
    """A time (in the unit of the medians) or a ratio, with the ends of its interval where one is known."""

    point: float
    low: float | None
    high: float | None
    apart: bool = False  # of a ratio: every process above took FAR times as long as any below


@dataclass(frozen=True)
class _Cell:
    mean: float  # of the log medians
    least: float  # of them
    most: float
    count: int
    variance: float | None  # of one process, moderated; None where nothing is known of it
    freedom: float


class Model(Generic[Key]):
    """The cells of one machine and one task."""

    def __init__(
        self,
        medians: Mapping[Key, Sequence[float]],
        lanes: Mapping[Key, str],
        rounds: Mapping[Key, Sequence[Hashable]] | None = None,
    ) -> None:
        """``medians``: by cell, of each process. ``lanes``: numeric precision by cell. ``rounds``: by cell, what names
        the round of each of its processes; without it they are rounds 1, 2, ... of one measurement.

        Raises ValueError if a cell has no process or two in one round, or a median is not finite and positive.
        """
        for key, values in medians.items():
            if not len(values) or not all(math.isfinite(value) and value > 0 for value in values):
                raise ValueError(f"{key}: medians {list(values)}; expected one or more, finite and positive")
        logs = {key: np.log(np.asarray(values, dtype=np.float64)) for key, values in medians.items()}
        named = rounds or {key: range(values.size) for key, values in logs.items()}
        self._fit = blocks.fit(logs, named)
        known: dict[Key, tuple[float, float]] = {}
        for pool, keys in _pools(logs, lanes):
            found = _moderated(pool, self._fit)
            known |= {key: found[key] for key in keys}
        self._cells = {
            key: _Cell(
                mean,
                float(logs[key].min()),
                float(logs[key].max()),
                logs[key].size,
                *known.get(key, (None, 0.0)),
            )
            for key, mean in self._fit.means.items()
        }

    def time(self, key: Key) -> Figure:
        """The median of a cell, and its 95 % interval."""
        cell = self._cells[key]
        if cell.variance is None:
            return Figure(math.exp(cell.mean), None, None)
        parts = [(cell.variance / cell.count, cell.freedom), *self._fit.unsure(self._fit.weights[key])]
        half = _quantile(_satterthwaite(parts), (1 - LEVEL) / 2) * math.sqrt(sum(part for part, _ in parts))
        return _figure(cell.mean, half)

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
        parts += self._fit.unsure(self._fit.weights[upper] - self._fit.weights[lower])
        freedom = min(_satterthwaite(parts), self._fit.freedom)
        tail = (1 - LEVEL) / 2 / comparisons
        half = _quantile(freedom, tail) * math.sqrt(sum(part for part, _ in parts))
        apart = one.least > other.most + math.log(FAR)
        return _figure(difference, half, apart)

    def own_half(self, key: Key) -> float | None:
        """Half of the 95 % interval, as a share of the time, as far as the cell's own processes decide it.

        What rounds did to the whole machine is left out: no further process of this cell cures that.
        """
        cell = self._cells[key]
        if cell.variance is None:
            return None
        return math.expm1(_quantile(cell.freedom, (1 - LEVEL) / 2) * math.sqrt(cell.variance / cell.count))

    def spread(self, key: Key) -> float | None:
        """Variance of the logarithms of a cell's processes' medians, moderated; None where nothing is known of it."""
        return self._cells[key].variance

    def processes(self, key: Key, target: float) -> int | None:
        """With how many processes in all ``own_half`` is expected to be ``target`` at most, a share of the time.

        The variance found so far decides, and no difference between cells (Stein, "A two-sample test for a linear
        hypothesis whose power is independent of the variance", Annals of Mathematical Statistics 16, 1945).
        """
        cell, half = self._cells[key], self.own_half(key)
        if half is None:
            return None
        return max(cell.count, math.ceil(cell.count * (math.log1p(half) / math.log1p(target)) ** 2 - 1e-9))

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

    Two processes that differ by half give an interval that holds nearly everything; where each of them took FAR times
    as long as any of the fastest, that is no tie.
    """
    if to_best.point <= 1 + least_difference:
        return True
    return to_best.low is not None and to_best.low <= 1.0 and not to_best.apart


def _satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of independent variances, each given with its own (Satterthwaite 1946)."""
    total = sum(part for part, _ in parts)
    if total == 0.0:
        return max(freedom for _, freedom in parts)
    return total**2 / sum(part**2 / freedom for part, freedom in parts if part)


def _figure(log: float, half: float, apart: bool = False) -> Figure:
    """Of a logarithm, known to ``half`` on either side."""
    return Figure(math.exp(log), math.exp(log - half), math.exp(log + half), apart)


def _quantile(freedom: float, tail: float) -> float:
    """Student's t that is exceeded with probability ``tail``."""
    return float(special.stdtrit(freedom, 1 - tail))


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


def _moderated(keys: list[Key], fit: blocks.Fit[Key]) -> dict[Key, tuple[float, float]]:
    """(variance of a process, its degrees of freedom) by cell of one pool."""
    own = np.array([fit.own[key] for key in keys])
    freedom = np.rint(own).astype(int)
    variances = np.array([_squares(fit.rests[key]) for key in keys]) / np.where(freedom > 0, own, 1.0)
    variances[freedom == 0] = 0.0
    if (freedom > 0).sum() < MIN_CELLS:
        found = prior.common(variances, freedom)
    else:
        usual, first = _first(keys, fit, freedom)
        found = prior.fit(first, usual).of(variances, freedom)
    share = fit.freedom * own.sum() / sum(fit.own.values())
    moderated, degrees = found.moderated(variances, freedom, share)
    return {key: (float(v), float(d)) for key, v, d in zip(keys, moderated, degrees, strict=True)}


def _first(keys: list[Key], fit: blocks.Fit[Key], freedom: np.ndarray) -> tuple[int, np.ndarray]:
    """(degrees of freedom, variances with so many each) of the cells that tell of the prior.

    Where cells have different numbers of processes, the first ones of each count, as many as MOST of the cells have:
    those that got more because they vary more would otherwise tell of themselves alone.
    """
    usual = int(np.quantile(freedom[freedom > 0], 1 - MOST, method="lower"))
    return usual, np.array(
        [
            _squares(fit.rests[key][: usual + 1]) / usual * (fit.rests[key].size - 1) / fit.own[key]
            for key, degrees in zip(keys, freedom, strict=True)
            if degrees >= usual
        ]
    )


def _squares(values: np.ndarray) -> float:
    return float(((values - values.mean()) ** 2).sum())
