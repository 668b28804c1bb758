"""A small U-Net of residual blocks (Ronneberger et al. 2015; blocks as in Ho et al. 2020), channels last
inside."""

from __future__ import annotations

from max.graph import TensorValue, ops

from frameworks.max.models.graph import Params
from frameworks.max.models.layers import conv, group_norm


def _res_block(params: Params, config: dict, name: str, x: TensorValue) -> TensorValue:
    h = x
    for step in (1, 2):
        h = group_norm(params, f"{name}.norm{step}", h, config["norm_groups"], config["norm_eps"])
        h = conv(params, f"{name}.conv{step}", ops.silu(h), padding=1)
    return h + (x if x.shape == h.shape else conv(params, f"{name}.skip", x))


def _upsample(x: TensorValue) -> TensorValue:
    """Nearest neighbour, twice as high and as wide: (N, H, W, C) -> (N, 2H, 2W, C)."""
    batch, height, width, channels = x.shape
    twice = ops.broadcast_to(
        x.reshape((batch, height, 1, width, 1, channels)), (batch, height, 2, width, 2, channels)
    )
    return twice.reshape((batch, height * 2, width * 2, channels))


def forward(params: Params, config: dict, latent: TensorValue) -> TensorValue:
    """The denoised latent, float32 NCHW like ``latent``, whose height and width must divide by
    2^(levels - 1)."""
    levels = len(config["channel_multipliers"])
    x = conv(params, "conv_in", ops.permute(latent, [0, 2, 3, 1]), padding=1)
    skips = []
    for i in range(levels):
        x = _res_block(params, config, f"encoder.{i}", x)
        skips.append(x)
        if i < levels - 1:
            x = conv(params, f"down.{i}", x, stride=2, padding=1)
    x = _res_block(params, config, "middle", x)
    for i in range(levels):
        x = x if i == 0 else _upsample(x)
        x = _res_block(params, config, f"decoder.{i}", ops.concat((x, skips.pop()), axis=-1))
    x = ops.silu(group_norm(params, "norm_out", x, config["norm_groups"], config["norm_eps"]))
    return ops.permute(conv(params, "conv_out", x, padding=1), [0, 3, 1, 2])
