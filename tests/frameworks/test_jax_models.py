"""JAX's models against the float64 reference, through the export and the adapter, in miniature."""

# ruff: noqa: E402 -- the imports need JAX and PyTorch, so the skip comes before them

from __future__ import annotations

import functools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jax", reason="needs an environment with both JAX and PyTorch")
torch = pytest.importorskip("torch", reason="needs an environment with both JAX and PyTorch")

import jax
import jax.numpy as jnp
from jax.extend.core import jaxprs_in_params

import jobs
import miniatures
from arena import files, tensors
from arena.contract import codec
from arena.judging import distances, losses
from frameworks.base import FailedError, Job, UnsupportedError
from frameworks.exporting import Export
from frameworks.jax import export as export_jax
from frameworks.jax.adapter import Adapter, runtime
from frameworks.jax.models import layers, layout, llama
from frameworks.jax.models.losses import LOSSES
from frameworks.pytorch import reference as pytorch_reference
from frameworks.pytorch.models import generation
from frameworks.pytorch.models import llama as torch_llama
from frameworks.pytorch.models.loading import load as load_torch

RELATIVE_L2 = 1e-5
GRADIENT_NORM_ERROR = 1e-3
GRADIENT_COSINE = 0.9999

every_model = pytest.mark.parametrize("name", miniatures.of("jax"))


def with_slow(*slow: str) -> list:
    """Every model, these marked slow: XLA compiles them for seconds."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name in slow)) for name in miniatures.of("jax")]


@functools.cache
def reference(name: str) -> pytorch_reference.Results:
    """The miniature's outputs, loss and gradients in float64 PyTorch."""
    model = miniatures.model(name)
    return pytorch_reference.run(
        miniatures.config(name),
        miniatures.weights(name),
        miniatures.inputs(name),
        model["loss"],
        torch.float64,
    )


def job(name: str, directory: Path, **changes) -> Job:
    """A cell's job on the miniature, its files written to ``directory``, weights exported by the program."""
    weights, config = directory / "model.safetensors", directory / "config.json"
    inputs, params = directory / "inputs.safetensors", directory / "params.safetensors"
    tensors.save(weights, miniatures.weights(name))
    files.write_json(config, miniatures.config(name))
    tensors.save(inputs, miniatures.inputs(name))
    model = miniatures.model(name)
    reads = {"weights": weights, "config": config}
    export_jax.export(Export(name, model["definition"], "float32", (params,), reads))
    settings = {
        "weights": weights,
        "config": config,
        "inputs": inputs,
        "export": params,
        "definition": model["definition"],
        "loss": model["loss"],
        "decode_tokens": model["workload"].get("decode", {}).get("tokens", 0),
    }
    return jobs.job(directory, **settings | changes)


def loaded(name: str, directory: Path, **changes) -> Adapter:
    """An adapter on the miniature with its weights in host memory."""
    adapter = Adapter(job(name, directory, **changes))
    adapter.load()
    return adapter


def relative_l2(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@every_model
def test_the_layout_inverts_exactly(name):
    for tensor, array in miniatures.weights(name).items():
        there = layout.to_jax(tensor, array)
        back = layout.from_jax(tensor, there)
        assert back.shape == array.shape and np.array_equal(back, array), tensor


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("layers.0.mlp.up_proj.weight", (3, 2), (2, 3)),
        ("model.encoder.conv1.weight", (4, 3, 2), (2, 3, 4)),
        ("layer1.0.conv2.weight", (5, 4, 2, 3), (2, 3, 4, 5)),
        ("model.embed_tokens.weight", (3, 2), (3, 2)),
        ("model.encoder.embed_positions.weight", (3, 2), (3, 2)),
        ("model.norm.weight", (3,), (3,)),
    ],
)
def test_the_layout_is_jax_s(name, shape, expected):
    array = np.arange(math.prod(shape)).reshape(shape)
    laid_out = layout.to_jax(name, array)
    assert laid_out.shape == expected
    if shape != expected:  # the element at (out, in, *kernel) moves to (*kernel, in, out)
        assert laid_out[*[0] * (len(shape) - 2), 1, 2] == array[2, 1, *[0] * (len(shape) - 2)]


def test_a_tensor_of_five_dimensions_is_refused():
    with pytest.raises(ValueError, match=r"conv3d\.weight.*at most four dimensions"):
        layout.to_jax("conv3d.weight", np.zeros((1, 1, 1, 1, 1)))


def test_export_names_what_does_not_fit():
    config, weights = miniatures.config("SmolVLA"), miniatures.weights("SmolVLA")
    with pytest.raises(KeyError, match=r"missing.*head\.weight"):
        export_jax.laid_out({name: weights[name] for name in weights if name != "head.weight"}, config)
    with pytest.raises(ValueError, match=r"head\.weight has shape \(48, 32\)"):
        export_jax.laid_out(weights | {"head.weight": weights["head.weight"].T}, config)


