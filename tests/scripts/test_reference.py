"""The float64 reference and the noise floor beside it."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

import compute_reference
import compute_rounding
import miniatures
import seed_weights
from arena import files, storage, tensors
from arena.judging import losses
from arena.weights import seeded
from frameworks.pytorch import reference as pytorch_reference
from frameworks.pytorch.models.loading import arguments, load
from frameworks.pytorch.rounding import ROUNDINGS
from runner import REPOSITORY
from small_disk import small_disk


@pytest.fixture(scope="module", params=miniatures.MODELS)
def computed(request, tmp_path_factory):
    """A miniature's mapping, its input files and what the script wrote for them."""
    folder = tmp_path_factory.mktemp("reference")
    model = miniatures.model(request.param)
    tensors.save(folder / "weights.safetensors", miniatures.weights(request.param))
    tensors.save(folder / "inputs.safetensors", miniatures.inputs(request.param))
    files.write_json(folder / "config.json", miniatures.config(request.param))
    paths = {
        "weights": "weights.safetensors",
        "config": "config.json",
        "inputs": "inputs.safetensors",
        "reference": "reference.safetensors",
        "gradients": "gradients.safetensors",
        "summary": "reference.json",
    }
    options = [word for key, file in paths.items() for word in (f"--{key}", str(folder / file))]
    if decode := model["workload"].get("decode"):
        options += ["--decode-tokens", str(decode["tokens"])]
    compute_reference.main([*options, "--loss", model["loss"], "--threads", "1"])
    return model, folder


def test_outputs_and_loss_belong_together(computed):
    model, folder = computed
    reference = tensors.load(folder / "reference.safetensors")
    generated = {"decode.tokens", "decode.margins"} if "decode" in model["workload"] else set()
    assert reference.keys() == {"inference.output", "latency.output", "loss"} | generated
    floats = reference.keys() - {"decode.tokens"}
    assert {reference[name].dtype for name in floats} == {np.dtype(np.float64)}
    assert reference["loss"].shape == ()
    target = tensors.load(folder / "inputs.safetensors")["target"]
    recomputed = losses.loss(model["loss"], reference["inference.output"], target)
    assert reference["loss"] == pytest.approx(recomputed, rel=1e-13)
    assert reference["latency.output"].shape[0] == 1


def test_the_continuation_is_greedy(computed):
    """Token by token, each from a pass of its own over all that came before."""
    model, folder = computed
    if "decode" not in model["workload"]:
        pytest.skip("generates nothing")
    reference = tensors.load(folder / "reference.safetensors")
    tokens, margins = reference["decode.tokens"], reference["decode.margins"]
    assert (tokens.dtype, tokens.shape) == (np.int64, (model["workload"]["decode"]["tokens"],))
    config = files.read_json(folder / "config.json")
    weights = tensors.load(folder / "weights.safetensors")
    module = load(config["definition"], config, weights, torch.float64)
    text = torch.tensor(tensors.load(folder / "inputs.safetensors")["decode.input_ids"])
    for token, margin in zip(tokens, margins, strict=True):
        with torch.no_grad():
            highest, second = module(text)[0, -1].topk(2).values
        assert module(text)[0, -1].argmax() == token
        assert margin == pytest.approx((highest - second).item(), rel=1e-9)
        text = torch.cat((text, torch.tensor([[token]])), dim=1)
    noise = files.read_json(folder / "reference.json")["noise"]["decode"]
    assert 2e-5 * abs(margins).max() / 100 < noise["tie_margin"] < margins.min()  # no step of it is a tie
    assert len(set(tokens.tolist())) > 2


def test_gradients_are_of_every_trainable_weight(computed):
    model, folder = computed
    weights = tensors.load(folder / "weights.safetensors")
    gradients = tensors.load(folder / "gradients.safetensors")
    norms = files.read_json(folder / "reference.json")["gradient_norms"]
    trained = seeded.trained(seed_weights.specs(model))
    assert gradients.keys() == norms.keys() == trained
    for name, gradient in gradients.items():
        assert (gradient.dtype, gradient.shape) == (np.float32, weights[name].shape), name
        assert np.linalg.norm(gradient.astype(np.float64)) == pytest.approx(norms[name], rel=1e-6), name
        assert norms[name] > 0.0, name


