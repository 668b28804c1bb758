"""What each round did to the whole machine: log median = cell + round + rest, where not every cell ran in each.

A block is a round, or a part of a platform's measurements (docs/gpu.md: an allocation's round), in which MIN_CELLS
cells or more ran that ran in another block too. The effects of blocks are Huber's M-estimate of the two-way additive
fit (Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964; tuning constant
1.345, scale by the median absolute rest, by iterated weighted least squares), done twice: the second time a cell whose
processes vary more than usual weighs less. A bad process counts as one that is somewhat off, so that it does not pass
for what its round did.

The effects' covariance C is the usual variance of a process times the pseudo-inverse of L, over Huber's efficiency at
the normal; L is the sum over cells of g (diag N - N N' / n) (Searle, "Linear models for unbalanced data", 1987, chapter
4). N says in which blocks a cell ran, n in how many, g is its weight. Cells tell of differences between blocks only,
and of nothing between blocks that no cell links: P projects on what they tell of.

The effects are taken for draws with one variance, found by moments (DerSimonian and Laird, "Meta-analysis in clinical
trials", Controlled Clinical Trials 7, 1986), and what is taken out are their best linear predictors (Robinson, "That
BLUP is a good thing", Statistical Science 6, 1991): of a round in which few cells ran, and those that vary, hardly
anything, where rounds do little. What is left unknown of them stays in the variance.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from scipy import special

MIN_CELLS = 5  # of a block
TUNING, EFFICIENCY = 1.345, 0.95  # Huber's, and what it leaves of the information at the normal
MAD = 0.6745  # median absolute value of a standard normal
PRIOR = 3.0  # degrees of freedom that the usual variance has beside a cell's own, where cells are weighed
STEPS = 30  # of the iteration; each gains about a digit, and a hundredth of the scale is enough

Key = TypeVar("Key", bound=Hashable)  # of a cell


@dataclass(frozen=True)
class Fit(Generic[Key]):
    """The cells without what their rounds did. Arrays by round have ``names``' order."""

    rests: dict[
        Key, np.ndarray
    ]  # log medians less the effects of their rounds as they were found, for the variance
    means: dict[Key, float]  # log medians less what is taken out of them
    own: dict[Key, float]  # degrees of freedom that a cell's rest has about its mean
    freedom: float  # of all cells together
    weights: dict[Key, np.ndarray]  # (rounds,): of each in the cell's mean
    open: np.ndarray  # (rounds, rounds), the covariance of what is not known of effects that cells tell of
    untold: np.ndarray  # (rounds, rounds), the projection on what they do not tell of
    rounds: float  # variance of a round's effect
    rounds_freedom: float

    def unsure(self, contrast: np.ndarray) -> list[tuple[float, float]]:
        """What rounds leave open of ``contrast`` (rounds,) of their effects: [(variance, degrees of freedom)]."""
        untold = float(contrast @ self.untold @ contrast)
        return [
            (max(0.0, float(contrast @ self.open @ contrast)), self.freedom),
            (self.rounds * untold, self.rounds_freedom),
        ]


