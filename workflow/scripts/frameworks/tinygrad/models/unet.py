"""A small U-Net of residual blocks (Ronneberger et al. 2015; blocks as in Ho et al. 2020)."""

from __future__ import annotations

from typing import Any

from tinygrad import Tensor, nn


def _convolution(entering: int, leaving: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(entering, leaving, kernel, stride, padding=kernel // 2, bias=False)


def _norm(config: dict[str, Any], channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(config["norm_groups"], channels, config["norm_eps"])


def _upsample(x: Tensor) -> Tensor:
    """Nearest neighbour, twice as high and as wide."""
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


class ResidualBlock:
    """Twice norm, SiLU and 3x3 convolution, added to the input or to its 1x1 projection."""

    def __init__(self, config: dict[str, Any], entering: int, leaving: int):
        self.norm1, self.conv1 = _norm(config, entering), _convolution(entering, leaving)
        self.norm2, self.conv2 = _norm(config, leaving), _convolution(leaving, leaving)
        self.skip = _convolution(entering, leaving, kernel=1) if entering != leaving else None

    def __call__(self, x: Tensor) -> Tensor:
        h = self.conv1(self.norm1(x).silu())
        h = self.conv2(self.norm2(h).silu())
        return h + (self.skip(x) if self.skip else x)


class UNet:
    """A noisy latent (batch, channels, height, width) to the denoised one of the same shape; height and width
    must divide by 2^(levels - 1)."""

    def __init__(self, config: dict[str, Any]):
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

    def __call__(self, latent: Tensor) -> Tensor:
        x = self.conv_in(latent)
        skips = []
        for level, block in enumerate(self.encoder):
            x = block(self.down[level - 1](x) if level > 0 else x)
            skips.append(x)
        x = self.middle(x)
        for step, block in enumerate(self.decoder):
            x = _upsample(x) if step > 0 else x
            x = block(x.cat(skips.pop(), dim=1))
        return self.conv_out(self.norm_out(x).silu())


def build(config: dict[str, Any]) -> UNet:
    """The module of ``config``, with untrained weights."""
    return UNet(config)
