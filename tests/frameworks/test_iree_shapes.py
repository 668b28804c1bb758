"""The sizes that IREE's import gives a graph: they reach the output, and padding that nothing reads changes nothing."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from frameworks.iree import shapes


def convolution(path, size, kernel, stride, pads, dilation=1):
    """A graph of one convolution of images (rows, 1, size, size), saved in ``path``; ``rows`` is free."""
    weight = np.arange(1, kernel * kernel + 1, dtype=np.float32).reshape(1, 1, kernel, kernel)
    node = helper.make_node(
        "Conv", ["images", "weight"], ["output"], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads,
        dilations=[dilation] * 2,
    )  # fmt: skip
    graph = helper.make_graph(
        [node],
        "one convolution",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["rows", 1, size, size])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["rows", 1, None, None])],
        [numpy_helper.from_array(weight, "weight")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def pads_of(model):
    return list(next(each for each in model.graph.node[0].attribute if each.name == "pads").ints)


def test_a_named_axis_gets_its_size_up_to_the_output(tmp_path):
    model = shapes.fixed(convolution(tmp_path / "a.onnx", 5, 3, 2, [1, 1, 1, 1]), {"rows": 4})
    sizes = [axis.dim_value for axis in model.graph.output[0].type.tensor_type.shape.dim]
    assert sizes == [4, 1, 3, 3]


def test_an_axis_that_the_graph_does_not_have_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.onnx has no axis columns; export the model again"):
        shapes.fixed(convolution(tmp_path / "a.onnx", 5, 3, 2, [1, 1, 1, 1]), {"columns": 4})


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads", "dilation", "trimmed"),
    [
        (2, 3, 2, [1, 1, 1, 1], 1, [1, 1, 0, 0]),  # one output, whose window ends before the padding does
        (1, 3, 4, [2, 2, 1, 1], 1, [2, 2, 0, 0]),
        (3, 3, 4, [1, 1, 1, 1], 2, [1, 1, 1, 1]),  # a dilated window reads it all
        (4, 3, 2, [1, 1, 1, 1], 1, [1, 1, 1, 1]),  # more than one output: IREE has no trouble with it
        (3, 3, 4, [1, 1, 2, 1], 1, [1, 1, 2, 1]),  # of three that are not read one is the input's
        (2, 1, 2, [0, 0, 0, 0], 1, [0, 0, 0, 0]),  # what is not read is the input's own
    ],
)
def test_only_padding_that_no_window_reads_is_taken_off(
    tmp_path, size, kernel, stride, pads, dilation, trimmed
):
    path = convolution(tmp_path / "a.onnx", size, kernel, stride, pads, dilation)
    model = shapes.fixed(path, {"rows": 2})
    images = {"images": np.arange(2 * size * size, dtype=np.float32).reshape(2, 1, size, size)}
    (before,) = ReferenceEvaluator(model).run(None, images)
    count = shapes.trim(model)
    (after,) = ReferenceEvaluator(model).run(None, images)
    assert pads_of(model) == trimmed
    assert count == sum(a != b for a, b in zip(pads, trimmed, strict=True))
    assert np.array_equal(before, after)
