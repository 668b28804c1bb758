"""A definition's module with a checkpoint's weights in it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from arena import tensors


class _Uninitialised(TorchFunctionMode):
    """Leaves new parameters as they are: drawing them on the meta device costs seconds of imports."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in (nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_):
            return kwargs["tensor"]
        return function(*args, **(kwargs or {}))


def load(
    definition: str,
    config: dict[str, Any],
    weights: Mapping[str, np.ndarray],
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> nn.Module:
    """``frameworks.pytorch.models.{definition}`` built from ``config`` with ``weights``, on ``device`` in ``dtype``.

    Every weight is copied, so the module does not share memory with ``weights``. Raises KeyError naming
    the missing or unexpected tensors, ValueError naming the one whose shape is not the architecture's.
    """
    specs = importlib.import_module(f"models.spec.{definition}").tensors(config)
    where = f"weights of definition {definition}"
    tensors.check_names(set(weights), set(specs), where)
    for name, spec in specs.items():
        if weights[name].shape != spec.shape:
            raise ValueError(
                f"{where}: tensor {name} has shape {weights[name].shape}, "
                f"config.json asks for {spec.shape}; the two files belong to different models"
            )
    with torch.device("meta"), _Uninitialised():  # no time or memory for values that are replaced at once
        module = importlib.import_module(f"frameworks.pytorch.models.{definition}").build(config)
    values = {name: torch.tensor(array, dtype=dtype) for name, array in weights.items()}
    module.load_state_dict(values, strict=True, assign=True)
    # dtype before device: some devices cannot hold the float64 tables
    return module.to(dtype).to(device)


def arguments(inputs: Mapping[str, np.ndarray], dtype: torch.dtype, device: str = "cpu") -> dict[str, Tensor]:
    """``inputs`` as tensors on ``device``: floating-point ones in ``dtype``, integers as they are."""
    return {
        name: torch.tensor(array, dtype=dtype if array.dtype.kind == "f" else None, device=device)
        for name, array in inputs.items()
    }
