"""What the architectures share. Activations are float32 and channels-last: (batch, positions, features) or
(batch, height, width, channels). ``params`` maps a checkpoint's name to its tensor in the layout of
``layout.py``; a missing name raises KeyError.
"""

from __future__ import annotations

import numpy as np
from max.driver import accelerator_api
from max.dtype import DType
from max.graph import DeviceRef, TensorValue, ops
from max.graph.dim import DimLike
from max.graph.type import FilterLayout

from frameworks.max.models.graph import Params


def linear(params: Params, name: str, x: TensorValue, bias: bool = False) -> TensorValue:
    """x @ weight transposed, + bias if the architecture has one: (..., in) -> (..., out)."""
    y = project(x, params[f"{name}.weight"])
    return y + params[f"{name}.bias"] if bias else y


def project(x: TensorValue, weight: TensorValue) -> TensorValue:
    """x @ weight transposed: (..., in) and (out, in) -> (..., out). The product reads it as it lies."""
    return x @ ops.transpose(weight, 0, 1)


def rms_norm(params: Params, name: str, x: TensorValue, eps: float) -> TensorValue:
    """x / sqrt(mean(x²) + eps) · weight over the last axis (Zhang and Sennrich 2019, eq. 4)."""
    return ops.rms_norm(x, params[f"{name}.weight"], eps)


def layer_norm(params: Params, name: str, x: TensorValue, eps: float) -> TensorValue:
    """Layer normalisation with weight and bias over the last axis (Ba et al. 2016, eq. 3 and 4)."""
    return ops.layer_norm(x, params[f"{name}.weight"], params[f"{name}.bias"], eps)


def group_norm(params: Params, name: str, x: TensorValue, groups: int, eps: float) -> TensorValue:
    """Group normalisation of (N, H, W, C) with weight and bias; C must divide into ``groups``
    (Wu and He 2018, eq. 7). MAX's op wants the channels first."""
    weight, bias = params[f"{name}.weight"], params[f"{name}.bias"]
    normal = ops.group_norm(ops.permute(x, [0, 3, 1, 2]), weight, bias, groups, eps)
    return ops.permute(normal, [0, 2, 3, 1])


def batch_norm(params: Params, name: str, x: TensorValue, eps: float) -> TensorValue:
    """Batch normalisation in its inference form, with the running statistics, over the last axis
    (Ioffe and Szegedy 2015, algorithm 2, step 11)."""
    scale = params[f"{name}.weight"] * ops.rsqrt(params[f"{name}.running_var"] + eps)
    return x * scale + (params[f"{name}.bias"] - params[f"{name}.running_mean"] * scale)


def output_first(device: DeviceRef) -> bool:
    """Whether filters have their output channels first on ``device``: on NVIDIA's cards.

    MAX 26.7 hands those to cuDNN there, and has for others one plain kernel, a thread for each pixel of the output
    (its max/kernels/src/nn/conv/conv.mojo, conv_gpu). Elsewhere it wants them last.
    """
    return device.is_gpu() and accelerator_api() == "cuda"


def filters(device: DeviceRef) -> FilterLayout:
    """The layout of a convolution's weights on ``device``."""
    return FilterLayout.FCRS if output_first(device) else FilterLayout.RSCF


def conv(
    params: Params, name: str, x: TensorValue, stride: int = 1, padding: int = 0, bias: bool = False
) -> TensorValue:
    """Convolution (cross-correlation) of (N, H, W, I) with an HWIO kernel (OIHW where ``output_first``),
    zero-padded alike on all sides, + bias if the architecture has one."""
    return ops.conv2d(
        x,
        params[f"{name}.weight"],
        filter_layout=filters(params[f"{name}.weight"].device),
        stride=(stride, stride),
        padding=(padding, padding, padding, padding),
        bias=params[f"{name}.bias"] if bias else None,
    )


