"""Workloads: the formulas, and that every model's inputs fit the model."""

import json
import math

import numpy as np
import pytest

import make_inputs
import miniatures
from arena import tensors
from runner import REPOSITORY

every_model = pytest.mark.parametrize("name", miniatures.MODELS)


@pytest.mark.parametrize(("kind", "function"), [("sin", math.sin), ("cos", math.cos)])
def test_waves_count_elements_in_c_order_and_round_once(kind, function):
    entry = {"shape": [2, 3, 50], "fill": kind, "step": 0.007, "dtype": "float32"}
    expected = np.array([function(0.007 * i) for i in range(300)], dtype=np.float32).reshape(2, 3, 50)
    # platforms' sines may differ in the last bit of float64, hence of float32 in one of 10^8 values
    np.testing.assert_allclose(make_inputs.fill("x", entry), expected, rtol=2e-7)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"shape": [1, 3], "fill": "arange", "dtype": "int64"}, [[0, 1, 2]]),
        ({"shape": [3], "fill": "arange", "start": 5, "dtype": "int64"}, [5, 6, 7]),
        ({"shape": [2, 1], "fill": "zeros", "dtype": "int64"}, [[0], [0]]),
        ({"shape": [2, 2], "fill": "values", "values": [4, 3, 2, 1], "dtype": "int64"}, [[4, 3], [2, 1]]),
    ],
)
def test_fills(entry, expected):
    made = make_inputs.fill("x", entry)
    assert made.dtype == np.int64
    assert made.tolist() == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fill": "random"}, r"x\.fill: 'random'"),
        ({"dtype": "float16"}, r"x\.dtype: 'float16'"),
        ({"dtype": "int64"}, r"x\.dtype: 'int64' cannot hold a sin"),
        ({"fill": "values", "values": [1]}, r"x\.values: 1 given, shape \[3\] needs 3"),
    ],
)
def test_bad_entries_are_refused_by_key(change, message):
    with pytest.raises(ValueError, match=message):
        make_inputs.fill("x", {"shape": [3], "fill": "sin", "step": 1.0, "dtype": "float32"} | change)


# (shape, first value, last value) of every input at full size, of the models whose results are published
WORKLOADS = {
    "SmolLM2-135M": {
        "inference.input_ids": ((1, 128), 0, 127),
        "latency.input_ids": ((1, 1), 0, 0),
        "decode.input_ids": ((1, 128), 0, 127),
        "target": ((128,), 1, 128),
    },
    "SmolVLA": {
        "inference.actions": ((1, 50, 32), 0.0, math.sin(15.99)),
        "inference.time": ((1, 1, 1440), 0.0, math.sin(7.195)),
        "inference.context": ((1, 16, 320), 1.0, math.cos(51.19)),
        "latency.actions": ((1, 1, 32), 0.0, math.sin(0.31)),
        "latency.time": ((1, 1, 1440), 0.0, math.sin(7.195)),
        "latency.context": ((1, 1, 320), 1.0, math.cos(3.19)),
        "target": ((1, 50, 32), 0.0, 0.0),
    },
    "StableDiffusion": {
        "inference.latent": ((2, 4, 32, 32), 0.0, math.sin(81.91)),
        "latency.latent": ((1, 4, 32, 32), 0.0, math.sin(40.95)),
        "target": ((2, 4, 32, 32), 1.0, math.cos(57.337)),
    },
    "ResNet-50": {
        "inference.images": ((4, 3, 224, 224), 0.0, math.sin(602.111)),
        "latency.images": ((1, 3, 224, 224), 0.0, math.sin(150.527)),
        "target": ((4,), 0, 3),
    },
    "Whisper-tiny": {
        "inference.input_features": ((1, 80, 3000), 0.0, math.sin(239.999)),
        "inference.decoder_input_ids": ((1, 4), 50258, 50363),
        "latency.input_features": ((1, 80, 3000), 0.0, math.sin(239.999)),
        "latency.decoder_input_ids": ((1, 1), 50258, 50258),
        "target": ((4,), 50259, 50257),
    },
}


@pytest.mark.parametrize("name", WORKLOADS)
def test_workloads_at_full_size(name):
    made = make_inputs.generate(miniatures.full(name))
    assert made.keys() == WORKLOADS[name].keys()
    for key, (shape, first, last) in WORKLOADS[name].items():
        assert made[key].shape == shape, key
        assert made[key].dtype == (np.int64 if isinstance(first, int) else np.float32), key
        assert made[key].flat[0] == pytest.approx(first, abs=1e-6), key
        assert made[key].flat[-1] == pytest.approx(last, abs=1e-6), key


@every_model
def test_the_miniature_only_shrinks(name):
    def check(small, large, path):
        for key, value in small.items():
            assert key in large or key == "start", f"{path}.{key} is in config/test.yaml but not in the model"
            if isinstance(value, dict):
                check(value, large[key], f"{path}.{key}")
            elif isinstance(value, int) and key != "start":
                assert value <= large[key], f"{path}.{key}"
            elif key == "shape":
                assert math.prod(value) <= math.prod(large[key]), f"{path}.{key}"

    check(miniatures.OVERRIDES[name], miniatures.full(name), name)


@every_model
@pytest.mark.parametrize("size", [miniatures.full, miniatures.model])
def test_indices_are_in_range(name, size):
    model = size(name)
    classes = model["architecture"].get("vocab_size") or model["architecture"].get("num_classes")
    for key, array in make_inputs.generate(model).items():
        if array.dtype == np.int64:
            assert 0 <= array.min() <= array.max() < classes, key


def test_script_writes_every_input(tmp_path):
    out = tmp_path / "inputs.safetensors"
    make_inputs.main(
        ["--model-config", json.dumps(miniatures.model("Whisper-tiny")), "--out", str(out)],
    )
    written, expected = tensors.load(out), miniatures.inputs("Whisper-tiny")
    assert written.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(written[name], array, strict=True)


def test_a_text_comes_with_the_inputs(tmp_path, capsys):
    model, out = miniatures.model("SmolLM2-135M"), tmp_path / "inputs.safetensors"
    options = ["--model-config", json.dumps(model), "--out", str(out)]
    make_inputs.main([*options, "--text", str(REPOSITORY / model["workload"]["quality"]["tokens"])])
    written = tensors.load(out)
    shapes = {name: array.shape for name, array in written.items() if name.startswith(("quality", "calibr"))}
    assert shapes == {
        "quality.input_ids": (2, 1, 128),
        "quality.target": (2, 128),
        "calibration.input_ids": (1, 1, 128),
    }
    assert bytes(written["quality.input_ids"][0, 0, :18].tolist()) == b"Sir Walter Elliot,"
    np.testing.assert_array_equal(
        written["quality.target"].ravel()[:-1], written["quality.input_ids"].ravel()[1:]
    )
    short = tmp_path / "short.txt"
    short.write_text("1 2 3")
    with pytest.raises(
        SystemExit, match=r"short.txt: 3 tokens; expected 385 for 2 windows and 1 examples of 128"
    ):
        make_inputs.main([*options, "--text", str(short)])
