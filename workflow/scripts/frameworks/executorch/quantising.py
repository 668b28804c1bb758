"""PyTorch's quantisation of a captured module (PT2E) with XNNPACK's own quantiser, dynamically to int8.

The weights of linear layers become signed 8-bit integers with a scale for each output channel; at run time XNNPACK
rounds the activations that meet them, as they come. Nothing is calibrated. It is what ExecuTorch names
``PT2E_INT8_DYNAMIC_PER_CHANNEL`` among its recipes, which leaves convolutions and embeddings in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from torch.export import ExportedProgram
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

from frameworks.errors import UnsupportedError

LINEAR, CONVOLUTION = "aten.linear.default", "aten.conv2d.default"


def dynamic(
    captured: ExportedProgram, arguments: tuple[Any, ...], named: Mapping[str, Any], free: Any = None
) -> ExportedProgram:
    """The module with its linear layers quantised, captured again with these example arguments and ``free`` sizes.

    Raises UnsupportedError for a model of convolutions, which this quantisation leaves as they are.
    """
    module = captured.module()
    if any(str(node.target) == CONVOLUTION for node in module.graph.nodes):
        why = "Its dynamic quantisation takes linear layers only, and this model is made of convolutions."
        raise UnsupportedError("unsupported-operator", why)
    quantiser = XNNPACKQuantizer()
    quantiser.set_global(get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True))
    prepared = prepare_pt2e(module, quantiser)
    prepared(*arguments, **named)
    return torch.export.export(convert_pt2e(prepared), arguments, dict(named), dynamic_shapes=free)
