"""Export a model to one ExecuTorch program with two methods, ``inference`` and ``latency``, each for the shapes of
its task; the methods share the weights. In the lane int8 it is quantised first (quantising.py)."""

from __future__ import annotations

import torch

from arena import tensors
from frameworks.executorch import lowering
from frameworks.exporting import Export
from frameworks.pytorch.models.loading import arguments
from frameworks.pytorch.models.loading import load as load_module

METHODS = ("inference", "latency")


def export(task: Export) -> None:
    """Write the program."""
    module = load_module(task.definition, task.architecture(), task.weights()).eval()
    inputs = task.inputs()
    examples = {name: arguments(tensors.select(inputs, f"{name}."), torch.float32) for name in METHODS}
    quantised = task.lane == "int8"
    with torch.no_grad():
        captured = {name: torch.export.export(module, (), example) for name, example in examples.items()}
        if quantised:
            from frameworks.executorch import quantising  # here, since it costs seconds to import

            captured = {name: quantising.dynamic(each, (), examples[name]) for name, each in captured.items()}
    lowering.write(captured, task.out, quantised=quantised)
