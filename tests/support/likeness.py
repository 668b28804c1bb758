"""What rounding meets in a LLaMA decoder of given weights, so that seeded weights can be held against trained ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from arena import tensors
from arena.judging import distances
from frameworks.pytorch import rounding
from frameworks.pytorch.models import losses
from frameworks.pytorch.models.loading import arguments
from mistakes import Model

#: Weights whose inputs are looked at: each kind's first factor of a product.
KINDS = ("q_proj", "o_proj", "gate_proj", "down_proj")


@dataclass(frozen=True)
class Likeness:
    """Figures of one set of weights on one input, and the imitated lanes' distances from float32.

    ``outliers`` has for each of KINDS, and for the residual ``stream``, the largest of a token's activations over
    their root mean square: the median over tokens, by layer. ``greatest`` is the same of the stream's worst token,
    ``largest`` its largest value. ``lanes`` has the figures of ``distances.compare_output`` by imitation; ``noise`` is
    float32's worst weight in ``gradient_norm_error``, if asked for.
    """

    outliers: dict[str, np.ndarray]
    greatest: np.ndarray
    largest: np.ndarray
    logits: float
    lanes: dict[str, dict[str, Any]]
    noise: float | None


def measure(model: Model, imitations: Iterable[str], gradients: bool) -> Likeness:
    """The figures of ``model`` on its inference input, those of its gradients if asked."""
    module = model.module()
    seen: dict[str, list[torch.Tensor]] = {}  # (tokens, channels), by layer
    hooks = [
        each.register_forward_pre_hook(
            lambda _, given, kind=kind: seen.setdefault(kind, []).append(given[0][0])
        )
        for name, each in module.named_modules()
        if (kind := kind_of(name))
    ]
    with torch.no_grad():
        reference = module(**arguments(tensors.select(model.inputs, "inference."), torch.float32))
    for hook in hooks:
        hook.remove()
    peaks = {kind: np.stack([peak(x) for x in layers]) for kind, layers in seen.items()}
    return Likeness(
        outliers={kind: np.median(found, axis=1) for kind, found in peaks.items()},
        greatest=peaks["stream"].max(axis=1),
        largest=np.array([x.abs().max().item() for x in seen["stream"]]),
        logits=reference.std(dim=-1).mean().item(),
        lanes={name: lane(model, name, reference.double().numpy()) for name in imitations},
        noise=noise(model) if gradients else None,
    )


def kind_of(name: str) -> str | None:
    """What a module's input is called here, if it is looked at: a layer's is the stream."""
    *parents, last = name.split(".")
    return "stream" if last.isdecimal() and parents[-1:] == ["layers"] else last if last in KINDS else None


def peak(x: torch.Tensor) -> np.ndarray:
    """Of each token's activations, (tokens, channels), the largest over their root mean square: (tokens,)."""
    return (x.abs().amax(-1) / x.pow(2).mean(-1).sqrt()).numpy()


def lane(model: Model, name: str, reference: np.ndarray) -> dict[str, Any]:
    """The distances of the inference output in an imitated lane from ``reference``, of the same weights."""
    with rounding.imitation(name) as dtype, torch.no_grad():
        output = model.module(dtype)(**arguments(tensors.select(model.inputs, "inference."), dtype))
    return distances.compare_output(output.float().numpy(), reference, model.loss_kind, None)


def noise(model: Model) -> float:
    """The worst weight's ``gradient_norm_error`` of float32 against float64."""
    single, double = (_gradients(model, dtype) for dtype in (torch.float32, torch.float64))
    norms = {name: float(np.linalg.norm(array)) for name, array in double.items()}
    return distances.compare_gradients(single, double, norms)["gradient_norm_error"]


def _gradients(model: Model, dtype: torch.dtype) -> dict[str, np.ndarray]:
    module = model.module(dtype)
    output = module(**arguments(tensors.select(model.inputs, "inference."), dtype))
    losses.loss(model.loss_kind, output, torch.from_numpy(model.inputs["target"])).backward()
    return {name: each.grad.numpy() for name, each in module.named_parameters()}
