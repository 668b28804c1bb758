"""ResNet (He et al. 2015) v1.5 as in torchvision: a bottleneck strides in its 3x3 convolution."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm(nn.Module):
    """Batch normalisation in inference form, always: running statistics are constants of the model.

    Weight and bias are trainable. Input and output are (batch, channels, height, width).
    """

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


def convolution(entering: int, leaving: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the image size, divided by ``stride``."""
    return nn.Conv2d(entering, leaving, kernel, stride, padding=kernel // 2, bias=False)


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1, added to the input or to its projection."""

    def __init__(self, config: dict[str, Any], entering: int, inner: int, stride: int, project: bool) -> None:
        super().__init__()
        leaving, eps = inner * config["expansion"], config["batch_norm_eps"]
        self.conv1, self.bn1 = convolution(entering, inner, 1), BatchNorm(inner, eps)
        self.conv2, self.bn2 = convolution(inner, inner, 3, stride), BatchNorm(inner, eps)
        self.conv3, self.bn3 = convolution(inner, leaving, 1), BatchNorm(leaving, eps)
        self.downsample = (
            nn.Sequential(convolution(entering, leaving, 1, stride), BatchNorm(leaving, eps))
            if project
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)))
        return F.relu(self.bn3(self.conv3(h)) + self.downsample(x))


class ResNet(nn.Module):
    """Images (batch, channels, height, width) to class logits (batch, classes)."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width, eps = config["width"], config["batch_norm_eps"]
        self.conv1, self.bn1 = convolution(config["in_channels"], width, 7, stride=2), BatchNorm(width, eps)
        self.stages: list[str] = []
        entering = width
        for stage, blocks in enumerate(config["layers"]):
            inner = width * 2**stage
            layer = nn.Sequential()
            for index in range(blocks):
                stride = 2 if index == 0 and stage > 0 else 1
                layer.append(Bottleneck(config, entering, inner, stride, project=index == 0))
                entering = inner * config["expansion"]
            self.stages.append(f"layer{stage + 1}")
            self.add_module(self.stages[-1], layer)
        self.fc = nn.Linear(entering, config["num_classes"])

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(images)))
        x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return self.fc(x.mean(dim=(2, 3)))


def build(config: dict[str, Any]) -> ResNet:
    """The module of ``config``, with untrained weights."""
    return ResNet(config)
