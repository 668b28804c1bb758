"""Import the ONNX graph with a key-value cache, twice: for the prompt, of fixed size, and for one more token, after any
number of others."""

from __future__ import annotations

from frameworks.exporting import Export
from frameworks.iree import importing, shapes


def export(task: Export) -> None:
    """Write prefill.mlir, step.mlir and decode.irpa, the weights of both."""
    prefill, step, weights = task.files
    prompt = task.inputs()["decode.input_ids"].shape[1]
    source = task.reads["onnx/decode.onnx"]
    importing.write(shapes.fixed(source, {"time": prompt, "past": 0}), prefill, weights)
    importing.write(shapes.fixed(source, {"time": 1}), step)