def test_gradients_predict_the_loss(computed):
    model, folder = computed
    weights = tensors.load(folder / "weights.safetensors")
    inputs = tensors.load(folder / "inputs.safetensors")
    gradients = tensors.load(folder / "gradients.safetensors")
    step = 1e-6  # along the gradient of all weights at once, in float64
    moved = []
    for sign in (1.0, -1.0):
        changed = {name: array.astype(np.float64) for name, array in weights.items()}
        for name, gradient in gradients.items():
            changed[name] += sign * step * gradient
        config = files.read_json(folder / "config.json")
        results = pytorch_reference.run(config, changed, inputs, model["loss"], torch.float64)
        moved.append(results.loss)
    squared = sum((gradient.astype(np.float64) ** 2).sum() for gradient in gradients.values())
    assert (moved[0] - moved[1]) / (2 * step) == pytest.approx(squared, rel=1e-4)


def test_noise_is_that_of_float32(computed):
    model, folder = computed
    summary = files.read_json(folder / "reference.json")
    noise = summary["noise"]
    for task in ("inference", "latency"):
        assert noise[task]["shape_ok"] and noise[task]["finite"]
        assert 1e-9 < noise[task]["relative_l2"] < 1e-5
        agreement = noise[task]["top1_agreement"]
        assert agreement == (1.0 if model["loss"] == "cross_entropy" else None)
    assert noise["inference"]["loss_error"] < 1e-5
    # half of the gate's tolerance: where rounding turns a ReLU on or moves a max-pool's maximum, as in
    # ResNet, a gradient jumps by far more than the rounding
    assert noise["training"]["gradient_norm_error"] < 5e-4
    assert noise["training"]["gradient_cosine"] > 0.99995
    assert {"python", "torch", "numpy"} <= summary["versions"].keys()


def rounded(model, folder, *names, train=()):
    """What compute_rounding.py writes."""
    out = folder / "rounding.json"
    files_read = {"weights": "weights.safetensors", "config": "config.json", "inputs": "inputs.safetensors"}
    files_read |= {"reference": "reference.safetensors", "gradients": "gradients.safetensors"}
    files_read |= {"summary": "reference.json"}
    words = [word for key, file in files_read.items() for word in (f"--{key}", str(folder / file))]
    words += ["--loss", model["loss"], "--threads", "1", "--out", str(out)]
    compute_rounding.main([*words, "--roundings", *names, "--train", *train])
    return files.read_json(out)


def test_a_rounding_s_noise_is_its_own_error(computed):
    """bfloat16's is that of a module in bfloat16, and thousands of times float32's; gradients on request."""
    model, folder = computed
    found = rounded(model, folder, "bfloat16", "int8-blocks", train=["bfloat16"])
    assert {"python", "torch", "numpy"} <= found["versions"].keys()
    noise, eight = found["noise"]["bfloat16"], found["noise"]["int8-blocks"]
    assert set(noise) == {"inference", "latency", "training"} and set(eight) == {"inference", "latency"}
    assert 1e-3 < eight["inference"]["relative_l2"] < 0.1
    config, weights = files.read_json(folder / "config.json"), tensors.load(folder / "weights.safetensors")
    inputs = tensors.select(tensors.load(folder / "inputs.safetensors"), "latency.")
    module = load(model["definition"], config, weights, torch.bfloat16)
    with torch.no_grad():
        output = module(**arguments(inputs, torch.bfloat16)).to(torch.float64).numpy()
    expected = tensors.load(folder / "reference.safetensors")["latency.output"]
    error = np.linalg.norm(output - expected) / np.linalg.norm(expected)
    assert noise["latency"]["relative_l2"] == pytest.approx(error, rel=1e-9)
    assert error > 1e3 * files.read_json(folder / "reference.json")["noise"]["latency"]["relative_l2"]
    assert 1e-6 < 1 - noise["training"]["gradient_cosine"] < 0.05
    many = noise["inference"]["mean_kl"]  # one position says too little of what rounding costs there
    assert many is None or min(noise["latency"][name] for name in ("mean_kl", "median_kl")) >= many > 0


def test_a_rounding_that_fails_costs_no_other(computed, monkeypatch):
    model, folder = computed

    def refused(*arguments, **options):
        raise RuntimeError("no such kernel")

    monkeypatch.setitem(ROUNDINGS, "int8-rows", (torch.float32, refused))
    found = rounded(model, folder, "int8-rows", "int8-blocks")
    assert found["failed"] == {"int8-rows": "RuntimeError: no such kernel"}
    assert list(found["noise"]) == ["int8-blocks"]