def conv1d(params: Params, name: str, x: TensorValue, stride: int = 1, padding: int = 0) -> TensorValue:
    """Convolution of (N, L, I), zero-padded at both ends, + bias; the kernel is (1, L, I, O)."""
    y = ops.conv2d(
        ops.unsqueeze(x, 1),
        params[f"{name}.weight"],
        filter_layout=filters(params[f"{name}.weight"].device),
        stride=(1, stride),
        padding=(0, 0, padding, padding),
        bias=params[f"{name}.bias"],
    )
    return ops.squeeze(y, 1)


def heads(x: TensorValue, count: int) -> TensorValue:
    """(batch, positions, count · size) -> (batch, positions, count, size)."""
    batch, positions, features = x.shape
    return x.reshape((batch, positions, count, int(features) // count))


def attention(q: TensorValue, k: TensorValue, v: TensorValue, mask: TensorValue | None = None) -> TensorValue:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1), grouped where q has more heads than k, v.

    q (B, T, N, H), k and v (B, S, K, H) with N a multiple of K, mask (T, S) added to the scores
    -> (B, T, N · H). Each head of k and v serves the group of query heads after one another. Their products
    and the softmax stand next to one another, so that MAX makes one kernel of them. (To put the queries of a
    group below one another instead would make a dimension "group · T", which MAX 26.7 refuses in a subgraph.)
    """
    batch, positions, count, size = q.shape
    group = int(count) // int(k.shape[2])
    if group > 1:  # broadcast and reshaped instead, they make MAX's compiler crash
        k, v = (ops.repeat_interleave(x, group, axis=2) for x in (k, v))
    queries, keys, values = (ops.permute(x, [0, 2, 1, 3]) for x in (q, k, v))
    scores = queries @ ops.transpose(keys, 2, 3) * int(size) ** -0.5
    if mask is not None:
        scores = scores + mask
    y = ops.softmax(scores) @ values
    return ops.permute(y, [0, 2, 1, 3]).reshape((batch, positions, count * size))


def positions_of(x: TensorValue) -> TensorValue:
    """0, 1, … for every position of (batch, positions, …), int64 (positions,)."""
    length = x.shape[1]
    return ops.range(0, length, 1, out_dim=length, dtype=DType.int64, device=x.device)


def causal_mask(length: DimLike, device: DeviceRef) -> TensorValue:
    """-inf where the column's position comes after the row's, else 0: float32 (length, length).

    Not ``ops.where`` of compared positions: fused into the CPU's attention by MAX 26.7, it masks nothing.
    """
    blocked = ops.constant(-np.inf, DType.float32, device)
    return ops.band_part(ops.broadcast_to(blocked, (length, length)), num_upper=0, exclude=True)


def rope_tables(positions: int, size: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of position · theta^(-2i/size), each float32 (positions, 1, size / 2).

    Computed in float64 on the host: the angles reach ``positions`` radians, where float32 is coarse.
    """
    frequency = theta ** (-np.arange(0, size, 2, dtype=np.float64) / size)
    angle = np.arange(positions, dtype=np.float64)[:, None, None] * frequency
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def rotate(x: TensorValue, cos: TensorValue, sin: TensorValue) -> TensorValue:
    """Rotary position embedding of (B, T, N, H) (Su et al. 2021, eq. 34), in Hugging Face's pairing:
    element i turns with element i + H/2, not with its neighbour. cos and sin are (T, 1, H / 2)."""
    first, second = ops.chunk(x, 2, axis=-1)
    return ops.concat((first * cos - second * sin, second * cos + first * sin), axis=-1)


def swiglu(params: Params, name: str, x: TensorValue) -> TensorValue:
    """down(silu(gate x) · up x) (Shazeer 2020, eq. 6)."""
    gate = ops.silu(linear(params, f"{name}.gate_proj", x))
    return linear(params, f"{name}.down_proj", gate * linear(params, f"{name}.up_proj", x))
