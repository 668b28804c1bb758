"""Convert a model with litert-torch to one LiteRT file with two signatures, ``inference`` and ``latency``, each for the
shapes of its task; the signatures share the weights. Integers become int32, as litert-torch has it by default."""

from __future__ import annotations

import litert_torch
import torch

from arena import files, tensors
from frameworks.exporting import Export
from frameworks.pytorch.models.loading import arguments
from frameworks.pytorch.models.loading import load as load_module

SIGNATURES = ("inference", "latency")


def export(task: Export) -> None:
    """Write the file."""
    module = load_module(task.definition, task.architecture(), task.weights()).eval()
    inputs = task.inputs()
    converter = litert_torch.Converter()
    for name in SIGNATURES:
        example = arguments(tensors.select(inputs, f"{name}."), torch.float32)
        converter.signature(name, module, sample_kwargs=example)
    converted = converter.convert()
    with files.replacing(task.out) as temporary:
        temporary.write_bytes(converted.model_content())
    print(f"{task.out}: {task.out.stat().st_size / 1e6:.1f} MB")
