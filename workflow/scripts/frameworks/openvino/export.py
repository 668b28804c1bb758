"""Convert an ONNX graph to OpenVINO's own format: an XML file and its weights beside it (.bin).

Lane float32 keeps the weights; int8 stores every matrix, convolution and embedding as 8-bit integers with
a scale and a zero point per channel, chosen from the weights alone (NNCF's default). A graph that takes
past keys and values becomes stateful: the engine keeps them between calls.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from frameworks.exporting import Export

if TYPE_CHECKING:
    import openvino as ov

PAST, PRESENT = "past_key_values.", "present."  # as frameworks/onnxruntime/export_decode.py names them


def keep_state(model: ov.Model) -> int:
    """Make each input of past keys or values, with its output, a variable of the engine; how many."""
    from openvino.passes import MakeStateful, Manager

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


def save(model: ov.Model, files: tuple[Path, ...]) -> None:
    """Write graph and weights, ``files`` in this order, each under a temporary name first; never in float16."""
    import openvino as ov

    graph, weights = files
    graph.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=graph.parent) as folder:
        ov.save_model(model, Path(folder, graph.name), compress_to_fp16=False)
        for path in (weights, graph):
            Path(folder, path.name).replace(path)


def export(task: Export) -> None:
    """Write the converted graph and its weights."""
    import openvino as ov

    model = ov.Core().read_model(task.source())
    variables = keep_state(model)
    if task.lane == "int8":
        model = compress(model)
    save(model, task.files)
    megabytes = task.files[1].stat().st_size / 1e6
    print(f"{task.out}: {megabytes:.1f} MB of weights, {variables} state variables")
