"""Lay the weights out for JAX: linear kernels (in, out), convolutions HWIO and LIO, all else unchanged."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from arena import tensors
from frameworks.exporting import Export
from frameworks.jax.models import layout


def export(task: Export) -> None:
    """Write params.safetensors."""
    params = laid_out(task.weights(), task.architecture())
    tensors.save(task.out, params)
    print(f"{len(params)} tensors laid out for JAX")


def laid_out(weights: Mapping[str, np.ndarray], config: dict[str, Any]) -> dict[str, np.ndarray]:
    """``weights`` in JAX's layout, under the checkpoint's names.

    Raises TensorNameError (a KeyError) naming missing and unexpected tensors, ValueError naming a
    tensor whose shape is not the one that ``config`` asks for.
    """
    definition = config["definition"]
    specs = importlib.import_module(f"models.spec.{definition}").tensors(config)
    tensors.check_names(set(weights), set(specs), f"weights of definition {definition}")
    for name, spec in specs.items():
        if weights[name].shape != spec.shape:
            raise ValueError(
                f"tensor {name} has shape {weights[name].shape}, config.json asks for {spec.shape}; "
                "the two files belong to different models"
            )
    return {name: layout.to_jax(name, array) for name, array in weights.items()}
