"""The two losses of the arena, as float32 scalars whatever the lane."""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx
import mlx.nn as nn


def cross_entropy(output: mx.array, target: mx.array) -> mx.array:
    """Mean of -log softmax(output)[target] over all positions.

    output (..., classes), target integer class indices, one per position. Nothing is shifted.
    """
    logits = output.astype(mx.float32).reshape(-1, output.shape[-1])
    return nn.losses.cross_entropy(logits, target.reshape(-1), reduction="mean")


def mse(output: mx.array, target: mx.array) -> mx.array:
    """Mean squared difference over all elements of two arrays of one shape; else ValueError."""
    return nn.losses.mse_loss(output.astype(mx.float32), target, reduction="mean")


LOSSES: dict[str, Callable[[mx.array, mx.array], mx.array]] = {"cross_entropy": cross_entropy, "mse": mse}