def fit(logs: Mapping[Key, np.ndarray], rounds: Mapping[Key, Sequence[Hashable]]) -> Fit[Key]:
    """``logs``: by cell, log medians of its processes; ``rounds``: in which round each of them ran.

    Raises ValueError if a cell ran twice in one round, or the two do not match.
    """
    for key, values in logs.items():
        if len(set(rounds[key])) != values.size or len(rounds[key]) != values.size:
            raise ValueError(
                f"{key}: {values.size} processes in rounds {list(rounds[key])}; expected one in each"
            )
    keys = list(logs)
    names = list(dict.fromkeys(name for key in keys for name in rounds[key]))
    places = {name: place for place, name in enumerate(names)}
    ran = np.zeros((len(keys), len(names)))
    values = np.zeros_like(ran)
    for index, key in enumerate(keys):
        where = [places[name] for name in rounds[key]]
        ran[index, where], values[index, where] = 1.0, logs[key]

    counts = ran.sum(axis=1)
    size = len(names)
    cells, columns = _blocks(ran)
    part, told = np.ix_(cells, columns), np.ix_(columns, columns)
    effects, inverse, known = np.zeros(size), np.zeros((size, size)), np.zeros((size, size))
    weights, own, usual = np.ones(len(keys)), counts - 1, 0.0
    for _ in range(2 if columns.any() else 0):
        laplacian, _ = _normal(values[part], ran[part] * weights[cells, None])
        found = np.linalg.pinv(laplacian, hermitian=True)
        inverse[told], known[told] = found, laplacian @ found
        effects[columns] = _effects(values[part], ran[part], weights[cells])
        # Of its degrees of freedom a cell gives those to the effects that they were found from.
        given = ran @ np.diag(inverse) - np.einsum("ij,jk,ik->i", ran, inverse, ran) / counts
        own = np.maximum(counts - 1 - weights * given, 0.0)
        squares = _squares(values - effects, ran)
        telling = own >= 0.5
        # The median of chi-square, which one bad process does not move.
        usual = float(np.median(squares[telling] / (2 * special.gammaincinv(own[telling] / 2, 0.5))))
        if usual > 0.0:
            weights = np.minimum(1.0, (PRIOR + own) / (PRIOR + squares / usual))

    rank = round(float(np.trace(known)))
    covariance = usual / EFFICIENCY * inverse
    rounds_variance = _variance(effects, covariance, rank) if rank else 0.0
    gain = rounds_variance * known @ np.linalg.pinv(rounds_variance * known + covariance, hermitian=True)
    taken = gain @ effects
    return Fit(
        rests={key: (values - effects)[index, ran[index] > 0] for index, key in enumerate(keys)},
        means={key: float((values - taken)[index, ran[index] > 0].mean()) for index, key in enumerate(keys)},
        own={key: float(own[index]) for index, key in enumerate(keys)},
        freedom=float(own.sum()),
        weights={key: ran[index] / counts[index] for index, key in enumerate(keys)},
        open=rounds_variance * (known - gain @ known),
        untold=np.eye(size) - known,
        rounds=rounds_variance,
        rounds_freedom=float(max(rank, 1)),
    )


def _squares(values: np.ndarray, ran: np.ndarray) -> np.ndarray:
    """(cells,) of the sum of squares about each one's mean."""
    rests = np.where(ran > 0, values, 0.0)
    centred = np.where(ran > 0, rests - (rests.sum(axis=1) / ran.sum(axis=1))[:, None], 0.0)
    found: np.ndarray = (centred**2).sum(axis=1)
    return found


def _variance(effects: np.ndarray, covariance: np.ndarray, rank: int) -> float:
    """Of a block's effect, where ``effects`` were found with ``covariance``."""
    if not covariance.any():
        return float(effects @ effects) / rank
    precision = np.linalg.pinv(covariance, hermitian=True)
    return max(0.0, float(effects @ precision @ effects) - rank) / float(np.trace(precision))


def _blocks(ran: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(cells that tell of blocks, rounds that are blocks), each a mask."""
    columns = np.ones(ran.shape[1], dtype=bool)
    while True:
        cells = ran[:, columns].sum(axis=1) >= 2
        kept = columns & (ran[cells].sum(axis=0) >= MIN_CELLS)
        if (kept == columns).all():
            return cells, columns
        columns = kept


def _normal(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(L, right side) of the effects' normal equations, the cells' levels eliminated."""
    totals = weights.sum(axis=1)
    levels = (weights * values).sum(axis=1) / totals
    left = np.diag(weights.sum(axis=0)) - (weights / totals[:, None]).T @ weights
    return left, (weights * (values - levels[:, None])).sum(axis=0)


def _effects(values: np.ndarray, ran: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The blocks' effects (blocks,) from ``values`` (cells, blocks), where a cell ``ran``; ``weights`` (cells,)."""
    precision = ran * weights[:, None]
    own = np.sqrt(precision)
    current = precision
    effects = np.zeros(ran.shape[1])
    for _ in range(STEPS):
        before = effects
        effects = np.linalg.lstsq(*_normal(values, current), rcond=1e-9)[0]
        levels = (current * (values - effects)).sum(axis=1) / current.sum(axis=1)
        rests = own * np.abs(values - effects - levels[:, None])
        scale = float(np.median(rests[ran > 0])) / MAD
        if scale == 0.0 or np.abs(effects - before).max() < 0.01 * scale:
            break
        current = precision * np.minimum(1.0, TUNING * scale / np.maximum(rests, 1e-300))
    return effects