@every_model
def test_outputs_agree_with_the_float64_reference(name, tmp_path):
    adapter, expected = loaded(name, tmp_path), reference(name)
    for task in ("inference", "latency"):
        output = adapter.fetch(task, adapter.prepare(task)())["output"]
        assert output.dtype == np.float32
        assert relative_l2(output, getattr(expected, task)) <= RELATIVE_L2, task


@pytest.mark.parametrize("name", with_slow("SmolVLA", "StableDiffusion", "ResNet-50", "Whisper-tiny"))
def test_gradients_agree_with_the_float64_reference(name, tmp_path):
    adapter, expected = loaded(name, tmp_path), reference(name)
    step = adapter.prepare("training")
    step()
    fetched = adapter.fetch("training", step())  # the second run: nothing was donated or accumulated
    norms = {tensor: float(np.linalg.norm(gradient)) for tensor, gradient in expected.gradients.items()}
    figures = distances.compare_gradients(tensors.select(fetched, "gradient."), expected.gradients, norms)
    assert distances.relative_error(float(fetched["loss"]), expected.loss) <= RELATIVE_L2
    assert [figures[key] for key in ("missing", "misshapen", "nonfinite", "unexpected")] == [[], [], [], []]
    assert figures["gradient_norm_error"] <= GRADIENT_NORM_ERROR, figures["gradient_norm_tensor"]
    assert figures["gradient_cosine"] >= GRADIENT_COSINE, figures["gradient_cosine_tensor"]


def test_greedy_tokens_are_the_reference_s(tmp_path):
    adapter = loaded("SmolLM2-135M", tmp_path)
    generate = adapter.prepare("decode")
    generate()
    result = generate()  # the second: each starts with an empty cache, though the first's was donated
    tokens = adapter.fetch("decode", result)["tokens"]
    module = load_torch(
        "llama", miniatures.config("SmolLM2-135M"), miniatures.weights("SmolLM2-135M"), torch.float64
    )
    prompt = torch.tensor(miniatures.inputs("SmolLM2-135M")["decode.input_ids"])
    expected, _ = generation.greedy(module, prompt, len(tokens))
    assert tokens.dtype == np.int64
    assert tokens.tolist() == expected.tolist()
    assert result.first_token_ns > 0


def test_cached_logits_are_those_of_one_pass():
    params = {name: layout.to_jax(name, array) for name, array in miniatures.weights("SmolLM2-135M").items()}
    config, ids = miniatures.config("SmolLM2-135M"), jnp.arange(100, 110)[None]
    whole = jax.jit(lambda given: llama.forward(given, config, ids))(params)
    logits, cache = jax.jit(lambda given: llama.prefill(given, config, ids[:, :7], length=16))(params)
    found, step = [logits], jax.jit(lambda given, *state: llama.step(given, config, *state))
    for position in range(7, 10):
        logits, cache = step(params, ids[:, position : position + 1], position, cache)
        found.append(logits)
    np.testing.assert_allclose(jnp.stack(found, axis=1), whole[:, 6:], rtol=1e-4, atol=1e-5)


def test_a_model_without_a_cache_does_not_generate(tmp_path):
    tensors.save(tmp_path / "prompt.safetensors", {"decode.input_ids": np.zeros((1, 2), np.int64)})
    adapter = loaded("SmolVLA", tmp_path, inputs=tmp_path / "prompt.safetensors", decode_tokens=2)
    with pytest.raises(UnsupportedError) as raised:
        adapter.prepare("decode")
    assert raised.value.code == "no-kv-cache"


@pytest.mark.slow
@every_model
def test_bfloat16_rounds_everything_and_comes_back_as_float32(name, tmp_path):
    adapter, expected = loaded(name, tmp_path, lane="bfloat16"), reference(name)
    assert {array.dtype for array in adapter.weights.values()} == {jnp.dtype(jnp.bfloat16)}
    output = adapter.fetch("inference", adapter.prepare("inference")())["output"]
    assert output.dtype == np.float32
    assert 1e-4 < relative_l2(output, expected.inference) < 5e-2
    fetched = adapter.fetch("training", adapter.prepare("training")())
    assert {array.dtype for array in fetched.values()} == {np.dtype(np.float32)}
    assert distances.relative_error(float(fetched["loss"]), expected.loss) < 1e-2


