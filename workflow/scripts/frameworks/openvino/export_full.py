"""Convert an ONNX graph to OpenVINO's own format with weights and activations in int8: NNCF's full quantisation.

Where the weights' export (export.py) leaves activations to the engine, here every activation that meets a quantised
weight gets a range of its own beforehand, from examples: post-training quantisation, `nncf.quantize`. A transformer's
activations are smoothed into the weights first (SmoothQuant), which NNCF does for models of that type.
"""

from __future__ import annotations

import numpy as np

from arena import tensors
from frameworks.exporting import Export
from frameworks.openvino.export import save

#: Definitions that are transformers; NNCF quantises them with its settings for that type of model.
TRANSFORMERS = ("llama", "action_expert", "whisper")


def examples(inputs: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """What activations are measured on: the workload's examples where it has some, else its inference input."""
    given = tensors.select(inputs, "calibration.")
    if not given:
        return [tensors.select(inputs, "inference.")]
    (count,) = {len(array) for array in given.values()}
    return [{name: array[index] for name, array in given.items()} for index in range(count)]


def export(task: Export) -> None:
    """Write the quantised graph and its weights, each under a temporary name first."""
    import nncf  # here, because only this format's environment has it
    import openvino as ov

    (graph,) = (path for name, path in task.reads.items() if name != "inputs")
    model = ov.Core().read_model(graph)
    found = examples(task.inputs())
    kind = nncf.ModelType.TRANSFORMER if task.definition in TRANSFORMERS else None
    model = nncf.quantize(model, nncf.Dataset(found), subset_size=len(found), model_type=kind)
    save(model, task.files)
    print(f"{task.out}: {task.files[1].stat().st_size / 1e6:.1f} MB of weights, {len(found)} example(s)")
