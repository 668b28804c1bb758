"""Weights from a seed: the same bytes on every machine, in any order, under any numpy.

Each tensor has its own counter-based generator, keyed by the seed and the tensor's name, so that no
tensor depends on which others were made before it. Only the generator's raw integers are used and only
IEEE additions, multiplications and square roots act on them: numpy's distributions may change between
versions, and libm's logarithms differ between machines.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

GENERATOR = "philox-uniform-1"  # changes whenever the bytes change


@dataclass(frozen=True)
class Spec:
    """How one tensor is initialised: uniform around ``offset`` with standard deviation ``scale``.

    One that is not ``trained`` is a constant of the model: training gives no gradient of it. One that has no
    ``effect`` is in the checkpoint, and the output does not depend on it.
    """

    shape: tuple[int, ...]
    scale: float
    offset: float = 0.0
    trained: bool = True
    effect: bool = True


def tensor(seed: int, name: str, spec: Spec) -> np.ndarray:
    """The float32 tensor ``name`` of the model seeded with ``seed``, of ``spec.shape`` in C order.

    Values are uniform on offset ± √3·scale (a uniform variable on ±√3 has variance 1). The integers are
    those of Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011)
    from counter 0, with the first 128 bits of SHA-256("{seed}:{name}") as the key; each 64-bit integer
    gives two values, the low half first, from the upper 24 bits of each half.
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = np.random.Philox(key=int.from_bytes(digest[:16], "little"))
    size = math.prod(spec.shape)
    raw = generator.random_raw((size + 1) // 2)
    halves = raw.astype("<u8", copy=False).view("<u4")[:size]
    # (2k + 1 - 2^24) / 2^24 for a 24-bit k: symmetric around zero, never zero, exact in float64
    centred = (halves >> np.uint32(8)).astype(np.float64)
    centred *= 2.0
    centred += 1.0 - 2.0**24
    centred *= math.sqrt(3.0) * spec.scale * 2.0**-24
    centred += spec.offset
    return centred.astype(np.float32).reshape(spec.shape)


def tensors(seed: int, specs: Mapping[str, Spec]) -> dict[str, np.ndarray]:
    """Every tensor of ``specs`` under its name, float32."""
    return {name: tensor(seed, name, spec) for name, spec in specs.items()}


def trained(specs: Mapping[str, Spec]) -> set[str]:
    """The names of the tensors whose gradients training gives."""
    return {name for name, spec in specs.items() if spec.trained and spec.effect}


def parameter_count(specs: Mapping[str, Spec]) -> int:
    """Number of values in all tensors of ``specs``."""
    return sum(math.prod(spec.shape) for spec in specs.values())
