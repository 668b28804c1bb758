"""The two losses of the arena, as scalars in float32."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def cross_entropy(output: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Mean of -log softmax(output)[target] over all positions.

    output (..., classes), target integer class indices, one per position. Nothing is shifted.
    """
    logits = tf.reshape(tf.cast(output, tf.float32), (-1, output.shape[-1]))
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.reshape(target, (-1,)), logits=logits)
    return tf.reduce_mean(each)


def mse(output: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Mean squared difference over all elements of two tensors of one shape.

    Raises ValueError if the shapes differ: broadcasting would hide a wrong target.
    """
    if output.shape != target.shape:
        raise ValueError(f"mse: output {output.shape} against target {target.shape}; expected equal shapes")
    return tf.reduce_mean(tf.square(tf.cast(output, tf.float32) - target))


LOSSES: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {"cross_entropy": cross_entropy, "mse": mse}
