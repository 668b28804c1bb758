"""Tensors of a small U-Net of residual blocks: convolutions without biases, group normalisation."""

from __future__ import annotations

from typing import Any

from arena.weights.seeded import Spec
from models.spec import initialisation as init


def tensors(config: dict[str, Any]) -> dict[str, Spec]:
    """Name, shape and initialisation of every tensor; convolution weights are OIHW."""
    image = config["in_channels"]
    channels = [config["base_channels"] * multiplier for multiplier in config["channel_multipliers"]]
    damping = init.residual_gain(2 * len(channels) + 1)
    specs = {"conv_in.weight": init.weight(channels[0], image, 3, 3)}
    entering = channels[0]
    for index, leaving in enumerate(channels):
        specs |= _block(f"encoder.{index}", entering, leaving, damping)
        if index < len(channels) - 1:
            specs[f"down.{index}.weight"] = init.weight(leaving, leaving, 3, 3)
        entering = leaving
    specs |= _block("middle", entering, entering, damping)
    for index, leaving in enumerate(reversed(channels)):
        specs |= _block(f"decoder.{index}", entering + leaving, leaving, damping)
        entering = leaving
    return specs | {
        "norm_out.weight": init.norm_weight(entering),
        "norm_out.bias": init.bias(entering),
        "conv_out.weight": init.weight(image, entering, 3, 3),
    }


def _block(name: str, entering: int, leaving: int, damping: float) -> dict[str, Spec]:
    specs = {
        f"{name}.norm1.weight": init.norm_weight(entering),
        f"{name}.norm1.bias": init.bias(entering),
        f"{name}.conv1.weight": init.weight(leaving, entering, 3, 3),
        f"{name}.norm2.weight": init.norm_weight(leaving),
        f"{name}.norm2.bias": init.bias(leaving),
        f"{name}.conv2.weight": init.writing(
            leaving, leaving, 3, 3, gain=damping, stream=f"stream.{leaving}"
        ),
    }
    if entering != leaving:
        specs[f"{name}.skip.weight"] = init.weight(leaving, entering, 1, 1)
    return specs
