"""Tensors of a bottleneck ResNet under torchvision's names, batch normalisation statistics included."""

from __future__ import annotations

from typing import Any

from arena.weights.seeded import Spec
from models.spec import initialisation as init


def tensors(config: dict[str, Any]) -> dict[str, Spec]:
    """Name, shape and initialisation of every tensor; convolutions are OIHW, the classifier (out, in).

    ``running_mean`` and ``running_var`` are constants of the model, every other tensor is trainable.
    """
    damping = init.residual_gain(sum(config["layers"]))
    entering = config["width"]
    specs = {"conv1.weight": init.weight(entering, config["in_channels"], 7, 7)} | _batch_norm(
        "bn1", entering
    )
    for stage, blocks in enumerate(config["layers"]):
        inner = config["width"] * 2**stage
        leaving = inner * config["expansion"]
        for index in range(blocks):
            name = f"layer{stage + 1}.{index}"
            specs |= {f"{name}.conv1.weight": init.weight(inner, entering, 1, 1, gain=init.RELU_GAIN)}
            specs |= _batch_norm(f"{name}.bn1", inner)
            specs |= {f"{name}.conv2.weight": init.weight(inner, inner, 3, 3, gain=init.RELU_GAIN)}
            specs |= _batch_norm(f"{name}.bn2", inner)
            gain = init.RELU_GAIN * damping
            specs |= {
                f"{name}.conv3.weight": init.writing(
                    leaving, inner, 1, 1, gain=gain, stream=f"layer{stage + 1}"
                )
            }
            specs |= _batch_norm(f"{name}.bn3", leaving)
            if index == 0:
                specs |= {f"{name}.downsample.0.weight": init.weight(leaving, entering, 1, 1)}
                specs |= _batch_norm(f"{name}.downsample.1", leaving)
            entering = leaving
    classes = config["num_classes"]
    return specs | {"fc.weight": init.weight(classes, entering), "fc.bias": init.bias(classes)}


def _batch_norm(name: str, channels: int) -> dict[str, Spec]:
    return {
        f"{name}.weight": init.norm_weight(channels),
        f"{name}.bias": init.bias(channels),
        f"{name}.running_mean": Spec((channels,), 0.1, trained=False),
        # uniform: never below 1 - 0.2 √3 = 0.65
        f"{name}.running_var": Spec((channels,), 0.2, 1.0, trained=False),
    }
