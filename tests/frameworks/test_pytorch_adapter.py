"""PyTorch's adapter on the miniatures: eager, in each lane. The compiled rows run in test_workflow.py."""

import numpy as np
import pytest
import torch

import jobs
import miniatures
from arena import files, tensors
from arena.judging import distances
from compute_reference import run
from frameworks.base import Job, UnsupportedError
from frameworks.pytorch.adapter import Adapter
from frameworks.pytorch.models import generation
from frameworks.pytorch.models.loading import load

every_model = pytest.mark.parametrize("name", miniatures.MODELS)


def job(name, directory, **changes) -> Job:
    """A cell's job on the miniature, its files written to ``directory``."""
    weights, config, inputs = (directory / file for file in ("model.safetensors", "config.json", "inputs"))
    tensors.save(weights, miniatures.weights(name))
    files.write_json(config, miniatures.config(name))
    tensors.save(inputs, miniatures.inputs(name))
    model = miniatures.model(name)
    settings = {
        "weights": weights,
        "config": config,
        "inputs": inputs,
        "export": None,
        "definition": model["definition"],
        "loss": model["loss"],
        "decode_tokens": model["workload"].get("decode", {}).get("tokens", 0),
    }
    return jobs.job(directory, **settings | changes)


def loaded(name, directory, **changes) -> Adapter:
    adapter = Adapter(job(name, directory, **changes))
    adapter.load()
    return adapter


def double(name) -> torch.nn.Module:
    return load(
        miniatures.config(name)["definition"],
        miniatures.config(name),
        miniatures.weights(name),
        torch.float64,
    )


def test_greedy_tokens_are_the_reference_s(tmp_path):
    adapter = loaded("SmolLM2-135M", tmp_path)
    generate = adapter.prepare("decode")
    generate()
    result = generate()  # the second: each starts with an empty cache
    tokens = adapter.fetch("decode", result)["tokens"]
    prompt = torch.tensor(miniatures.inputs("SmolLM2-135M")["decode.input_ids"])
    expected, _ = generation.greedy(double("SmolLM2-135M"), prompt, len(tokens))
    assert tokens.dtype == np.int64
    assert tokens.tolist() == expected.tolist()
    assert result.first_token_ns > 0


def test_a_model_without_a_cache_does_not_generate(tmp_path):
    tensors.save(tmp_path / "prompt", {"decode.input_ids": np.zeros((1, 2), np.int64)})
    adapter = loaded("SmolVLA", tmp_path, inputs=tmp_path / "prompt", decode_tokens=2)
    with pytest.raises(UnsupportedError) as raised:
        adapter.prepare("decode")
    assert raised.value.code == "no-kv-cache"


@every_model
def test_bfloat16_rounds_everything_and_comes_back_as_float32(name, tmp_path):
    model = miniatures.model(name)
    expected = run(
        miniatures.config(name),
        miniatures.weights(name),
        miniatures.inputs(name),
        model["loss"],
        torch.float64,
    )
    adapter = loaded(name, tmp_path, lane="bfloat16")
    output = adapter.fetch("inference", adapter.prepare("inference")())["output"]
    assert {weight.dtype for weight in adapter.module.parameters()} == {torch.bfloat16}
    assert output.dtype == np.float32
    error = np.linalg.norm(output - expected.inference) / np.linalg.norm(expected.inference)
    assert 1e-4 < error < 5e-2
    fetched = adapter.fetch("training", adapter.prepare("training")())
    assert {array.dtype for array in fetched.values()} == {np.dtype(np.float32)}
    assert distances.relative_error(float(fetched["loss"]), expected.loss) < 3e-3


def test_the_strict_lane_forbids_tf32_everywhere(tmp_path):
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    products.allow_tf32 = convolutions.allow_tf32 = True
    Adapter(job("SmolVLA", tmp_path))
    assert (products.allow_tf32, convolutions.allow_tf32) == (False, False)


def test_a_device_that_is_not_there_is_said(tmp_path):
    with pytest.raises(UnsupportedError) as raised:
        Adapter(job("SmolVLA", tmp_path, accelerator="xpu"))
    assert raised.value.code == "no-device"
