"""Bottleneck ResNet (He et al. 2016) with torchvision's names, v1.5: a block strides in its 3x3 convolution.
Batch normalisation in its inference form; channels last inside."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn


def _convolution(entering: int, leaving: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(entering, leaving, kernel, stride, padding=kernel // 2, bias=False)


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1, added to the input or to its projection."""

    def __init__(self, config: dict[str, Any], entering: int, inner: int, stride: int, project: bool):
        super().__init__()
        leaving, eps = inner * config["expansion"], config["batch_norm_eps"]
        self.conv1, self.bn1 = _convolution(entering, inner, 1), nn.BatchNorm(inner, eps)
        self.conv2, self.bn2 = _convolution(inner, inner, 3, stride), nn.BatchNorm(inner, eps)
        self.conv3, self.bn3 = _convolution(inner, leaving, 1), nn.BatchNorm(leaving, eps)
        if project:
            self.downsample = [_convolution(entering, leaving, 1, stride), nn.BatchNorm(leaving, eps)]

    def __call__(self, x: mx.array) -> mx.array:
        h = nn.relu(self.bn1(self.conv1(x)))
        h = nn.relu(self.bn2(self.conv2(h)))
        h = self.bn3(self.conv3(h))
        if "downsample" in self:
            convolve, normalise = self.downsample
            x = normalise(convolve(x))
        return nn.relu(h + x)


class ResNet(nn.Module):
    """Images (batch, channels, height, width) to class logits (batch, classes).

    Its user calls ``eval()``: running statistics are constants of the model, in training too.
    """

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        entering = config["width"]
        self.conv1 = _convolution(config["in_channels"], entering, 7, stride=2)
        self.bn1 = nn.BatchNorm(entering, config["batch_norm_eps"])
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.stages = len(config["layers"])
        for stage, blocks in enumerate(config["layers"]):
            inner = config["width"] * 2**stage
            layer = []
            for index in range(blocks):
                stride = 2 if index == 0 and stage > 0 else 1
                layer.append(Bottleneck(config, entering, inner, stride, project=index == 0))
                entering = inner * config["expansion"]
            self[f"layer{stage + 1}"] = layer
        self.fc = nn.Linear(entering, config["num_classes"])

    def __call__(self, images: mx.array) -> mx.array:
        x = nn.relu(self.bn1(self.conv1(images.transpose(0, 2, 3, 1))))
        x = self.pool(x)
        for stage in range(self.stages):
            for block in self[f"layer{stage + 1}"]:
                x = block(x)
        return self.fc(x.mean(axis=(1, 2)))


def build(config: dict[str, Any]) -> ResNet:
    """The module of ``config``, with untrained weights."""
    return ResNet(config)
