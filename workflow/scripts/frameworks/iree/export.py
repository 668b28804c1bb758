"""Import the ONNX graph into IREE's MLIR, once for each task's sizes: IREE compiles fixed sizes better than free ones.

The weights are one file for both (.irpa), to which the graphs refer by name.
"""

from __future__ import annotations

from arena import tensors
from frameworks.exporting import Export
from frameworks.iree import importing, shapes


def export(task: Export) -> None:
    """Write inference.mlir, latency.mlir and model.irpa."""
    *graphs, weights = task.files
    inputs = task.inputs()
    both = [tensors.select(inputs, f"{graph.stem}.") for graph in graphs]
    for graph, own in zip(graphs, both, strict=True):
        # An axis has a name where the two tasks differ (frameworks/onnxruntime/export.py).
        sizes = {
            f"{name}_{axis}": size
            for name, array in own.items()
            for axis, size in enumerate(array.shape)
            if len({other[name].shape[axis] for other in both}) > 1
        }
        model = shapes.fixed(task.reads["onnx/model.onnx"], sizes)
        if (names := [value.name for value in model.graph.input]) != list(own):
            raise ValueError(f"the graph takes {', '.join(names)}; expected {', '.join(own)}, in this order")
        print(f"{graph.name}: {sizes}, {shapes.trim(model)} axes trimmed", flush=True)
        importing.write(model, graph, weights if graph is graphs[0] else None)
