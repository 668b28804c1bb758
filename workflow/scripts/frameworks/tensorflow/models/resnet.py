"""Bottleneck ResNet (He et al. 2016) with torchvision's names, v1.5: a block strides in its 3x3 convolution.
Batch normalisation in its inference form; channels last inside."""

from __future__ import annotations

import tensorflow as tf

from frameworks.tensorflow.models.layers import Params, batch_norm, conv, linear


def _bottleneck(params: Params, eps: float, name: str, x: tf.Tensor, stride: int, project: bool) -> tf.Tensor:
    h = tf.nn.relu(batch_norm(params, f"{name}.bn1", conv(params, f"{name}.conv1", x), eps))
    h = conv(params, f"{name}.conv2", h, stride=stride, padding=1)
    h = tf.nn.relu(batch_norm(params, f"{name}.bn2", h, eps))
    h = batch_norm(params, f"{name}.bn3", conv(params, f"{name}.conv3", h), eps)
    if project:
        x = batch_norm(params, f"{name}.downsample.1", conv(params, f"{name}.downsample.0", x, stride), eps)
    return tf.nn.relu(h + x)


def _max_pool(x: tf.Tensor) -> tf.Tensor:
    """3x3, stride 2, padded by one on each side: (N, H, W, C) -> (N, ⌈H/2⌉, ⌈W/2⌉, C)."""
    x = tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=x.dtype.min)
    return tf.nn.max_pool2d(x, 3, 2, "VALID")


def forward(params: Params, config: dict, images: tf.Tensor) -> tf.Tensor:
    """Logits (batch, classes) of ``images`` (batch, channels, height, width)."""
    eps = config["batch_norm_eps"]
    x = conv(params, "conv1", tf.transpose(images, (0, 2, 3, 1)), stride=2, padding=3)
    x = _max_pool(tf.nn.relu(batch_norm(params, "bn1", x, eps)))
    for stage, blocks in enumerate(config["layers"], start=1):
        for i in range(blocks):
            stride = 2 if stage > 1 and i == 0 else 1
            x = _bottleneck(params, eps, f"layer{stage}.{i}", x, stride, project=i == 0)
    return linear(params, "fc", tf.reduce_mean(x, axis=(1, 2)), bias=True)
