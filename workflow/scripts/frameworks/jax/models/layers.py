"""What the architectures share. Activations have the params' dtype and are channels-last: (batch,
positions, features), (batch, length, channels) or (batch, height, width, channels). Statistics are taken
in float32 whatever that dtype. ``params`` maps a checkpoint's name to its tensor in the layout of
``frameworks/jax/models/layout.py``; a missing name raises KeyError.

How exact the products are is the caller's choice, by ``jax_default_matmul_precision``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Params = Mapping[str, jax.Array]


def linear(params: Params, name: str, x: jax.Array, bias: bool = False) -> jax.Array:
    """x @ kernel, + bias if the architecture has one: (..., in) -> (..., out)."""
    y = x @ params[f"{name}.weight"]
    return y + params[f"{name}.bias"] if bias else y


def rms_norm(params: Params, name: str, x: jax.Array, eps: float) -> jax.Array:
    """x / sqrt(mean(x²) + eps) · weight over the last axis (Zhang and Sennrich 2019, eq. 4)."""
    exact = x.astype(jnp.float32)
    normal = exact * lax.rsqrt(jnp.mean(jnp.square(exact), axis=-1, keepdims=True) + eps)
    return normal.astype(x.dtype) * params[f"{name}.weight"]


def _standardise(x: jax.Array, axes: Sequence[int], eps: float) -> jax.Array:
    exact = x.astype(jnp.float32)
    centred = exact - jnp.mean(exact, axis=axes, keepdims=True)
    normal = centred * lax.rsqrt(jnp.mean(jnp.square(centred), axis=axes, keepdims=True) + eps)
    return normal.astype(x.dtype)


def layer_norm(params: Params, name: str, x: jax.Array, eps: float) -> jax.Array:
    """Layer normalisation with weight and bias over the last axis (Ba et al. 2016, eq. 3 and 4)."""
    return _standardise(x, (-1,), eps) * params[f"{name}.weight"] + params[f"{name}.bias"]


def group_norm(params: Params, name: str, x: jax.Array, groups: int, eps: float) -> jax.Array:
    """Group normalisation of (N, H, W, C) with weight and bias; C must divide into ``groups``
    (Wu and He 2018, eq. 7)."""
    batch, height, width, channels = x.shape
    grouped = x.reshape(batch, height, width, groups, channels // groups)
    normal = _standardise(grouped, (1, 2, 4), eps).reshape(x.shape)
    return normal * params[f"{name}.weight"] + params[f"{name}.bias"]


def batch_norm(params: Params, name: str, x: jax.Array, eps: float) -> jax.Array:
    """Batch normalisation in its inference form, with the running statistics, over the last axis
    (Ioffe and Szegedy 2015, algorithm 2, step 11)."""
    scale = params[f"{name}.weight"] * lax.rsqrt(params[f"{name}.running_var"] + eps)
    return x * scale + (params[f"{name}.bias"] - params[f"{name}.running_mean"] * scale)


def conv(
    params: Params, name: str, x: jax.Array, stride: int = 1, padding: int = 0, bias: bool = False
) -> jax.Array:
    """Convolution (cross-correlation), symmetrically zero-padded, + bias if the architecture has one.

    (N, H, W, I) with an HWIO kernel, or (N, L, I) with a LIO one, by the rank of ``x``.
    """
    spatial = x.ndim - 2
    layout = ("NHWC", "HWIO", "NHWC") if spatial == 2 else ("NLC", "LIO", "NLC")
    y = lax.conv_general_dilated(
        x,
        params[f"{name}.weight"],
        window_strides=(stride,) * spatial,
        padding=((padding, padding),) * spatial,
        dimension_numbers=layout,
    )
    return y + params[f"{name}.bias"] if bias else y


def heads(x: jax.Array, count: int) -> jax.Array:
    """(batch, positions, count · size) -> (batch, positions, count, size)."""
    return x.reshape(*x.shape[:2], count, -1)


def attention(
    q: jax.Array, k: jax.Array, v: jax.Array, causal: bool = False, used: jax.Array | None = None
) -> jax.Array:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1), grouped where q has more heads than k, v.

    q (B, T, N, H), k and v (B, S, K, H) with N a multiple of K -> (B, T, N · H). ``used`` (B,) int32
    limits it to that many of the S keys.
    """
    y = jax.nn.dot_product_attention(q, k, v, is_causal=causal, key_value_seq_lengths=used)
    return y.reshape(*y.shape[:2], -1)


def rope_tables(positions: int, size: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of position · theta^(-2i/size), each float32 (positions, 1, size / 2).

    Computed in float64 on the host: the angles reach ``positions`` radians, where float32 is coarse.
    """
    frequency = theta ** (-np.arange(0, size, 2, dtype=np.float64) / size)
    angle = np.arange(positions, dtype=np.float64)[:, None, None] * frequency
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def rotate(x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    """Rotary position embedding of (B, T, N, H) (Su et al. 2021, eq. 34), in Hugging Face's pairing:
    element i turns with element i + H/2, not with its neighbour. The tables are (T, 1, H / 2)."""
    cos, sin = cos.astype(x.dtype), sin.astype(x.dtype)
    first, second = jnp.split(x, 2, axis=-1)
    return jnp.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)


def swiglu(params: Params, name: str, x: jax.Array) -> jax.Array:
    """down(silu(gate x) · up x) (Shazeer 2020, eq. 6)."""
    gate = jax.nn.silu(linear(params, f"{name}.gate_proj", x))
    return linear(params, f"{name}.down_proj", gate * linear(params, f"{name}.up_proj", x))
