"""The exports in eight bits that are made of another format: ONNX Runtime's, and what OpenVINO's is calibrated on."""

# ruff: noqa: E402 -- the imports need onnx and ONNX Runtime, so the skip comes before them

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs onnx and ONNX Runtime")
ort = pytest.importorskip("onnxruntime", reason="needs onnx and ONNX Runtime")

from frameworks.exporting import Export
from frameworks.onnxruntime import export_int8
from frameworks.openvino import export_full

RANDOM = np.random.default_rng(3)
WEIGHT = RANDOM.normal(size=(64, 32)).astype(np.float32)
INPUT = RANDOM.normal(size=(5, 64)).astype(np.float32)


@pytest.fixture(scope="module")
def quantised(tmp_path_factory):
    """A graph of one matrix product, as ONNX Runtime's tool quantises it."""
    folder = tmp_path_factory.mktemp("int8")
    source, out = folder / "model.onnx", folder / "quantised" / "model.onnx"
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["output"])],
        "product",
        [onnx.helper.make_tensor_value_info("x", kind, ["rows", 64])],
        [onnx.helper.make_tensor_value_info("output", kind, ["rows", 32])],
        [onnx.numpy_helper.from_array(WEIGHT, "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, source)
    export_int8.export(Export("Tiny", "llama", "float32", (out,), {"onnx/model.onnx": source}))
    return out


def test_weights_are_stored_in_eight_bits_and_activations_are_rounded_as_they_come(quantised):
    graph = onnx.load(quantised).graph
    stored = {each.name: each for each in graph.initializer}
    (matrix,) = [each for each in stored.values() if list(each.dims) == [64, 32]]
    assert matrix.data_type == onnx.TensorProto.INT8
    operators = [node.op_type for node in graph.node]
    assert "DynamicQuantizeLinear" in operators and "MatMulInteger" in operators and "MatMul" not in operators


def test_the_quantised_product_is_near_the_exact_one_and_not_it(quantised):
    session = ort.InferenceSession(quantised, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"x": INPUT})
    exact = INPUT.astype(np.float64) @ WEIGHT
    error = np.linalg.norm(output - exact) / np.linalg.norm(exact)
    assert 1e-3 < error < 3e-2  # half a step of 255 over some eight standard deviations, twice


def test_nothing_else_is_left_beside_the_graph(quantised):
    assert [path.name for path in quantised.parent.iterdir()] == ["model.onnx"]


def test_activations_are_measured_on_the_inference_input_where_there_are_no_examples():
    inputs = {"inference.x": INPUT, "latency.x": INPUT[:1], "target": np.zeros(5)}
    (found,) = export_full.examples(inputs)
    assert list(found) == ["x"] and found["x"] is INPUT


def test_examples_count_before_the_inference_input():
    given = RANDOM.normal(size=(3, 2, 64))
    found = export_full.examples({"inference.x": INPUT, "calibration.x": given})
    assert len(found) == 3
    for index, example in enumerate(found):
        np.testing.assert_array_equal(example["x"], given[index])
