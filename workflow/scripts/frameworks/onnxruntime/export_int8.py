"""Quantise an exported graph as ONNX Runtime's own tool does for transformers: dynamic quantisation to int8.

The weights of matrix products and of convolutions become signed 8-bit integers with one scale a tensor; at run time
the engine rounds the activations that meet them, by the smallest and the largest value of each call. Nothing is
calibrated. It is `quantize_dynamic` with its own defaults.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from frameworks.exporting import Export


def export(task: Export) -> None:
    """Write the quantised graph, under a temporary name first."""
    from onnxruntime import quantization  # here, because only this format's environment has what it needs

    source = task.source()
    task.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=task.out.parent) as folder:
        written = Path(folder, task.out.name)
        quantization.quantize_dynamic(source, written)
        written.replace(task.out)
    sizes = " MB, of ".join(f"{path.stat().st_size / 1e6:.1f}" for path in (task.out, source))
    print(f"{task.out}: {sizes} MB")