def test_every_rounding_of_the_configuration_is_imitated():
    schema = yaml.safe_load((REPOSITORY / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
    assert schema["$defs"]["rounding"]["enum"] == list(ROUNDINGS)


@pytest.fixture
def program(tmp_path):
    """Run the program as the rule does on ResNet's miniature, some of its ``weights`` or ``inputs`` changed."""
    name = "ResNet-50"

    def run(made=tmp_path / "made", weights=None, inputs=None, before=(), **shell):
        tensors.save(tmp_path / "weights", miniatures.weights(name) | (weights or {}))
        tensors.save(tmp_path / "inputs", miniatures.inputs(name) | (inputs or {}))
        files.write_json(tmp_path / "config", miniatures.config(name))
        made.mkdir(exist_ok=True)
        command = [*before, sys.executable, compute_reference.__file__, "--record-failure", "--threads", "1"]
        command += ["--loss", miniatures.model(name)["loss"]]
        for option in ("weights", "inputs", "config"):
            command += [f"--{option}", tmp_path / option]
        for option in ("reference", "gradients", "summary"):
            command += [f"--{option}", made / option]
        return subprocess.run(command, env=os.environ | shell, capture_output=True, text=True, timeout=120)

    return run


def refused(made):
    """Why there is no reference; the other files hold nothing."""
    assert tensors.load(made / "reference") == tensors.load(made / "gradients") == {}
    found = files.read_json(made / "summary")
    assert found.keys() == {"failed"} and found["failed"]["code"] == "no-reference"
    return found["failed"]["detail"]


def test_pytorch_does_not_see_the_shell_s_variables(program, tmp_path):
    """Without its list it would read this one as it is imported, and refuse it."""
    done = program(TORCH_LOGS="+nonsense")
    assert done.returncode == 0, done.stderr
    assert {"gradient_norms", "noise", "versions"} == files.read_json(tmp_path / "made/summary").keys()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": {"target": np.array([1, 2, 3, 10_000])}}, "10000"),
        (
            {"weights": {"fc.bias": np.full(256, np.nan, np.float32)}},
            "inference.output is not finite in float64",
        ),
        ({"weights": {"fc.other": np.zeros(1, np.float32)}}, "1 unexpected ['fc.other']"),
    ],
)
def test_a_reference_that_cannot_be_computed_is_recorded(program, tmp_path, change, said):
    files.write_json(tmp_path / "made/summary", {"noise": "of an earlier one"})
    done = program(**change)
    assert done.returncode == 0, done.stderr
    assert said in refused(tmp_path / "made") and "Traceback" in done.stderr


@pytest.mark.linux
def test_so_is_one_whose_process_dies(program, tmp_path):
    """PyTorch takes more than a second of the processor's time; the process that waits does not."""
    done = program(before=["/bin/sh", "-c", 'ulimit -t 1; exec "$@"', "sh"])
    assert done.returncode == 0, done.stderr
    assert refused(tmp_path / "made") == "the process that computes it ended with signal 9"


@pytest.mark.linux
def test_a_full_disk_is_no_model_s_failure(program, tmp_path):
    with small_disk(tmp_path, megabytes=1) as disk:
        (disk / "made").mkdir()
        (disk / "others").write_bytes(bytes(1 << 20))
        done = program(made=disk / "made")
        assert done.returncode == storage.EXIT
        assert "Nothing is recorded: make room or mend the disk, then run again" in done.stderr
        assert not (disk / "made/summary").exists()


def test_without_weights_there_is_no_reference_but_the_reason(tmp_path):
    reason = {"failed": {"code": "no-weights", "detail": "the hub has no such repository"}}
    files.write_json(tmp_path / "config.json", reason)
    paths = {
        name: str(tmp_path / name) for name in ("weights", "inputs", "reference", "gradients", "summary")
    }
    options = [word for name, path in paths.items() for word in (f"--{name}", path)]
    compute_reference.main(
        [*options, "--config", str(tmp_path / "config.json"), "--loss", "mse", "--threads", "1"]
    )
    assert tensors.load(paths["reference"]) == tensors.load(paths["gradients"]) == {}
    assert files.read_json(paths["summary"]) == reason


def test_a_text_is_predicted_window_by_window_in_float64():
    """Each window by itself: the second does not know the first."""
    name = "SmolLM2-135M"
    config, weights = miniatures.config(name), miniatures.weights(name)
    ids = np.arange(1, 42).reshape(1, 41) * 7 % 512
    text = {"quality.input_ids": ids[:, :40].reshape(2, 1, 20), "quality.target": ids[:, 1:].reshape(2, 20)}
    found = pytorch_reference.predictions(config, weights, text)
    module = load(config["definition"], config, weights, torch.float64).eval()
    with torch.no_grad():
        alone = module(torch.from_numpy(text["quality.input_ids"][1])).log_softmax(-1)[0].numpy()
    expected = alone[np.arange(20), text["quality.target"][1]]
    np.testing.assert_allclose(found["log_probability"][20:], expected, rtol=1e-10)
    assert found["logits"].shape == (2, 512) and found["logits"].dtype == np.float64