def equations(jaxpr):
    """Every equation of a jaxpr, those of its inner jaxprs included."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from equations(inner)


@every_model
def test_every_product_is_strict_float32(name, tmp_path):
    adapter = loaded(name, tmp_path)
    target = miniatures.inputs(name)["target"]
    inputs = tensors.select(miniatures.inputs(name), "inference.")
    traced = jax.make_jaxpr(jax.value_and_grad(adapter._loss))(adapter.weights, {}, inputs, target)
    products = [
        equation
        for equation in equations(traced.jaxpr)
        if equation.primitive.name in ("dot_general", "conv_general_dilated")
    ]
    assert len(products) > len(adapter.weights) // 3  # forward and backward were traced
    for product in products:
        assert product.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2, product


@pytest.mark.parametrize(("kind", "shape"), [("cross_entropy", (2, 3, 5)), ("mse", (2, 3))])
def test_the_losses_agree_with_the_arena_s(kind, shape):
    generator = np.random.default_rng(0)
    output = generator.standard_normal(shape, dtype=np.float32) * 30
    target = np.array([0, 4, 1, 1, 3, 2]) if kind == "cross_entropy" else np.cos(output)
    found = float(LOSSES[kind](jnp.asarray(output), jnp.asarray(target)))
    assert found == pytest.approx(losses.loss(kind, output, target), rel=1e-6)


def test_mse_refuses_to_broadcast():
    with pytest.raises(ValueError, match="expected equal shapes"):
        LOSSES["mse"](jnp.zeros((2, 3)), jnp.zeros(3))


def test_rope_tables_are_the_reference_s_rounded_once():
    for found, expected in zip(
        layers.rope_tables(4096, 64, 1e5), torch_llama.rope_tables(4096, 64, 1e5), strict=True
    ):
        assert found.dtype == np.float32
        assert np.array_equal(found[:, 0], expected.astype(np.float32))


def test_a_missing_and_an_unused_tensor_are_errors(tmp_path):
    adapter = loaded("ResNet-50", tmp_path)
    adapter.weights.pop("layer1.0.downsample.1.bias")
    with pytest.raises(tensors.TensorNameError, match=r"lack tensor layer1\.0\.downsample\.1\.bias"):
        adapter.prepare("inference")()
    adapter = loaded("ResNet-50", tmp_path)
    adapter.weights["layer9.weight"] = np.zeros(1, np.float32)
    with pytest.raises(tensors.TensorNameError, match=r"unexpected.*layer9\.weight"):
        adapter.prepare("inference")()


def test_a_missing_device_is_unsupported(tmp_path):
    if any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("this machine has a GPU")
    with pytest.raises(UnsupportedError, match="finds no cuda device") as raised:
        Adapter(job("SmolVLA", tmp_path, accelerator="cuda"))
    assert raised.value.code == "no-device"


@pytest.mark.slow  # what is not compiled runs operation by operation
def test_what_compiled_nothing_is_not_timed(tmp_path):
    """What JAX_DISABLE_JIT and JAX_ENABLE_X64 would set is set by the adapter, and what comes of it is looked at."""
    jax.config.update("jax_disable_jit", True)
    jax.config.update("jax_enable_x64", True)
    adapter = loaded("SmolLM2-135M", tmp_path)
    assert (jax.config.jax_disable_jit, jax.config.jax_enable_x64) == (False, False)
    for task in ("inference", "decode"):
        run = adapter.prepare(task)
        with jax.disable_jit():
            run()
            with pytest.raises(FailedError, match="not-compiled"):
                adapter.verify(task)
        run()
        adapter.verify(task)


PROCESS = """
import json, sys
from arena.contract import codec
from frameworks.base import Job
from frameworks.jax.adapter import Adapter
import jax

job = codec.from_text(Job, sys.argv[1])
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
adapter = Adapter(job)
adapter.load()
adapter.prepare("inference")()
print(json.dumps({"describe": adapter.describe(), "hits": hits.count("/jax/compilation_cache/cache_hits")}))
"""


def run_in_a_process(job: Job) -> dict:
    """What ``PROCESS`` prints: threads and caches are settled once a process."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROCESS, codec.to_text(job)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_the_thread_pool_has_the_size_asked_for_and_the_cache_is_used(tmp_path):
    cold = run_in_a_process(job("SmolVLA", tmp_path, threads=3))
    assert cold["describe"]["threads"] == 3
    assert cold["describe"]["backend"] == "XLA CPU"
    assert cold["hits"] == 0
    warm = run_in_a_process(job("SmolVLA", tmp_path, threads=1))
    assert warm["describe"]["threads"] == 1
    assert warm["hits"] > 0


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        ("cpu", "CPU"),
        ("PJRT C API\ncuda 13000", "CUDA 13.0"),
        ("PJRT C API\ncuda 12090", "CUDA 12.9"),
        ("PJRT C API\nrocm 60400", "ROCM 60400"),
    ],
)
def test_the_backend_is_named_as_its_maker_does(version, shown):
    assert runtime(version) == shown
