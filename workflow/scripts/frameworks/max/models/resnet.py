"""Bottleneck ResNet (He et al. 2016) with torchvision's names, v1.5: a block strides in its 3x3 convolution.
Batch normalisation in its inference form; channels last inside."""

from __future__ import annotations

import functools

from max.graph import TensorValue, ops

from frameworks.max.models.graph import Params, Repeated, below
from frameworks.max.models.layers import batch_norm, conv, linear


def _bottleneck(params: Params, x: TensorValue, eps: float, stride: int = 1) -> TensorValue:
    h = ops.relu(batch_norm(params, "bn1", conv(params, "conv1", x), eps))
    h = ops.relu(batch_norm(params, "bn2", conv(params, "conv2", h, stride, padding=1), eps))
    h = batch_norm(params, "bn3", conv(params, "conv3", h), eps)
    if "downsample.0.weight" in params:
        x = batch_norm(params, "downsample.1", conv(params, "downsample.0", x, stride), eps)
    return ops.relu(h + x)


def forward(params: Params, config: dict, images: TensorValue) -> TensorValue:
    """Logits float32 (batch, classes) of float32 ``images`` (batch, channels, height, width)."""
    eps = config["batch_norm_eps"]
    x = conv(params, "conv1", ops.permute(images, [0, 2, 3, 1]), stride=2, padding=3)
    x = ops.max_pool2d(ops.relu(batch_norm(params, "bn1", x, eps)), (3, 3), stride=2, padding=1)
    for stage, blocks in enumerate(config["layers"], start=1):
        stride = 1 if stage == 1 else 2
        x = _bottleneck(below(params, f"layer{stage}.0"), x, eps, stride)
        if blocks > 1:
            block = Repeated(functools.partial(_bottleneck, eps=eps), params, f"layer{stage}.1", [x])
            for i in range(1, blocks):
                x = block(f"layer{stage}.{i}", x)
    mean = ops.mean(ops.mean(x, axis=1), axis=2)
    return linear(params, "fc", mean.reshape((mean.shape[0], mean.shape[3])), bias=True)
