"""What the architectures share. Activations have the weights' dtype and are channels-last: (batch, positions,
features), (batch, length, channels) or (batch, height, width, channels). Statistics are taken in float32 whatever that
dtype. ``params`` maps a checkpoint's name to its variable in the layout of ``layout.py``; a missing name raises
KeyError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

Params = Mapping[str, tf.Variable]


def linear(params: Params, name: str, x: tf.Tensor, bias: bool = False) -> tf.Tensor:
    """x @ kernel, + bias if the architecture has one: (..., in) -> (..., out)."""
    y = tf.tensordot(x, params[f"{name}.weight"], 1)
    return y + params[f"{name}.bias"] if bias else y


def rms_norm(params: Params, name: str, x: tf.Tensor, eps: float) -> tf.Tensor:
    """x / sqrt(mean(x²) + eps) · weight over the last axis (Zhang and Sennrich 2019, eq. 4)."""
    exact = tf.cast(x, tf.float32)
    normal = exact * tf.math.rsqrt(tf.reduce_mean(tf.square(exact), axis=-1, keepdims=True) + eps)
    return tf.cast(normal, x.dtype) * params[f"{name}.weight"]


def _standardise(x: tf.Tensor, axes: Sequence[int], eps: float) -> tf.Tensor:
    exact = tf.cast(x, tf.float32)
    centred = exact - tf.reduce_mean(exact, axis=axes, keepdims=True)
    normal = centred * tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axis=axes, keepdims=True) + eps)
    return tf.cast(normal, x.dtype)


def layer_norm(params: Params, name: str, x: tf.Tensor, eps: float) -> tf.Tensor:
    """Layer normalisation with weight and bias over the last axis (Ba et al. 2016, eq. 3 and 4)."""
    return _standardise(x, (-1,), eps) * params[f"{name}.weight"] + params[f"{name}.bias"]


def group_norm(params: Params, name: str, x: tf.Tensor, groups: int, eps: float) -> tf.Tensor:
    """Group normalisation of (N, H, W, C) with weight and bias; C must divide into ``groups``
    (Wu and He 2018, eq. 7)."""
    batch, height, width, channels = x.shape
    grouped = tf.reshape(x, (batch, height, width, groups, channels // groups))
    normal = tf.reshape(_standardise(grouped, (1, 2, 4), eps), x.shape)
    return normal * params[f"{name}.weight"] + params[f"{name}.bias"]


def batch_norm(params: Params, name: str, x: tf.Tensor, eps: float) -> tf.Tensor:
    """Batch normalisation in its inference form, with the running statistics, over the last axis
    (Ioffe and Szegedy 2015, algorithm 2)."""
    variance = tf.cast(params[f"{name}.running_var"], tf.float32)
    scale = tf.cast(params[f"{name}.weight"], tf.float32) * tf.math.rsqrt(variance + eps)
    mean = tf.cast(params[f"{name}.running_mean"], tf.float32)
    shift = tf.cast(params[f"{name}.bias"], tf.float32) - mean * scale
    return x * tf.cast(scale, x.dtype) + tf.cast(shift, x.dtype)


def conv(
    params: Params, name: str, x: tf.Tensor, stride: int = 1, padding: int = 0, bias: bool = False
) -> tf.Tensor:
    """Convolution (cross-correlation), symmetrically zero-padded, + bias if the architecture has one.

    (N, H, W, I) with a HWIO kernel, or (N, L, I) with a LIO one, by the rank of ``x``.
    """
    if x.shape.rank == 3:  # conv1d takes no explicit padding
        x = tf.pad(x, ((0, 0), (padding, padding), (0, 0)))
        y = tf.nn.conv1d(x, params[f"{name}.weight"], stride, "VALID")
    else:
        pads = ((0, 0), (padding, padding), (padding, padding), (0, 0))
        y = tf.nn.conv2d(x, params[f"{name}.weight"], stride, pads)
    return y + params[f"{name}.bias"] if bias else y


def heads(x: tf.Tensor, count: int) -> tf.Tensor:
    """(batch, positions, count · size) -> (batch, positions, count, size)."""
    return tf.reshape(x, (*x.shape[:2], count, x.shape[2] // count))


def attention(
    q: tf.Tensor, k: tf.Tensor, v: tf.Tensor, causal: bool = False, used: tf.Tensor | None = None
) -> tf.Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1), grouped where q has more heads than k, v.

    q (B, T, N, H), k and v (B, S, K, H) with N a multiple of K -> (B, T, N · H). ``used`` () int32 limits it to that
    many of the S keys.
    """
    batch, time, count, size = q.shape
    keys, groups = k.shape[1:3]
    grouped = tf.reshape(q, (batch, time, groups, count // groups, size))
    scores = tf.cast(tf.einsum("btkgh,bskh->bkgts", grouped, k), tf.float32) * size**-0.5
    if causal:
        scores = tf.where(np.tri(time, keys, dtype=bool), scores, scores.dtype.min)
    if used is not None:
        scores = tf.where(tf.range(keys) < used, scores, scores.dtype.min)
    weights = tf.cast(tf.nn.softmax(scores), v.dtype)
    return tf.reshape(tf.einsum("bkgts,bskh->btkgh", weights, v), (batch, time, count * size))


def rope_tables(positions: int, size: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of position · theta^(-2i/size), each float32 (positions, 1, size / 2).

    Computed in float64 on the host: the angles reach ``positions`` radians, where float32 is coarse.
    """
    frequency = theta ** (-np.arange(0, size, 2, dtype=np.float64) / size)
    angle = np.arange(positions, dtype=np.float64)[:, None, None] * frequency
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def rotate(x: tf.Tensor, cos: tf.Tensor | np.ndarray, sin: tf.Tensor | np.ndarray) -> tf.Tensor:
    """Rotary position embedding of (B, T, N, H) (Su et al. 2021, eq. 34), in Hugging Face's pairing:
    element i turns with element i + H/2, not with its neighbour. The tables are (T, 1, H / 2)."""
    cos, sin = tf.cast(cos, x.dtype), tf.cast(sin, x.dtype)
    first, second = tf.split(x, 2, axis=-1)
    return tf.concat((first * cos - second * sin, second * cos + first * sin), axis=-1)


def swiglu(params: Params, name: str, x: tf.Tensor) -> tf.Tensor:
    """down(silu(gate x) · up x) (Shazeer 2020, eq. 6)."""
    gate = tf.nn.silu(linear(params, f"{name}.gate_proj", x))
    return linear(params, f"{name}.down_proj", gate * linear(params, f"{name}.up_proj", x))
