"""A small U-Net of residual blocks (Ronneberger et al. 2015; blocks as in Ho et al. 2020), channels last
inside."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn


def _convolution(entering: int, leaving: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(entering, leaving, kernel, stride, padding=kernel // 2, bias=False)


def _norm(config: dict[str, Any], channels: int) -> nn.GroupNorm:
    # MLX's own grouping interleaves the channels; checkpoints have PyTorch's.
    return nn.GroupNorm(config["norm_groups"], channels, config["norm_eps"], pytorch_compatible=True)


class ResidualBlock(nn.Module):
    """Twice norm, SiLU and 3x3 convolution, added to the input or to its 1x1 projection."""

    def __init__(self, config: dict[str, Any], entering: int, leaving: int):
        super().__init__()
        self.norm1, self.conv1 = _norm(config, entering), _convolution(entering, leaving)
        self.norm2, self.conv2 = _norm(config, leaving), _convolution(leaving, leaving)
        if entering != leaving:
            self.skip = _convolution(entering, leaving, kernel=1)

    def __call__(self, x: mx.array) -> mx.array:
        h = self.conv1(nn.silu(self.norm1(x)))
        h = self.conv2(nn.silu(self.norm2(h)))
        return h + (self.skip(x) if "skip" in self else x)


class UNet(nn.Module):
    """A noisy latent (batch, channels, height, width) to the denoised one of the same shape; height and width
    must divide by 2^(levels - 1)."""

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        widths = [config["base_channels"] * factor for factor in config["channel_multipliers"]]
        self.conv_in = _convolution(config["in_channels"], widths[0])
        self.encoder = [
            ResidualBlock(config, entering, leaving)
            for entering, leaving in zip([widths[0], *widths], widths, strict=False)
        ]
        self.down = [_convolution(width, width, stride=2) for width in widths[:-1]]
        self.middle = ResidualBlock(config, widths[-1], widths[-1])
        upwards = widths[::-1]
        self.decoder = [
            ResidualBlock(config, below + width, width)
            for below, width in zip([widths[-1], *upwards], upwards, strict=False)
        ]
        self.norm_out = _norm(config, widths[0])
        self.conv_out = _convolution(widths[0], config["in_channels"])
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")

    def __call__(self, latent: mx.array) -> mx.array:
        x = self.conv_in(latent.transpose(0, 2, 3, 1))
        skips = []
        for level, block in enumerate(self.encoder):
            x = block(self.down[level - 1](x) if level > 0 else x)
            skips.append(x)
        x = self.middle(x)
        for step, block in enumerate(self.decoder):
            x = self.upsample(x) if step > 0 else x
            x = block(mx.concatenate((x, skips.pop()), axis=-1))
        return self.conv_out(nn.silu(self.norm_out(x))).transpose(0, 3, 1, 2)


def build(config: dict[str, Any]) -> UNet:
    """The module of ``config``, with untrained weights."""
    return UNet(config)
