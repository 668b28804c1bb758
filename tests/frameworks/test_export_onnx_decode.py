"""The exported graph with a key-value cache, through ONNX Runtime's adapter."""

# ruff: noqa: E402 -- the imports need ONNX Runtime and PyTorch, so the skip comes before them

from dataclasses import replace

import numpy as np
import pytest

ort = pytest.importorskip("onnxruntime", reason="needs ONNX Runtime, the ONNX exporter and PyTorch")

import torch

import jobs
import miniatures
from arena import files, tensors
from frameworks.base import UnsupportedError
from frameworks.exporting import Export
from frameworks.onnxruntime import export_decode
from frameworks.onnxruntime.adapter import Adapter
from frameworks.pytorch.models import generation
from frameworks.pytorch.models.loading import load
from models.spec import llama as spec

pytestmark = pytest.mark.slow

# one layer: the exporter's time grows with them
CONFIG = miniatures.config("SmolLM2-135M") | {"num_hidden_layers": 1}
WEIGHTS = {name: miniatures.weights("SmolLM2-135M")[name] for name in spec.tensors(CONFIG)}
PROMPT = np.arange(100, 120)[None]
COUNT = 8


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A job whose model has one layer, its graph exported by the program."""
    folder = tmp_path_factory.mktemp("decode")
    weights, config, graph = (folder / name for name in ("model.safetensors", "config.json", "decode.onnx"))
    tensors.save(weights, WEIGHTS)
    files.write_json(config, CONFIG)
    tensors.save(folder / "inputs.safetensors", {"decode.input_ids": PROMPT})
    reads = {"weights": weights, "config": config}
    export_decode.export(Export("SmolLM2-135M", "llama", "float32", (graph,), reads))
    return jobs.job(folder, export=graph, decode_export=graph, decode_tokens=COUNT, definition="llama")


def test_inputs_and_outputs_have_the_names_of_the_ecosystem(exported):
    session = ort.InferenceSession(exported.files.decode_export)
    heads, head_dim = CONFIG["num_key_value_heads"], CONFIG["head_dim"]
    inputs = {value.name: (value.type, value.shape) for value in session.get_inputs()}
    assert list(inputs) == ["input_ids", "past_key_values.0.key", "past_key_values.0.value"]
    assert inputs["input_ids"] == ("tensor(int64)", [1, "time"])
    assert inputs["past_key_values.0.key"] == ("tensor(float)", [1, heads, "past", head_dim])
    outputs = {value.name: value.shape for value in session.get_outputs()}
    assert list(outputs) == ["logits", "present.0.key", "present.0.value"]
    assert outputs["logits"] == [1, CONFIG["vocab_size"]]


def test_one_graph_serves_prompt_and_steps(exported):
    session = ort.InferenceSession(exported.files.decode_export)
    module = load("llama", CONFIG, WEIGHTS, torch.float64)
    heads, head_dim = CONFIG["num_key_value_heads"], CONFIG["head_dim"]
    past = [np.zeros((1, heads, 0, head_dim), np.float32)] * 2
    for start, end in ((0, 12), (12, 13), (13, 14), (14, 20)):
        names = [value.name for value in session.get_inputs()]
        feed = dict(zip(names, [PROMPT[:, start:end], *past], strict=True))
        logits, *past = session.run(None, feed)
        with torch.no_grad():
            expected = module(torch.tensor(PROMPT[:, :end]))[:, -1].numpy()
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
        assert past[0].shape == (1, heads, end, head_dim)


def test_greedy_tokens_are_the_reference_s(exported):
    adapter = Adapter(exported)
    adapter.load()
    generate = adapter.prepare("decode")
    generate()
    result = generate()  # the second: each starts with an empty cache
    tokens = adapter.fetch("decode", result)["tokens"]
    expected, _ = generation.greedy(
        load("llama", CONFIG, WEIGHTS, torch.float64), torch.tensor(PROMPT), COUNT
    )
    assert tokens.dtype == np.int64
    assert tokens.tolist() == expected.tolist()
    assert result.first_token_ns > 0


def test_without_the_graph_it_does_not_generate(exported):
    adapter = Adapter(replace(exported, files=replace(exported.files, decode_export=None)))
    with pytest.raises(UnsupportedError) as raised:
        adapter.prepare("decode")
    assert raised.value.code == "no-kv-cache"


def test_a_model_without_a_cache_is_refused(tmp_path):
    tensors.save(tmp_path / "model.safetensors", miniatures.weights("SmolVLA"))
    files.write_json(tmp_path / "config.json", miniatures.config("SmolVLA"))
    reads = {"weights": tmp_path / "model.safetensors", "config": tmp_path / "config.json"}
    task = Export("SmolVLA", "action_expert", "float32", (tmp_path / "out.onnx",), reads)
    with pytest.raises(
        UnsupportedError, match=r"action_expert\.py has no forward pass with a key-value"
    ) as raised:
        export_decode.export(task)
    assert raised.value.code == "no-kv-cache"
    assert not (tmp_path / "out.onnx").exists()
