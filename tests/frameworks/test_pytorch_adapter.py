"""PyTorch's adapter on the miniatures: eager, in each lane. The compiled rows run in test_workflow.py."""

import numpy as np
import pytest
import torch

import jobs
import miniatures
from arena import files, tensors
from arena.judging import distances
from frameworks.base import Job, UnsupportedError
from frameworks.pytorch import graphs, regions
from frameworks.pytorch.adapter import Adapter
from frameworks.pytorch.models import generation
from frameworks.pytorch.models.loading import load
from frameworks.pytorch.reference import run

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
    assert distances.relative_error(float(fetched["loss"]), expected.loss) < 5e-3


def test_the_strict_lane_forbids_tf32_everywhere(tmp_path):
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    products.allow_tf32 = convolutions.allow_tf32 = True
    Adapter(job("SmolVLA", tmp_path))
    assert (products.allow_tf32, convolutions.allow_tf32) == (False, False)


def test_a_device_that_is_not_there_is_said(tmp_path):
    with pytest.raises(UnsupportedError) as raised:
        Adapter(job("SmolVLA", tmp_path, accelerator="xpu"))
    assert raised.value.code == "no-device"


REGIONS = {
    "SmolLM2-135M": ("Layer", lambda config: config["num_hidden_layers"]),
    "SmolVLA": ("Layer", lambda config: config["num_hidden_layers"]),
    "ResNet-50": ("Bottleneck", lambda config: sum(config["layers"])),
    "StableDiffusion": ("ResidualBlock", lambda config: 2 * len(config["channel_multipliers"]) + 1),
}


@pytest.mark.parametrize("name", REGIONS)
def test_what_repeats_is_found_once_and_whole(name):
    kind, count = REGIONS[name]
    found = regions.repeated(double(name))
    assert [type(part).__name__ for part in found] == [kind] * count(miniatures.config(name))


def test_a_layer_that_stands_alone_is_not_compiled_by_itself():
    """The miniature's encoder has one layer, its decoder more; Whisper's own has several of both."""
    config = miniatures.config("Whisper-tiny")
    kinds = [type(part).__name__ for part in regions.repeated(double("Whisper-tiny"))]
    assert config["encoder_layers"] == 1
    assert kinds == ["DecoderLayer"] * config["decoder_layers"]


def test_a_module_in_which_nothing_repeats_is_not_compiled_by_layer():
    with pytest.raises(ValueError, match="Sequential has no part that occurs more than once"):
        regions.compile_regions(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)))


@pytest.mark.slow
def test_compiled_by_layer_it_computes_the_same(tmp_path):
    """Inference, the cached steps and the gradients: every way in which a layer is called."""
    adapters = [loaded("SmolLM2-135M", tmp_path, options={"compile": way}) for way in (False, "regional")]
    for task in ("inference", "decode", "training"):
        eager, regional = (adapter.fetch(task, adapter.prepare(task)()) for adapter in adapters)
        assert eager.keys() == regional.keys()
        for name, expected in eager.items():
            np.testing.assert_allclose(regional[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)
    assert adapters[1].describe()["backend"] == "CPU, Inductor by layer"


def test_a_continuation_in_tensors_that_stay_in_place_is_the_greedy_one():
    """What a card captures and replays, here run as it is; twice, as a replay begins again."""
    module = double("SmolLM2-135M")
    prompt = torch.tensor(miniatures.inputs("SmolLM2-135M")["decode.input_ids"])
    count = 9
    buffers = module.buffers_for(prompt.shape[1] + count)
    text = graphs.Continuation(
        lambda prompt: module.prefill(prompt, buffers),
        lambda token, position: module.step(token, position, buffers),
        prompt,
        count,
    )
    places = [text.tokens.data_ptr(), text.token.data_ptr(), text.position.data_ptr()]
    expected, _ = generation.greedy(module, prompt, count)
    for _ in range(2):
        with torch.inference_mode():
            text.start()
            assert text.token.item() == expected[0]
            for _ in range(count - 1):
                text.advance()
        assert text.tokens[0].tolist() == expected.tolist()
    assert places == [text.tokens.data_ptr(), text.token.data_ptr(), text.position.data_ptr()]
