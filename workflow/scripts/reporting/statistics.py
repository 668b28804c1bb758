"""Medians, intervals and ratios of timings measured in several fresh processes (numpy only).

The samples of one process share its memory layout, its thread placement and its minute, so they are
not independent of each other, and processes differ by more than iterations do (Kalibera and Jones,
"Rigorous benchmarking in reasonable time", ISMM 2013). Hence:

Point estimate: the median of the processes' medians. The pooled median would weigh a process by its
number of samples, of which a fast process takes more, and with three processes one slow one drags it
to the third quartile of the other two. The median of medians gives each process one vote, and one bad
process of three cannot move it beyond the other two.

Interval: percentile bootstrap of the same estimator in two stages: draw processes with replacement,
then iterations within each process drawn (Davison and Hinkley, "Bootstrap Methods and their
Application", 1997, section 3.8; Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
chapter 13). No sample is dropped, however far out.

What 95 % is worth: an interval over processes can reach no further than the processes that ran. Where
processes differ more than iterations, simulation (tests/reporting/test_statistics.py) finds that it holds the
true median about 75 % of the time with three processes, 93 % with five; and that two equal programs
are told apart by mistake about 10 % of the time with three processes each, not 5 %. One process tells
nothing of the variation between processes: its interval is that of its iterations alone, which
``Summary.rounds == 1`` says, and the report marks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
NOISY = 0.10  # interquartile range over median from which a cell is marked

Rounds = Sequence[np.ndarray]
Key = TypeVar("Key")  # what a caller knows a cell by


@dataclass(frozen=True)
class Summary:
    """Timings of one task of one cell, in the unit of the samples (here: nanoseconds)."""

    median: float  # of the processes' medians
    low: float  # ends of the 95 % interval of the median
    high: float
    p95: float  # p95, min and iqr are of all samples together, each counting once
    min: float
    iqr: float
    rounds: int  # processes
    samples: int

    @property
    def noisy(self) -> bool:
        """Whether the middle half of all samples spreads over more than 10 % of the median."""
        return self.iqr > NOISY * self.median


@dataclass(frozen=True)
class Ratio:
    """One median over another, with its 95 % interval; above 1: the first is slower."""

    point: float
    low: float
    high: float

    @property
    def tied(self) -> bool:
        """Whether the interval includes 1: these samples do not tell the two apart."""
        return self.low <= 1.0 <= self.high


def summary(rounds: Rounds, seed: int = 0) -> Summary:
    """Summarise one task of one cell.

    ``rounds`` holds one vector of durations per process (any unit, lengths may differ). The result
    depends on the samples and on ``seed`` alone, not on what was computed before.

    Raises ValueError if there is no process, an empty one, or a duration that is not finite and positive.
    """
    rounds = _checked(rounds)
    low, high = _interval(_resampled(rounds, seed))
    pooled = np.concatenate(rounds)
    quartile1, quartile3, p95 = np.percentile(pooled, [25, 75, 95])
    return Summary(
        median=_median_of_medians(rounds),
        low=low,
        high=high,
        p95=float(p95),
        min=float(pooled.min()),
        iqr=float(quartile3 - quartile1),
        rounds=len(rounds),
        samples=pooled.size,
    )


def ratio(numerator: Rounds, denominator: Rounds, seed: int = 0) -> Ratio:
    """Median of ``numerator`` over median of ``denominator``, each resampled by itself.

    The rounds are not paired: the n-th processes of two cells ran minutes apart in a shuffled order,
    so pairing would promise a shared condition that they do not have. A cell against its own samples
    is exactly 1. Raises ValueError as ``summary`` does.
    """
    numerator, denominator = _checked(numerator), _checked(denominator)
    if len(numerator) == len(denominator) and all(map(np.array_equal, numerator, denominator)):
        return Ratio(1.0, 1.0, 1.0)
    # Two streams, so that cells that happen to share samples are not resampled in step.
    resampled = _resampled(numerator, seed, stream=1) / _resampled(denominator, seed, stream=2)
    return Ratio(_median_of_medians(numerator) / _median_of_medians(denominator), *_interval(resampled))


def ratios_to_best(cells: Mapping[Key, Rounds], seed: int = 0) -> dict[Key, Ratio]:
    """Ratio of every cell to the one with the smallest median, which itself gets exactly 1.

    Cells whose ratio is ``tied`` share the first place.
    """
    if not cells:
        return {}
    best = min(cells, key=lambda name: _median_of_medians(_checked(cells[name])))
    return {name: ratio(rounds, cells[best], seed) for name, rounds in cells.items()}


def _checked(rounds: Rounds) -> list[np.ndarray]:
    arrays = [np.asarray(samples, dtype=np.float64).ravel() for samples in rounds]
    if not arrays:
        raise ValueError("no rounds: expected at least one vector of durations")
    for number, samples in enumerate(arrays, 1):
        if samples.size == 0:
            raise ValueError(f"round {number}: no samples; expected at least one duration")
        if not (np.isfinite(samples) & (samples > 0)).all():
            raise ValueError(f"round {number}: a duration is not finite and positive")
    return arrays


def _median_of_medians(rounds: list[np.ndarray]) -> float:
    return float(np.median([np.median(samples) for samples in rounds]))


def _interval(resampled: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _resampled(rounds: list[np.ndarray], seed: int, stream: int = 0) -> np.ndarray:
    """RESAMPLES bootstrap replicates of the median of medians."""
    rng = _generator(rounds, seed, stream)
    drawn = rng.integers(len(rounds), size=(RESAMPLES, len(rounds)))
    medians = np.empty(drawn.shape)
    for process, samples in enumerate(rounds):
        here = drawn == process
        medians[here] = _resampled_medians(np.sort(samples), int(here.sum()), rng)
    return np.median(medians, axis=1)


def _resampled_medians(ordered: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Medians of ``count`` resamples of ``ordered`` (ascending, n values), without drawing the resamples.

    A resample is n values ordered[floor(n U)], U uniform on (0, 1), and ordering commutes with that
    step, so its k-th smallest value is ordered[floor(n U(k))], U(k) being the k-th smallest of n
    uniforms: Beta(k, n - k + 1). Given U(k), the next is the smallest of n - k uniforms on (U(k), 1)
    (David and Nagaraja, "Order Statistics", 3rd edition, 2003, sections 2.3 and 2.5). Exact, and as
    cheap for 100,000 samples as for ten.
    """
    n = ordered.size
    k = (n + 1) // 2
    lower = rng.beta(k, n - k + 1, size=count)

    def value(uniform: np.ndarray) -> np.ndarray:
        return ordered[np.minimum((n * uniform).astype(np.int64), n - 1)]

    if n % 2:
        return value(lower)
    upper = 1.0 - (1.0 - lower) * rng.random(count) ** (1.0 / (n - k))
    middle: np.ndarray = (value(lower) + value(upper)) / 2
    return middle


def _generator(rounds: list[np.ndarray], seed: int, stream: int) -> np.random.Generator:
    """A generator keyed by the data, so that no cell's interval depends on another's."""
    digest = hashlib.sha256(f"{seed}/{stream}/{[samples.size for samples in rounds]}".encode())
    for samples in rounds:
        digest.update(samples.tobytes())
    return np.random.default_rng(int.from_bytes(digest.digest(), "big"))
