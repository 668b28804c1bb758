"""An ONNX graph as IREE's importer writes it: MLIR, and the weights beside it (.irpa)."""

from __future__ import annotations

from pathlib import Path

import onnx
from iree.compiler.tools.import_onnx import __main__ as importer

from arena import files


def write(model: onnx.ModelProto, out: Path, weights: Path | None = None) -> None:
    """Write the imported graph, and its weights unless another graph of the same model has written them."""
    with files.replacing(out) as graph, files.replacing(out.with_suffix(".onnx")) as source:
        onnx.save(model, source)
        words = [str(source), "-o", str(graph), "--externalize-params"]
        if weights is None:
            importer.main(importer.parse_arguments([*words, "--no-save-params"]))
        else:
            with files.replacing(weights) as parameters:
                importer.main(importer.parse_arguments([*words, "--save-params-to", str(parameters)]))
    out.with_suffix(".onnx").unlink()
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB", flush=True)
