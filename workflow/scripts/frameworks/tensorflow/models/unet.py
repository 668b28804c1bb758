"""A small U-Net of residual blocks (Ronneberger et al. 2015; blocks as in Ho et al. 2020), channels last
inside."""

from __future__ import annotations

import tensorflow as tf

from frameworks.tensorflow.models.layers import Params, conv, group_norm


def _res_block(params: Params, config: dict, name: str, x: tf.Tensor) -> tf.Tensor:
    h = x
    for step in (1, 2):
        h = group_norm(params, f"{name}.norm{step}", h, config["norm_groups"], config["norm_eps"])
        h = conv(params, f"{name}.conv{step}", tf.nn.silu(h), padding=1)
    return h + (x if x.shape == h.shape else conv(params, f"{name}.skip", x))


def _upsample(x: tf.Tensor) -> tf.Tensor:
    """Nearest neighbour, twice as high and as wide: (N, H, W, C) -> (N, 2H, 2W, C)."""
    return tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)


def forward(params: Params, config: dict, latent: tf.Tensor) -> tf.Tensor:
    """The denoised latent, NCHW like ``latent``, whose height and width must divide by
    2^(levels - 1)."""
    levels = len(config["channel_multipliers"])
    x = conv(params, "conv_in", tf.transpose(latent, (0, 2, 3, 1)), padding=1)
    skips = []
    for i in range(levels):
        x = _res_block(params, config, f"encoder.{i}", x)
        skips.append(x)
        if i < levels - 1:
            x = conv(params, f"down.{i}", x, stride=2, padding=1)
    x = _res_block(params, config, "middle", x)
    for i in range(levels):
        x = x if i == 0 else _upsample(x)
        x = _res_block(params, config, f"decoder.{i}", tf.concat((x, skips.pop()), axis=-1))
    x = tf.nn.silu(group_norm(params, "norm_out", x, config["norm_groups"], config["norm_eps"]))
    return tf.transpose(conv(params, "conv_out", x, padding=1), (0, 3, 1, 2))
