"""Whether a process's iterations keep one level while they are timed, still get faster, or jump.

After Barrett, Bolz-Tereick, Killick, Mount and Tratt, "Virtual machine warmup blows hot and cold" (OOPSLA 2017):
the series of a process, warm-up included, is cut where its level changes, and its kind is read from the levels.
Cut by optimal partitioning (Jackson et al., "An algorithm for optimal partitioning of data on an interval", IEEE
Signal Processing Letters 12, 2005): least sum of squares of the log times about their segment's mean, and a
penalty for each segment, here PENALTY x variance x log(values). A level counts as another one only if it differs
by more than LEAST, because long series show differences that matter to nobody.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

FLAT, FALLING, JUMPS = "flat", "falling", "jumps"
KINDS = (FLAT, FALLING, JUMPS)  # from good to bad
LEAST = 0.05  # as protocol.warmup.tolerance: what warm-up lets pass is not held against a cell here
PENALTY = 4.0
LAGS = (1, 3)  # of the differences by which noise is told
SHORTEST = 3  # values in a segment: fewer are outliers, not a level
BINS = 200  # of a longer series each value is the median of as many neighbours as it takes


def of_process(warmup: Sequence[float], samples: Sequence[float]) -> str | None:
    """The kind of one process's series, durations in one unit; None if too few were timed to tell."""
    step = -(-(len(warmup) + len(samples)) // BINS)
    before, timed = (_binned(np.log(np.asarray(part, dtype=np.float64)), step) for part in (warmup, samples))
    if timed.size < 2 * SHORTEST:
        return None
    values = np.concatenate([before, timed])
    levels = []
    for start, end in segments(values):
        inside = values[max(start, before.size) : end]  # what was timed of it
        if inside.size >= SHORTEST:
            levels.append(float(np.median(inside)))
    least = math.log1p(LEAST)
    if max(levels) - min(levels) <= least:
        return FLAT
    rises = any(later - min(levels[:number]) > least for number, later in enumerate(levels) if number)
    return JUMPS if rises else FALLING


def of_cell(processes: Iterable[tuple[Sequence[float], Sequence[float]]]) -> str | None:
    """The worst kind of a cell's processes, each given as (warm-up, samples); None if none could be told."""
    found = [kind for warmup, samples in processes if (kind := of_process(warmup, samples)) is not None]
    return max(found, key=KINDS.index, default=None)


def segments(values: np.ndarray) -> list[tuple[int, int]]:
    """Ends (from, to) of the stretches of ``values`` (n,) that keep one level, in order; n is at least 1."""
    count = values.size
    clipped = _without_spikes(values)
    penalty = PENALTY * _noise(values) ** 2 * math.log(max(count, 2))
    sums = np.concatenate([[0.0], np.cumsum(clipped)])
    squares = np.concatenate([[0.0], np.cumsum(clipped**2)])
    best = np.full(count + 1, np.inf)
    best[0] = -penalty
    previous = np.zeros(count + 1, dtype=int)
    for end in range(1, count + 1):
        starts = np.arange(0, max(1, end - SHORTEST + 1))
        lengths = end - starts
        inside = squares[end] - squares[starts] - (sums[end] - sums[starts]) ** 2 / lengths
        costs = best[starts] + inside + penalty
        previous[end] = starts[costs.argmin()]
        best[end] = costs.min()
    found, end = [], count
    while end > 0:
        found.append((int(previous[end]), end))
        end = int(previous[end])
    return found[::-1]


def _noise(values: np.ndarray) -> float:
    """Standard deviation within a level, by differences, of which a change of level moves few.

    Half of normal values lie within 0.6745 sigma, and a difference has twice the variance. Neighbours are alike, so
    that more distant ones count too. Not less than 0.1 %: a clock's ticks are no levels.
    """
    found = [float(np.median(np.abs(values[lag:] - values[:-lag]))) for lag in LAGS if values.size > 2 * lag]
    return max([1e-3, *(each / (0.6745 * math.sqrt(2)) for each in found)])


def _without_spikes(values: np.ndarray) -> np.ndarray:
    """Each value moved to the nearest of its neighbourhood's quartiles +- 3 interquartile ranges (window of 11)."""
    padded = np.pad(values, 5, mode="reflect" if values.size > 5 else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 11)
    low, high = np.quantile(windows, [0.25, 0.75], axis=1)
    reach = 3 * (high - low)
    moved: np.ndarray = np.clip(values, low - reach, high + reach)
    return moved


def _binned(values: np.ndarray, step: int) -> np.ndarray:
    """Medians of ``step`` neighbours each; the last bin may be shorter."""
    if step <= 1:
        return values
    return np.array([np.median(values[start : start + step]) for start in range(0, values.size, step)])
