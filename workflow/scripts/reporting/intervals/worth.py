"""How many samples of a process are worth their time, where another process could be had instead.

Kalibera and Jones, "Rigorous benchmarking in reasonable time" (ISMM 2013), section 6: with a figure's variance of which
T1^2 is between samples of one process and T2^2 between processes, a sample that costs c1 and a process that costs c2
beside its samples, the mean over processes is known best for a given time with

    r1 = sqrt(c2 / c1 * T1^2 / T2^2)

samples in each. It is the least of (T2^2 + T1^2 / r) / n where n (c2 + r c1) is given. Here a process's figure is the
median of its samples, whose variance is that of their mean times pi / 2 (of a normal). Both variances are those of
logarithms. Samples that are alike their neighbours tell less than so many others: then it is too few rather than too
many.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

MEDIAN = math.pi / 2  # variance of the median of normal values over that of their mean, of many
IQR = 1.349  # interquartile range of a standard normal
NORMAL = 1.96  # that is exceeded on either side with probability 0.05


@dataclass(frozen=True)
class Cost:
    """One task of one cell: what a sample and a process cost (s), and the variances of their logarithms."""

    sample_s: float
    process_s: float  # of start-up, compiling, warm-up and the other tasks
    within: float
    between: float
    samples: float  # in a process, as it was measured

    @property
    def worth(self) -> float:
        """Samples a process that are worth it, 1 or more; infinite where nothing varies between processes."""
        if self.within == 0.0:
            return 1.0
        if self.between == 0.0:
            return math.inf
        return max(1.0, math.sqrt(self.process_s / self.sample_s * MEDIAN * self.within / self.between))

    def variance(self, samples: float) -> float:
        """Of the logarithm of a process's median of so many samples."""
        return self.between + MEDIAN * self.within / samples


def cost(
    processes: Sequence[np.ndarray], durations_s: Sequence[float], variance: float | None
) -> Cost | None:
    """The costs of one task. ``processes``: each one's samples in nanoseconds; ``durations_s``: of each, from start to
    end; ``variance``: of the logarithms of their medians, as ``Model.spread`` has it (moderated by all cells).

    None where nothing is known of that, or a process has too few samples to tell of theirs.
    """
    if variance is None or min(samples.size for samples in processes) < 3:
        return None
    count = float(np.mean([samples.size for samples in processes]))
    seconds = float(np.mean([samples.sum() for samples in processes])) / 1e9
    within = float(np.mean([_variance(np.log(samples)) for samples in processes]))
    return Cost(
        sample_s=seconds / count,
        process_s=max(0.0, float(np.mean(durations_s)) - seconds),
        within=within,
        between=max(0.0, variance - MEDIAN * within / count),
        samples=count,
    )


def _variance(logs: np.ndarray) -> float:
    """Of the samples about their middle, which is what their median tells of: outliers do not count."""
    low, high = np.percentile(logs, [25, 75])
    return float(((high - low) / IQR) ** 2)


@dataclass(frozen=True)
class Settings:
    """``protocol.sampling``: so many iterations and seconds, or as many as start within ``max_seconds``."""

    min_iterations: int
    min_seconds: float
    max_seconds: float

    def samples(self, sample_s: float) -> float:
        """How many samples a process takes of which each costs so much."""
        wanted = max(self.min_iterations, math.ceil(self.min_seconds / sample_s))
        return max(1, min(wanted, math.ceil(self.max_seconds / sample_s)))


def total_s(
    cells: Iterable[Sequence[Cost]], settings: Settings, target: float, bounds: tuple[int, int]
) -> tuple[float, int]:
    """(seconds, processes) until every time of these cells is expected to be known to ``target``, a share of it.

    ``cells``: the tasks of each; a process measures all of them. ``bounds``: the least and the most processes that a
    cell gets: some vary too much to be known so well.
    """
    seconds, processes = 0.0, 0
    for tasks in cells:
        taken = [settings.samples(task.sample_s) for task in tasks]
        wanted = max(task.variance(each) for task, each in zip(tasks, taken, strict=True))
        least, most = bounds
        count = min(max(least, math.ceil(wanted * (NORMAL / math.log1p(target)) ** 2)), most)
        # What a process costs beside all its samples: beside those of one task, less those of the others.
        alone = min(
            task.process_s - sum(other.samples * other.sample_s for other in tasks if other is not task)
            for task in tasks
        )
        sampled = sum(each * task.sample_s for task, each in zip(tasks, taken, strict=True))
        seconds += count * (max(0.0, alone) + sampled)
        processes += count
    return seconds, processes


ITERATIONS = (3, 5, 7, 10, 20)
SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)


def suggested(
    cells: Sequence[Sequence[Cost]], now: Settings, target: float, bounds: tuple[int, int]
) -> Settings:
    """The settings, of those that were tried, with which that takes the least time; ``max_seconds`` stays."""
    tried = [
        Settings(iterations, seconds, now.max_seconds)
        for iterations in ITERATIONS
        for seconds in SECONDS
        if seconds <= now.max_seconds
    ]
    return min([now, *tried], key=lambda each: total_s(cells, each, target, bounds)[0])
