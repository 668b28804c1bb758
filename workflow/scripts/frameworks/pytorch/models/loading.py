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
from arena.weights import seeded


class DefinitionError(ValueError):
    """The files of a definition do not fit together; the message says which, and what to do."""


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
    specs = tensors_of(definition, config)
    where = f"weights of definition {definition}"
    tensors.check_names(set(weights), set(specs), where)
    for name, spec in specs.items():
        if weights[name].shape != spec.shape:
            raise ValueError(
                f"{where}: tensor {name} has shape {weights[name].shape}, "
                f"config.json asks for {spec.shape}; the two files belong to different models"
            )
    with torch.device("meta"), _Uninitialised():  # no time or memory for values that are replaced at once
        module = _function(f"frameworks.pytorch.models.{definition}", "build")(config)
    _check_trained({name for name, _ in module.named_parameters()}, seeded.trained(specs), definition)
    values = {name: torch.tensor(array, dtype=dtype) for name, array in weights.items()}
    module.load_state_dict(values, strict=True, assign=True)
    # dtype before device: some devices cannot hold the float64 tables
    return module.to(dtype).to(device)


def tensors_of(definition: str, config: dict[str, Any]) -> Mapping[str, seeded.Spec]:
    """Every tensor of the definition by name."""
    found: Mapping[str, seeded.Spec] = _function(f"models.spec.{definition}", "tensors")(config)
    return found


def _function(module: str, name: str) -> Any:
    """A function of a definition's module. Raises DefinitionError naming its file if it has none of that name."""
    found = getattr(importlib.import_module(module), name, None)
    if not callable(found):
        file = f"workflow/scripts/{module.replace('.', '/')}.py"
        raise DefinitionError(f"{file} has no function {name}(config); docs/design.md says what it gives")
    return found


def _check_trained(parameters: set[str], trained: set[str], definition: str) -> None:
    """Raise DefinitionError where the module would train what the spec does not, or the other way round."""
    spec = f"workflow/scripts/models/spec/{definition}.py"
    for name in sorted(parameters - trained):
        raise DefinitionError(
            f"{name} is a parameter of the module, and {spec} says that it is not trained; register it as a buffer, "
            "or take `trained=False` or `effect=False` from its Spec"
        )
    for name in sorted(trained - parameters):
        raise DefinitionError(
            f"{name} is no parameter of the module, so training gives no gradient of it; say so in {spec}: "
            "Spec(…, trained=False), or effect=False if the output does not depend on it"
        )


def arguments(inputs: Mapping[str, np.ndarray], dtype: torch.dtype, device: str = "cpu") -> dict[str, Tensor]:
    """``inputs`` as tensors on ``device``: floating-point ones in ``dtype``, integers as they are."""
    return {
        name: torch.tensor(array, dtype=dtype if array.dtype.kind == "f" else None, device=device)
        for name, array in inputs.items()
    }
