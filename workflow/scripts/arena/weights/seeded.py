"""Weights from a seed: the same bytes on every machine, in any order, under any numpy.

Each tensor has its own counter-based generator, keyed by the seed and the tensor's name, so that no
tensor depends on which others were made before it. Only the generator's raw integers are used and only
IEEE additions, multiplications, divisions and square roots act on them, one after the other: numpy's
distributions and the order of its sums may change between versions, and libm differs between machines.

Trained weights have heavy tails, and activations in which few channels stand out. ``Scales`` is where both
come from; docs/weights.md has what they were calibrated to.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from arena.weights.generation import GENERATOR as GENERATOR

CHUNK = 1 << 19  # values drawn at a time: 4 MiB an array


@dataclass(frozen=True)
class Scales:
    """Factors of an axis, of root mean square 1: u^(-eighths/8) for u = 0.5/n, 1.5/n, … in an order of their own.

    Their tail is that of a Pareto distribution with exponent 8/``eighths``: at 4 the largest of 576 is 24 times
    their median, at 1 twice. The order is drawn by ``name``, so that tensors of one seed that name the same scales
    agree on which channels stand out; without a name, a tensor's own name is taken.
    """

    eighths: int
    name: str | None = None
    signed: bool = False


@dataclass(frozen=True)
class Spec:
    """How one tensor is initialised.

    Without ``scales``: uniform around ``offset`` with standard deviation ``scale``. With them, a vector is its
    scales times ``scale``. Anything larger is heavy-tailed noise of standard deviation ``scale``, times the scales
    along its first axis; ``share`` of its variance is a vector that all rows have in common, the scales ``common`` with
    signs.

    One that is not ``trained`` is a constant of the model: training gives no gradient of it. One that has no
    ``effect`` is in the checkpoint, and the output does not depend on it.
    """

    shape: tuple[int, ...]
    scale: float
    offset: float = 0.0
    trained: bool = True
    effect: bool = True
    scales: Scales | None = None
    common: Scales | None = None
    share: float = 0.0


def tensor(seed: int, name: str, spec: Spec) -> np.ndarray:
    """The float32 tensor ``name`` of the model seeded with ``seed``, of ``spec.shape`` in C order.

    The integers are those of Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
    SC 2011) from counter 0, with the first 128 bits of SHA-256("{seed}:{name}") as the key.
    """
    if spec.scales is None:
        return _uniform(seed, name, spec)
    factors = scales(seed, f"{name}:scales", spec.shape[0], spec.scales)
    if len(spec.shape) == 1:
        return (factors * spec.scale).astype(np.float32)
    return _heavy(seed, name, spec, factors)


def _philox(seed: int, name: str) -> np.random.Philox:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return np.random.Philox(key=int.from_bytes(digest[:16], "little"))


def scales(seed: int, name: str, size: int, which: Scales) -> np.ndarray:
    """The ``size`` factors of ``which``, float64; drawn by ``name`` if it has none.

    Of ``size`` integers the i-th smallest has the i-th u; its lowest bit is the sign, where there are signs.
    """
    raw = _philox(seed, which.name or name).random_raw(size)
    order = np.argsort(raw, kind="stable")
    u = np.empty(size)
    u[order] = (np.arange(size) + 0.5) / size
    eighth = _eighth_root(u)
    power = np.ones(size)
    for _ in range(abs(which.eighths)):
        power *= eighth
    factors = 1.0 / power if which.eighths > 0 else power
    factors /= math.sqrt(math.fsum(factors * factors) / size)
    if which.signed:
        factors *= 1.0 - 2.0 * (raw & np.uint64(1)).astype(np.float64)
    return factors


def _eighth_root(x: np.ndarray) -> np.ndarray:
    root: np.ndarray = np.sqrt(np.sqrt(np.sqrt(x)))
    return root


def _uniform(seed: int, name: str, spec: Spec) -> np.ndarray:
    """Uniform on offset ± √3·scale: a uniform variable on ±√3 has variance 1.

    Each 64-bit integer gives two values, the low half first, from the upper 24 bits of each half.
    """
    size = math.prod(spec.shape)
    raw = _philox(seed, name).random_raw((size + 1) // 2)
    halves = raw.astype("<u8", copy=False).view("<u4")[:size]
    # (2k + 1 - 2^24) / 2^24 for a 24-bit k: symmetric around zero, never zero, exact in float64
    centred = (halves >> np.uint32(8)).astype(np.float64)
    centred *= 2.0
    centred += 1.0 - 2.0**24
    centred *= math.sqrt(3.0) * spec.scale * 2.0**-24
    centred += spec.offset
    return centred.astype(np.float32).reshape(spec.shape)


def _heavy(seed: int, name: str, spec: Spec, factors: np.ndarray) -> np.ndarray:
    """Noise with tails, times ``factors`` along the first axis, and what is common to every row.

    Each 64-bit integer gives one value: the sum of three uniform variables on ±1 (variance 1, nearly normal)
    from its lower 16-bit parts, over the eighth root of one on (0, 1) from the last. E u^(-1/4) = 4/3, so that
    √(3/4) makes the variance 1 again.
    """
    row = math.prod(spec.shape[1:])
    tail = math.sqrt(0.75) * 2.0**-16 / _eighth_root((np.arange(65536) + 0.5) / 65536)
    common = np.zeros(row)
    if spec.common:
        common = scales(seed, f"{name}:common", row, spec.common) * (math.sqrt(spec.share) * spec.scale)
    factors = factors * (math.sqrt(1.0 - spec.share) * spec.scale)
    generator = _philox(seed, name)
    result = np.empty((spec.shape[0], row), np.float32)
    step = max(1, CHUNK // row)
    for first in range(0, spec.shape[0], step):
        part = slice(first, min(first + step, spec.shape[0]))
        count = (part.stop - first) * row
        quarters = generator.random_raw(count).astype("<u8", copy=False).view("<u2").reshape(count, 4)
        # 2 (j + k + m) + 3 - 3 · 2^16: symmetric around zero, exact
        values = quarters[:, 0].astype(np.float64)
        values += quarters[:, 1]
        values += quarters[:, 2]
        values *= 2.0
        values += 3.0 - 3.0 * 2.0**16
        values *= tail[quarters[:, 3]]
        values = values.reshape(-1, row)
        values *= factors[part, None]
        values += common
        result[part] = values
    return result.reshape(spec.shape)


def tensors(seed: int, specs: Mapping[str, Spec]) -> dict[str, np.ndarray]:
    """Every tensor of ``specs`` under its name, float32."""
    return {name: tensor(seed, name, spec) for name, spec in specs.items()}


def trained(specs: Mapping[str, Spec]) -> set[str]:
    """The names of the tensors whose gradients training gives."""
    return {name for name, spec in specs.items() if spec.trained and spec.effect}


def parameter_count(specs: Mapping[str, Spec]) -> int:
    """Number of values in all tensors of ``specs``."""
    return sum(math.prod(spec.shape) for spec in specs.values())
