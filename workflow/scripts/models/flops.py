"""How many floating-point operations one forward pass needs, counted from the architecture.

Counted are the multiplications and additions of matrix products and convolutions, an addition and a
multiplication as two: what hardware peaks count. Norms, activations, softmax and look-ups are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]


def forward(definition: str, architecture: Mapping[str, Any], shapes: Shapes) -> int | None:
    """Operations of one forward pass on inputs of these ``shapes``, by argument; None for other definitions.

    A training step, which also takes the gradients of inputs and of weights, needs three times as many: each
    product A·B has the two products dC·Bᵀ and Aᵀ·dC (Narayanan et al. 2021, arXiv:2104.04473, appendix).
    """
    count = COUNTERS.get(definition)
    return count(architecture, shapes) if count else None


def extent(shapes: Shapes) -> dict[str, int | None]:
    """``batch``: inputs of one forward pass, the first axis of its largest input; ``sequence``: tokens of each where it
    reads ``input_ids`` (batch, T), else None.
    """
    largest = max(shapes.values(), key=len, default=())
    ids = shapes.get("input_ids", ())
    return {
        "batch": largest[0] if largest else None,
        "sequence": ids[1] if len(ids) == 2 and len(largest) == 2 else None,
    }


def llama(config: Mapping[str, Any], shapes: Shapes) -> int:
    """A LLaMA decoder on ``input_ids`` (batch, T), with the logits of every position.

    Per token 2·P for the P weights of the linear layers, the tied head among them; per sequence and layer
    4·heads·head_dim for each of the T·(T+1)/2 pairs of a query and a key that it may see (QKᵀ and the sum of
    the values). A kernel that computes the masked pairs too does more, for nothing.
    """
    batch, length = shapes["input_ids"]
    hidden, layers, inner = (
        config[name] for name in ("hidden_size", "num_hidden_layers", "intermediate_size")
    )
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    per_layer = hidden * (2 * queries + 2 * keys + 3 * inner)
    weights = layers * per_layer + hidden * config["vocab_size"]
    pairs = length * (length + 1) // 2
    return int(batch * (2 * length * weights + layers * 4 * queries * pairs))


def resnet(config: Mapping[str, Any], shapes: Shapes) -> int:
    """A bottleneck ResNet v1.5 on ``images`` (batch, channels, height, width).

    2·C_in·k²·C_out for each position of a convolution's output (strides: 2 in the stem and in its pooling,
    and in the first 3x3 of every stage but the first), and 2·C_in·classes for the classifier.
    """
    batch, channels, *size = shapes["images"]
    size = [_halved(edge) for edge in size]
    total = 2 * _area(size) * channels * 49 * config["width"]
    size = [_halved(edge) for edge in size]
    entering = config["width"]
    for stage, blocks in enumerate(config["layers"]):
        inner = config["width"] * 2**stage
        leaving = inner * config["expansion"]
        for index in range(blocks):
            before, down = size, stage > 0 and index == 0
            size = [_halved(edge) for edge in size] if down else size
            total += 2 * _area(before) * entering * inner
            total += 2 * _area(size) * inner * (9 * inner + leaving)
            if index == 0:
                total += 2 * _area(size) * entering * leaving
            entering = leaving
    return int(batch * (total + 2 * entering * config["num_classes"]))


def _halved(edge: int) -> int:
    """An edge after a stride of 2 whose padding is half of the kernel, rounded down."""
    return (edge + 1) // 2


def _area(size: list[int]) -> int:
    return size[0] * size[1]


COUNTERS: dict[str, Callable[[Mapping[str, Any], Shapes], int]] = {"llama": llama, "resnet": resnet}
