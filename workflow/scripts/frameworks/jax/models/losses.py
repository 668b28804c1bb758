"""The two losses of the arena, as scalars in float32."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp


def cross_entropy(output: jax.Array, target: jax.Array) -> jax.Array:
    """Mean of -log softmax(output)[target] over all positions.

    output (..., classes), target integer class indices, one per position. Nothing is shifted.
    """
    logits = output.astype(jnp.float32).reshape(-1, output.shape[-1])
    chosen = jnp.take_along_axis(logits, target.reshape(-1, 1), axis=-1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - chosen)


def mse(output: jax.Array, target: jax.Array) -> jax.Array:
    """Mean squared difference over all elements of two arrays of one shape.

    Raises ValueError if the shapes differ: broadcasting would hide a wrong target.
    """
    if output.shape != target.shape:
        raise ValueError(f"mse: output {output.shape} against target {target.shape}; expected equal shapes")
    return jnp.mean(jnp.square(output.astype(jnp.float32) - target))


LOSSES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {"cross_entropy": cross_entropy, "mse": mse}
