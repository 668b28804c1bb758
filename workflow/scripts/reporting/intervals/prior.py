"""The variance between processes of one cell, known better for knowing that of the others.

Two processes tell next to nothing of a variance (one degree of freedom); 25 cells of one machine with two
processes each tell well what is usual there. Empirical Bayes (Smyth, "Linear models and empirical Bayes methods
for assessing differential expression in microarray experiments", Statistical Applications in Genetics and
Molecular Biology 3, 2004, section 6): the cells' true variances are drawn from a scaled inverse chi-square with
d0 degrees of freedom and scale s0^2, so that s^2 / s0^2 ~ F(d, d0), and both are found from the mean and the
variance of log s^2. Those moments are taken of values winsorised at TAILS, and a cell whose s^2 lies beyond what
F allows keeps more of its own (Phipson, Lee, Majewski, Alexander and Smyth, "Robust hyperparameter estimation
protects against hypervariable genes", Annals of Applied Statistics 10, 2016): one cell that jumps from process
to process widens its own interval, not everyone's.

Of two processes alone, Student's t with one degree of freedom would say that a cell could be ten times faster than
both of them. So the prior weighs at least as much as one more process, LEAST.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

TAILS = (0.05, 0.10)  # shares of log s^2 that are winsorised, below and above
LEAST = 1.0  # d0 of any cell
FLOOR = 1e-5  # of the median: two processes may agree to the nanosecond, and log 0 is no number
NODES, WEIGHTS = np.polynomial.legendre.leggauss(32)
#: Where d0 is looked for. Above, the cells' variances are the same as far as can be seen.
FREEDOM = np.geomspace(0.25, 250.0, 61)


@dataclass(frozen=True)
class Prior:
    """What is usual on this machine: s0^2, and for each cell d0, the weight that this has for it."""

    scale: float
    freedom: np.ndarray  # (cells,); infinite where the cells' variances do not differ

    def moderated(
        self, variances: np.ndarray, freedom: np.ndarray, total: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """(s~^2, degrees of freedom) of each cell: (d0 s0^2 + d s^2) / (d0 + d), and min(d0 + d, total)."""
        finite = np.isfinite(self.freedom)
        weight = np.where(finite, self.freedom, 1.0)
        blended = (weight * self.scale + freedom * variances) / (weight + freedom)
        return np.where(finite, blended, self.scale), np.minimum(self.freedom + freedom, total)


@dataclass(frozen=True)
class Usual:
    """s0^2 and d0 of the cells that are no outliers."""

    scale: float
    weight: float
    coarse: bool = False  # the clock is too coarse to see most differences

    def of(self, variances: np.ndarray, freedom: np.ndarray) -> Prior:
        """The prior of cells with sample variances (cells,) of ``freedom`` (cells,). One without any freedom has
        nothing of its own: its variance does not count.
        """
        if self.coarse:  # what is seen, equal for all
            return Prior(self.scale, np.full(variances.size, np.inf))
        return Prior(self.scale, _individual(variances / self.scale, freedom, self.weight))


def common(variances: np.ndarray, freedom: np.ndarray) -> Prior:
    """One variance for all, the mean by degrees of freedom: for cells too few to tell whether theirs differ."""
    return Prior(float(np.average(variances, weights=freedom)), np.full(variances.size, np.inf))


def fit(variances: np.ndarray, freedom: int) -> Usual:
    """The prior of sample variances (cells,), 0 or more, of ``freedom`` degrees of freedom each.

    Raises ValueError if there are no cells or no degrees of freedom.
    """
    if not variances.size or freedom < 1:
        raise ValueError(
            f"{variances.size} variances of {freedom} degrees of freedom; expected one or more of both"
        )
    middle = float(np.median(variances))
    if middle == 0.0:
        return Usual(float(variances.mean()), np.inf, coarse=True)
    logs = np.log(np.maximum(variances, FLOOR * middle))
    logs = np.clip(logs, *np.quantile(logs, (TAILS[0], 1 - TAILS[1])))
    means, spreads = _moments(freedom)
    spread = float(logs.var(ddof=1)) if logs.size > 1 else 0.0
    weight, mean = np.inf, float(means[-1])
    if spread > spreads[-1]:
        # The variance falls as d0 grows; np.interp wants ascending abscissae.
        weight = float(np.exp(np.interp(spread, spreads[-2::-1], np.log(FREEDOM)[::-1])))
        mean = float(np.interp(np.log(weight), np.log(FREEDOM), means[:-1]))
    return Usual(float(np.exp(logs.mean() - mean)), weight)


@functools.cache
def _moments(freedom: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of winsorised log F(freedom, d0) for d0 of FREEDOM, and at last for d0 infinite."""
    low, high = TAILS[0], 1 - TAILS[1]
    shares = np.concatenate([[low], low + (high - low) * (NODES + 1) / 2, [high]])
    weights = np.concatenate([[TAILS[0]], WEIGHTS * (high - low) / 2, [TAILS[1]]])
    logs = np.log(
        [*(stats.f.ppf(shares, freedom, d0) for d0 in FREEDOM), stats.chi2.ppf(shares, freedom) / freedom]
    )
    means = logs @ weights
    return means, ((logs - means[:, None]) ** 2) @ weights


def _individual(ratios: np.ndarray, freedom: np.ndarray, weight: float) -> np.ndarray:
    """d0 of each cell: the common one, less where s^2 / s0^2 is larger than so many draws would give."""
    found = np.full(ratios.size, max(weight, LEAST))
    own = np.flatnonzero(freedom > 0)
    usual = min(weight, float(freedom.sum()))
    tails = special.fdtrc(freedom[own], usual, ratios[own])
    expected = (stats.rankdata(tails) - 0.5) / own.size
    ordinary = np.minimum(1.0, tails / expected)  # the probability that it is no outlier
    if (ordinary == 1.0).all():
        return found
    worst = own[tails.argmin()]
    least = _median_at(float(ratios[worst]), int(freedom[worst]), usual)
    found[own] = np.where(ordinary == 1.0, weight, ordinary * usual + (1 - ordinary) * least)
    order = own[np.argsort(-tails)]  # none may weigh the prior more than one that lies nearer to it
    found[order] = np.maximum(np.minimum.accumulate(found[order]), LEAST)
    return found


def _median_at(ratio: float, freedom: int, usual: float) -> float:
    """The d0 at which half of F(freedom, d0) lies above ``ratio``; ``usual`` if more does already."""

    def excess(log: float) -> float:
        return float(special.fdtrc(freedom, math.exp(log), ratio)) - 0.5

    if excess(np.log(usual)) >= 0:
        return usual
    least = np.log(1e-3)
    if excess(least) <= 0:
        return float(np.exp(least))
    return float(np.exp(optimize.brentq(excess, least, np.log(usual))))
