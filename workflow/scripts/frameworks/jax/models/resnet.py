"""Bottleneck ResNet (He et al. 2016) with torchvision's names, v1.5: a block strides in its 3x3 convolution.
Batch normalisation in its inference form; channels last inside."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from frameworks.jax.models.layers import Params, batch_norm, conv, linear


def _bottleneck(params: Params, eps: float, name: str, x: jax.Array, stride: int, project: bool) -> jax.Array:
    h = jax.nn.relu(batch_norm(params, f"{name}.bn1", conv(params, f"{name}.conv1", x), eps))
    h = conv(params, f"{name}.conv2", h, stride=stride, padding=1)
    h = jax.nn.relu(batch_norm(params, f"{name}.bn2", h, eps))
    h = batch_norm(params, f"{name}.bn3", conv(params, f"{name}.conv3", h), eps)
    if project:
        x = batch_norm(params, f"{name}.downsample.1", conv(params, f"{name}.downsample.0", x, stride), eps)
    return jax.nn.relu(h + x)


def _max_pool(x: jax.Array) -> jax.Array:
    """3x3, stride 2, padded by one on each side: (N, H, W, C) -> (N, ⌈H/2⌉, ⌈W/2⌉, C)."""
    padding = ((0, 0), (1, 1), (1, 1), (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding)


def forward(params: Params, config: dict, images: jax.Array) -> jax.Array:
    """Logits (batch, classes) of ``images`` (batch, channels, height, width)."""
    eps = config["batch_norm_eps"]
    x = conv(params, "conv1", images.transpose(0, 2, 3, 1), stride=2, padding=3)
    x = _max_pool(jax.nn.relu(batch_norm(params, "bn1", x, eps)))
    for stage, blocks in enumerate(config["layers"], start=1):
        for i in range(blocks):
            stride = 2 if stage > 1 and i == 0 else 1
            x = _bottleneck(params, eps, f"layer{stage}.{i}", x, stride, project=i == 0)
    return linear(params, "fc", jnp.mean(x, axis=(1, 2)), bias=True)
