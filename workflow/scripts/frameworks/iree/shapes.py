"""An ONNX graph with sizes of its own for the axes that it leaves free (needs onnx only)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx


def fixed(path: Path, sizes: Mapping[str, int]) -> onnx.ModelProto:
    """The graph in ``path`` with these sizes for the axes that it names; every other axis stays as it is.

    Raises ValueError if it names no such axis.
    """
    model = onnx.load(path)
    found = set()
    for value in (*model.graph.input, *model.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if (name := axis.dim_param) in sizes:
                found.add(name)
                axis.dim_value = sizes[name]  # the two are one field
    if missing := set(sizes) - found:
        raise ValueError(f"{path} has no axis {', '.join(sorted(missing))}; export the model again")
    del model.graph.value_info[:]  # sizes of what lies between, by the old names
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def trim(model: onnx.ModelProto) -> int:
    """Take off the padding that no window reads, of convolutions whose output is one element wide; how many.

    A stride may pass over the last of a padded input. IREE 3.13.0 then folds the output's axis away, takes the
    whole padded axis for the kernel's, and refuses the graph (docs/upstream.md).
    """
    graph, count = model.graph, 0
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    for node in graph.node:
        if node.op_type != "Conv" or not all(shapes.get(name) for name in (node.input[0], node.output[0])):
            continue
        given = {attribute.name: attribute.ints for attribute in node.attribute}
        kernel, pads, strides = given["kernel_shape"], given["pads"], given["strides"]
        read, made = shapes[node.input[0]][2:], shapes[node.output[0]][2:]
        for axis, size in enumerate(kernel):
            end = len(kernel) + axis
            span = (size - 1) * given["dilations"][axis] + 1
            unread = (read[axis] + pads[axis] + pads[end] - span) % strides[axis]
            if made[axis] == 1 and 0 < unread <= pads[end]:
                pads[end] -= unread
                count += 1
    return count
