"""Quantise a converted file by LiteRT's own quantiser, with its recipe ``dynamic_wi8_afp32``: dynamic range to int8.

Weights, embeddings among them, become signed 8-bit integers with a scale for each output channel; at run time XNNPACK
rounds the activations that meet them, as they come. Nothing is calibrated. Signatures keep their names and types.
"""

from __future__ import annotations

from frameworks.exporting import Export


def export(task: Export) -> None:
    """Write the quantised file, under a temporary name first."""
    from ai_edge_quantizer import quantizer, recipe  # here, because only this format's environment has it

    from arena import files

    source = task.source()
    made = quantizer.Quantizer(str(source), recipe.dynamic_wi8_afp32()).quantize(
        enable_progress_bar=False, enable_progress_report=False
    )
    with files.replacing(task.out) as temporary:
        temporary.write_bytes(made.quantized_model)
    sizes = " MB, of ".join(f"{path.stat().st_size / 1e6:.1f}" for path in (task.out, source))
    print(f"{task.out}: {sizes} MB")
