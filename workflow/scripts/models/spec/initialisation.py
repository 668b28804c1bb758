"""How tensors of one kind are initialised, and what a definition does not implement."""

from __future__ import annotations

import math
from typing import Any

from arena.weights.seeded import Scales, Spec

# The figures below were chosen so that a LLaMA decoder of them has the outliers, the logits and the errors in
# eight bits of a trained one; docs/weights.md compares the two.

# Standard deviation of the attention scores before the softmax, for inputs of unit variance: a query prefers few
# keys clearly, so that positions, masks and the order of a head's dimensions matter.
ATTENTION_SCORE_STD = 2.5
QUERY_KEY_GAIN = math.sqrt(ATTENTION_SCORE_STD)
RELU_GAIN = math.sqrt(2.0)  # He et al. 2015: half of the variance does not pass a ReLU
EMBEDDING_STD = 5.6 / 24  # beside all residual branches, which add up to about 1
COMMON_SHARE = 0.6  # of an embedding's variance that all its tokens have in common
FINAL_NORM_GAIN = 1.25

# How heavy the tails of each kind of tensor are, by output channel (Scales).
EVEN, ORDINARY, HEADS, INNER, STREAM = 0, 1, 2, 2, 4


def weight(*shape: int, gain: float = 1.0, eighths: int = ORDINARY, name: str | None = None) -> Spec:
    """A linear (out, in) or convolution (out, in, *kernel) weight: standard deviation gain/√fan_in.

    Its output channels have scales of their own, or share those of ``name``.
    """
    return Spec(shape, gain / math.sqrt(math.prod(shape[1:])), scales=Scales(eighths, name))


def writing(*shape: int, stream: str, gain: float = 1.0) -> Spec:
    """The last weight of a residual branch: all that write to one ``stream`` agree on its outlier channels."""
    return weight(*shape, gain=gain, eighths=STREAM, name=stream)


def gated(inner: int, hidden: int, layer: str) -> Spec:
    """A (inner, hidden) weight whose outputs one other of ``layer`` multiplies: both agree on which are large."""
    return weight(inner, hidden, eighths=INNER, name=f"{layer}.inner")


def embedding(count: int, size: int, share: float = COMMON_SHARE) -> Spec:
    """A (count, size) table that also serves as the output head; a ``share`` of its rows' variance is a common vector.

    That vector moves all logits of a position together.
    """
    return Spec(
        (count, size), EMBEDDING_STD, scales=Scales(EVEN), common=Scales(EVEN, signed=True), share=share
    )


def positions(count: int, size: int) -> Spec:
    """A (count, size) table that is added to an embedding's rows, and as large."""
    return Spec((count, size), EMBEDDING_STD, scales=Scales(ORDINARY))


def norm_weight(size: int) -> Spec:
    """The scale of a normalisation, (size,): near 1 but not all equal."""
    return Spec((size,), 1.0, scales=Scales(ORDINARY))


def final_norm_weight(size: int) -> Spec:
    """The scale of the normalisation before a head that is the embedding, (size,).

    Half of it is negative, so that a token's own embedding in the stream does not make it the likeliest next one.
    """
    return Spec((size,), FINAL_NORM_GAIN, scales=Scales(ORDINARY, signed=True))


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
