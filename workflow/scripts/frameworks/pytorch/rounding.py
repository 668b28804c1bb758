"""Arithmetic of reduced precision, imitated: what a row measures that computes right, with fewer bits.

``imitation`` gives, for a rounding, the dtype in which a module runs and the mode that rounds the factors of its
products. bfloat16 and float16 are the real dtypes throughout: weights, activations, sums and outputs. TF32
and int8 round the factors of every product and compute in float32, as the hardware and the libraries do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Rounding = Callable[[Tensor], Tensor]
PRODUCTS = (functional.linear, torch.conv1d, torch.conv2d, functional.conv1d, functional.conv2d)
ATTENTION = functional.scaled_dot_product_attention


class Rounded(TorchFunctionMode):
    """Rounds the factors of every product with weights, and of attention's where ``attention`` is given."""

    def __init__(self, activations: Rounding, weights: Rounding, attention: Rounding | None = None):
        super().__init__()
        self.activations, self.weights, self.attention = activations, weights, attention

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in PRODUCTS:
            x, weight, *rest = args
            args = (straight(self.activations, x), straight(self.weights, weight), *rest)
        elif function is functional.embedding:
            ids, weight, *rest = args
            args = (ids, straight(self.weights, weight), *rest)
        elif function is ATTENTION and self.attention:
            args = tuple(straight(self.attention, each) for each in args)
        return function(*args, **(kwargs or {}))


def straight(rounding: Rounding, x: Tensor) -> Tensor:
    """``x`` rounded; its gradient passes as if it were not (Bengio, Léonard and Courville 2013)."""
    return x + (rounding(x.detach()) - x.detach())


def tf32(x: Tensor) -> Tensor:
    """float32 with 11 significant bits, ties away from zero in magnitude, as NVIDIA's conversion rounds."""
    bits = x.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


def blocks_of_32(x: Tensor) -> Tensor:
    """GGML's Q8_0 along the last axis: 32 values share the float16 scale max |x| / 127."""
    width = x.shape[-1]
    padded = functional.pad(x, (0, -width % 32)).unflatten(-1, (-1, 32))
    return _eight_bits(padded, (-1,), torch.float16).flatten(-2)[..., :width]


def rows(x: Tensor) -> Tensor:
    """Eight bits with a scale for each row of the last axis: a token, or an output channel of a matrix."""
    return _eight_bits(x, (-1,))


def channels(weight: Tensor) -> Tensor:
    """Eight bits with a scale for each output channel."""
    return _eight_bits(weight, tuple(range(1, weight.ndim)))


def whole(x: Tensor) -> Tensor:
    """Eight bits with one scale: a whole matrix, or a convolution's activations."""
    return _eight_bits(x, tuple(range(x.ndim)))


def _eight_bits(x: Tensor, axes: tuple[int, ...], scale_dtype: torch.dtype = torch.float32) -> Tensor:
    scale = (x.abs().amax(dim=axes, keepdim=True) / 127).clamp_min(1e-8).to(scale_dtype).float()
    return (x / scale.clamp_min(1e-8)).round().clamp(-127, 127) * scale


def tokens_or_whole(x: Tensor) -> Tensor:
    """As dynamic quantisation does: a scale a token for matrices, one for all of an image."""
    return whole(x) if x.ndim == 4 else rows(x)


#: What a row's file may have as its ``rounding`` -> dtype of the module, rounding mode. The lane's name comes first.
ROUNDINGS: dict[str, tuple[torch.dtype, Callable[[], TorchFunctionMode] | None]] = {
    "tf32": (torch.float32, lambda: Rounded(tf32, tf32, tf32)),
    "float16": (torch.float16, None),
    "bfloat16": (torch.bfloat16, None),
    "int8-blocks": (torch.float32, lambda: Rounded(blocks_of_32, blocks_of_32)),
    "int8-channels": (torch.float32, lambda: Rounded(tokens_or_whole, channels)),
    "int8-weights": (torch.float32, lambda: Rounded(lambda x: x, channels)),
    "int8-matrices": (torch.float32, lambda: Rounded(whole, whole)),
}


@contextmanager
def imitation(name: str) -> Iterator[torch.dtype]:
    """Within it, a module of the dtype that it yields computes as ``name`` says."""
    dtype, mode = ROUNDINGS[name]
    with mode() if mode else nullcontext():
        yield dtype
