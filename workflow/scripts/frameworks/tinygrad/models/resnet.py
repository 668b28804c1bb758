"""Bottleneck ResNet (He et al. 2016) with torchvision's names, v1.5: a block strides in its 3x3 convolution.
Batch normalisation in its inference form, which is tinygrad's outside of its training mode."""

from __future__ import annotations

from typing import Any

from tinygrad import Tensor, nn


def _convolution(entering: int, leaving: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(entering, leaving, kernel, stride, padding=kernel // 2, bias=False)


def _normalisation(channels: int, eps: float) -> nn.BatchNorm:
    norm = nn.BatchNorm(channels, eps)
    del norm.num_batches_tracked  # a counter of its training mode, which is no weight
    return norm


class Bottleneck:
    """1x1, 3x3 with the stride, 1x1, added to the input or to its projection."""

    def __init__(self, config: dict[str, Any], entering: int, inner: int, stride: int, project: bool):
        leaving, eps = inner * config["expansion"], config["batch_norm_eps"]
        self.conv1, self.bn1 = _convolution(entering, inner, 1), _normalisation(inner, eps)
        self.conv2, self.bn2 = _convolution(inner, inner, 3, stride), _normalisation(inner, eps)
        self.conv3, self.bn3 = _convolution(inner, leaving, 1), _normalisation(leaving, eps)
        projection = [_convolution(entering, leaving, 1, stride), _normalisation(leaving, eps)]
        self.downsample = projection if project else []

    def __call__(self, x: Tensor) -> Tensor:
        h = self.bn1(self.conv1(x)).relu()
        h = self.bn2(self.conv2(h)).relu()
        h = self.bn3(self.conv3(h))
        return (h + x.sequential(self.downsample)).relu()


class ResNet:
    """Images (batch, channels, height, width) to class logits (batch, classes)."""

    def __init__(self, config: dict[str, Any]):
        entering = config["width"]
        self.conv1 = _convolution(config["in_channels"], entering, 7, stride=2)
        self.bn1 = _normalisation(entering, config["batch_norm_eps"])
        self.stages = [f"layer{number}" for number in range(1, len(config["layers"]) + 1)]
        for stage, (name, blocks) in enumerate(zip(self.stages, config["layers"], strict=True)):
            inner = config["width"] * 2**stage
            layer = []
            for index in range(blocks):
                stride = 2 if index == 0 and stage > 0 else 1
                layer.append(Bottleneck(config, entering, inner, stride, project=index == 0))
                entering = inner * config["expansion"]
            setattr(self, name, layer)
        self.fc = nn.Linear(entering, config["num_classes"])

    def __call__(self, images: Tensor) -> Tensor:
        x = self.bn1(self.conv1(images)).relu()
        x = x.max_pool2d(kernel_size=(3, 3), stride=2, padding=1)
        for name in self.stages:
            x = x.sequential(getattr(self, name))
        return self.fc(x.mean(axis=(2, 3)))


def build(config: dict[str, Any]) -> ResNet:
    """The module of ``config``, with untrained weights."""
    return ResNet(config)
