"""A small U-Net (Ronneberger et al. 2015) of residual blocks, as latent diffusion models use it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolution(entering: int, leaving: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the image size, divided by ``stride``."""
    return nn.Conv2d(entering, leaving, kernel, stride, padding=kernel // 2, bias=False)


class ResidualBlock(nn.Module):
    """Twice (group norm, SiLU, 3x3), added to the input; a 1x1 convolution where channels change."""

    def __init__(self, config: dict[str, Any], entering: int, leaving: int) -> None:
        super().__init__()
        groups, eps = config["norm_groups"], config["norm_eps"]
        self.norm1 = nn.GroupNorm(groups, entering, eps)
        self.conv1 = convolution(entering, leaving)
        self.norm2 = nn.GroupNorm(groups, leaving, eps)
        self.conv2 = convolution(leaving, leaving)
        self.skip = convolution(entering, leaving, kernel=1) if entering != leaving else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return self.skip(x) + h


class UNet(nn.Module):
    """A latent (batch, channels, height, width) to one of the same shape; sides divide by 2^(levels-1)."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        image = config["in_channels"]
        channels = [config["base_channels"] * multiplier for multiplier in config["channel_multipliers"]]
        self.conv_in = convolution(image, channels[0])
        self.encoder = nn.ModuleList(
            ResidualBlock(config, entering, leaving)
            for entering, leaving in zip([channels[0], *channels], channels, strict=False)
        )
        self.down = nn.ModuleList(convolution(width, width, stride=2) for width in channels[:-1])
        lowest = channels[-1]
        self.middle = ResidualBlock(config, lowest, lowest)
        upwards = channels[::-1]
        self.decoder = nn.ModuleList(
            ResidualBlock(config, below + width, width)
            for below, width in zip([lowest, *upwards], upwards, strict=False)
        )
        self.norm_out = nn.GroupNorm(config["norm_groups"], channels[0], config["norm_eps"])
        self.conv_out = convolution(channels[0], image)

    def forward(self, latent: Tensor) -> Tensor:
        x = self.conv_in(latent)
        skips = []
        for level, block in enumerate(self.encoder):
            if level > 0:
                x = self.down[level - 1](x)
            x = block(x)
            skips.append(x)
        x = self.middle(x)
        for step, block in enumerate(self.decoder):
            if step > 0:
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat((x, skips.pop()), dim=1))
        return self.conv_out(F.silu(self.norm_out(x)))


def build(config: dict[str, Any]) -> UNet:
    """The module of ``config``, with untrained weights."""
    return UNet(config)
