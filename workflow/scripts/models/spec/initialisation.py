"""How tensors of one kind are initialised, and what a definition does not implement."""

from __future__ import annotations

import math
from typing import Any

from arena.weights.seeded import Spec

# Standard deviation of the attention scores before the softmax, for inputs of unit variance. At 1.5 a
# query prefers some keys clearly, so that positions, masks and the order of a head's dimensions matter.
ATTENTION_SCORE_STD = 1.5
QUERY_KEY_GAIN = math.sqrt(ATTENTION_SCORE_STD)
RELU_GAIN = math.sqrt(2.0)  # He et al. 2015: half of the variance does not pass a ReLU


def weight(*shape: int, gain: float = 1.0) -> Spec:
    """A linear (out, in) or convolution (out, in, *kernel) weight: standard deviation gain/√fan_in."""
    return Spec(shape, gain / math.sqrt(math.prod(shape[1:])))


def embedding(count: int, size: int) -> Spec:
    """A (count, size) table that also serves as the output head: logits of unit variance."""
    return Spec((count, size), 1.0 / math.sqrt(size))


def norm_weight(size: int) -> Spec:
    """The scale of a normalisation, (size,): near 1 but not all equal."""
    return Spec((size,), 0.1, 1.0)


def bias(size: int, scale: float = 0.1) -> Spec:
    """A bias, (size,): small beside activations of unit variance, but not negligible."""
    return Spec((size,), scale)


def residual_gain(branches: int) -> float:
    """Gain of a residual branch's last weight, so that the sum of ``branches`` stays of order one.

    Radford et al. 2019 (GPT-2), section 2.3.
    """
    return 1.0 / math.sqrt(branches)


def require(config: dict[str, Any], **values: Any) -> None:
    """Raise ValueError for a key of ``config`` that is set to anything but what is implemented here."""
    for key, value in values.items():
        if config.get(key, value) != value:
            raise ValueError(
                f"architecture.{key}: {config[key]!r} is not implemented by definition "
                f"{config.get('definition')!r}, only {value!r} is; give the model a definition of its own"
            )
