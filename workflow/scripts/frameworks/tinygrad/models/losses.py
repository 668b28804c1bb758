"""The two losses of the arena, as scalars in float32."""

from __future__ import annotations

from collections.abc import Callable

from tinygrad import Tensor


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Mean of -log softmax(output)[target] over all positions.

    output (..., classes), target integer class indices, one per position. Nothing is shifted.
    """
    return output.reshape(-1, output.shape[-1]).sparse_categorical_crossentropy(target.flatten())


def mse(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference over all elements of two tensors of one shape.

    Raises ValueError if the shapes differ: broadcasting would hide a wrong target.
    """
    if output.shape != target.shape:
        raise ValueError(f"mse: output {output.shape} against target {target.shape}; expected equal shapes")
    return (output - target).square().mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"cross_entropy": cross_entropy, "mse": mse}
