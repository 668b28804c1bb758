"""timm's config.json of a bottleneck ResNet → the keys of ``models/spec/resnet.py``.

timm's file names an entry point (timm/models/resnet.py) and what is changed about it (``model_args``).
These entry points are torchvision's architectures: 7x7 stem of 64 channels, max-pooling, the stride in the
3x3 convolution, BatchNorm with PyTorch's epsilon. The variants with letters behind the depth are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LAYERS = {"resnet50": [3, 4, 6, 3], "resnet101": [3, 4, 23, 3], "resnet152": [3, 8, 36, 3]}
CHANGEABLE = ("layers", "num_classes", "in_chans")


def architecture(config: Mapping[str, Any]) -> dict[str, Any]:
    """Every key of the arena's config.json but ``definition``.

    Raises ValueError naming key and values for an entry point or an argument that is not implemented.
    """
    name = config.get("architecture")
    if name not in LAYERS:
        raise ValueError(
            f"config.json: architecture is {name!r}, which the adapters do not implement; "
            f"they implement {', '.join(map(repr, LAYERS))}"
        )
    changes = config.get("model_args") or {}
    for key in changes.keys() - set(CHANGEABLE):
        raise ValueError(
            f"config.json: model_args.{key} is {changes[key]!r}, which the adapters do not implement; "
            f"they implement {', '.join(CHANGEABLE)}"
        )
    return {
        "in_channels": changes.get("in_chans", 3),
        "width": 64,
        "layers": list(changes.get("layers", LAYERS[name])),
        "expansion": 4,
        "num_classes": changes.get("num_classes", config.get("num_classes", 1000)),
        "batch_norm_eps": 1e-5,
    }
