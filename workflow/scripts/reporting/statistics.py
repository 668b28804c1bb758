"""What is said of one cell's samples by themselves: percentiles, spread, the medians of its processes.

No sample is left out, however far out. Intervals and ratios come from ``reporting.intervals``, which knows all
cells of the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NOISY = 0.10  # interquartile range over median from which a cell is marked

Rounds = Sequence[np.ndarray]


@dataclass(frozen=True)
class Summary:
    """Timings of one task of one cell, in the unit of the samples (here: nanoseconds)."""

    medians: tuple[float, ...]  # of each process
    median: float  # of all samples together, as p95, min and iqr: each counts once
    p95: float
    min: float
    iqr: float
    samples: int

    @property
    def rounds(self) -> int:
        """Processes."""
        return len(self.medians)

    @property
    def noisy(self) -> bool:
        """Whether the middle half of all samples spreads over more than 10 % of their median."""
        return self.iqr > NOISY * self.median


def summary(rounds: Rounds) -> Summary:
    """Summarise one task of one cell.

    ``rounds`` holds one vector of durations per process (any unit, lengths may differ).
    Raises ValueError if there is no process, an empty one, or a duration that is not finite and positive.
    """
    checked = _checked(rounds)
    pooled = np.concatenate(checked)
    quartile1, median, quartile3, p95 = np.percentile(pooled, [25, 50, 75, 95])
    return Summary(
        medians=tuple(float(np.median(samples)) for samples in checked),
        median=float(median),
        p95=float(p95),
        min=float(pooled.min()),
        iqr=float(quartile3 - quartile1),
        samples=pooled.size,
    )


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
