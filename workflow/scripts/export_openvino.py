"""Convert an ONNX graph to OpenVINO's own format: an XML file and its weights beside it (.bin).

Lane float32 keeps the weights; int8 stores every matrix, convolution and embedding as 8-bit integers with
a scale and a zero point per channel, chosen from the weights alone (NNCF's default). A graph that takes
past keys and values becomes stateful: the engine keeps them between calls.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openvino as ov

PAST, PRESENT = "past_key_values.", "present."  # as export_onnx_decode.py names them


def keep_state(model: ov.Model) -> int:
    """Make each input of past keys or values, with its output, a variable of the engine; how many."""
    from openvino.passes import MakeStateful, Manager  # here and below, so that --help needs no OpenVINO

    pairs = {
        name: PRESENT + name.removeprefix(PAST)
        for port in model.inputs
        if (name := port.get_any_name()).startswith(PAST)
    }
    if pairs:
        manager = Manager()
        manager.register_pass(MakeStateful(pairs))
        manager.run_passes(model)
    return len(pairs)


def compress(model: ov.Model) -> ov.Model:
    """The model with 8-bit weights, int8_asym: w ≈ (q - zero point) · scale, per output channel."""
    import nncf  # here, because only this lane's environment has it

    return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)


def save(model: ov.Model, out: Path) -> None:
    """Write ``out`` and its weights, each under a temporary name first; never in float16."""
    import openvino as ov

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        ov.save_model(model, Path(folder, out.name), compress_to_fp16=False)
        for path in (out.with_suffix(".bin"), out):
            Path(folder, path.name).replace(path)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--graph", type=Path, required=True, help="read: model.onnx or decode.onnx")
    parser.add_argument("--lane", choices=["float32", "int8"], required=True)
    parser.add_argument("--out", type=Path, required=True, help="written: .xml, and a .bin beside it")
    options = parser.parse_args(arguments)
    import openvino as ov

    model = ov.Core().read_model(options.graph)
    variables = keep_state(model)
    if options.lane == "int8":
        model = compress(model)
    save(model, options.out)
    size = options.out.with_suffix(".bin").stat().st_size
    print(f"{options.out}: {size / 1e6:.1f} MB of weights, {variables} state variables", file=sys.stderr)


if __name__ == "__main__":
    main()
