"""Export a model to ONNX with PyTorch's dynamo exporter: one file, weights inside.

An axis whose size differs between the inference and the latency input becomes dynamic; all others
stay fixed, so that the runtime can specialise on them.
"""

from __future__ import annotations

import time

import torch

from arena import files, tensors
from frameworks.exporting import Export
from frameworks.onnxruntime.size import refuse_large
from frameworks.pytorch.models.loading import load as load_module


def export(task: Export) -> None:
    """Write the graph. Raises UnsupportedError for weights that one file cannot hold."""
    refuse_large(task)
    module = load_module(task.definition, task.architecture(), task.weights()).eval()
    inputs = task.inputs()
    full, small = tensors.select(inputs, "inference."), tensors.select(inputs, "latency.")
    shapes = {name: dynamic_axes(name, full[name].shape, small[name].shape) for name in full}
    print(f"exporting {task.definition}, dynamic axes {shapes}", flush=True)
    begin = time.perf_counter()
    with files.replacing(task.out) as temporary:
        torch.onnx.export(
            module,
            kwargs={name: torch.from_numpy(array) for name, array in full.items()},
            f=temporary,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=list(full),
            output_names=["output"],
            external_data=False,
            verbose=False,
        )
    print(f"{task.out}: {task.out.stat().st_size / 1e6:.1f} MB in {time.perf_counter() - begin:.1f} s")


def dynamic_axes(name: str, full: tuple[int, ...], small: tuple[int, ...]) -> dict[int, torch.export.Dim]:
    """The axes of one input whose size differs between two shapes, as dynamic dimensions up to the larger.

    Raises ValueError if the two shapes differ in rank.
    """
    if len(full) != len(small):
        raise ValueError(f"input {name}: inference has shape {full}, latency {small}; ranks must agree")
    return {
        axis: torch.export.Dim(f"{name}_{axis}", min=1, max=max(sizes))
        for axis, sizes in enumerate(zip(full, small, strict=True))
        if sizes[0] != sizes[1]
    }
