"""Seeded weights: the same bytes everywhere, and no tensor that does not matter."""

import hashlib
import itertools
import json
import math
import re
from functools import cache

import numpy as np
import pytest
import torch

import miniatures
import seed_weights
from arena import files, tensors
from arena.weights import seeded, unmade
from arena.weights.seeded import Spec
from frameworks.pytorch.models.loading import arguments, load

every_model = pytest.mark.parametrize("name", miniatures.MODELS)

# Of the models whose results are published. SHA-256 over (name, shape, bytes) of every tensor, sorted by name. A change
# here strands every result
# measured with the old weights: unless a model's seed changed, bump arena.seeded.GENERATOR with it.
CONTENT = {
    "SmolLM2-135M": "0ef5b942f344c54c15c0502a896e855b5b4b4f964feda5e9a6eaa0ceefd187ed",
    "SmolVLA": "4c444cc58f009b1432d23f085e41ef2e7df58399ca643842d49b232e524c5b1d",
    "StableDiffusion": "fd28a8b58e54e10bb0b5dd0201edff15899418a46005faab23e013cbdb9f3a84",
    "ResNet-50": "e76e8ad79d8a13a8c3f25e02f14ec817944082c5a77bde791d08952773b02a1d",
    "Whisper-tiny": "287e038babbf763b9bd6a4ecb09b1842c83948c3b50255638c7474a85cc40c01",
}
PARAMETERS = {
    "SmolLM2-135M": 134_515_008,
    "SmolVLA": 101_607_120,
    "StableDiffusion": 5_294_080,
    "ResNet-50": 25_610_152,  # torchvision's 25,557,032 weights and 53,120 running statistics
    "Whisper-tiny": 37_760_640,
}


@pytest.mark.parametrize("name", CONTENT)
def test_full_size_weights_have_the_pinned_bytes(name):
    model = miniatures.full(name)
    specs = seed_weights.specs(model)
    assert seeded.parameter_count(specs) == PARAMETERS[name]
    digest = hashlib.sha256()
    for tensor in sorted(specs):
        array = seeded.tensor(model["seed"], tensor, specs[tensor])
        assert array.dtype == np.float32
        digest.update(f"{tensor} {array.shape} ".encode())
        digest.update(array.astype("<f4").tobytes())
    assert digest.hexdigest() == CONTENT[name]


def test_values_follow_the_published_generator():
    # Philox4x64-10 in Python integers, from the paper: numpy's is not consulted
    def philox(counter: list[int], key: list[int]) -> list[int]:
        mask = 2**64 - 1
        for _ in range(10):
            first, second = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
            counter = [
                second >> 64 ^ counter[1] ^ key[0],
                second & mask,
                first >> 64 ^ counter[3] ^ key[1],
                first & mask,
            ]
            key = [(key[0] + 0x9E3779B97F4A7C15) & mask, (key[1] + 0xBB67AE8584CAA73B) & mask]
        return counter

    digest = hashlib.sha256(b"7:layer.weight").digest()
    key = [int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")]
    raw = philox([1, 0, 0, 0], key) + philox([2, 0, 0, 0], key)  # numpy counts before it draws
    halves = [half for value in raw for half in (value & 0xFFFFFFFF, value >> 32)]
    expected = [1.0 + math.sqrt(3) * 0.1 * ((2 * (half >> 8) + 1) / 2**24 - 1) for half in halves]
    drawn = seeded.tensor(7, "layer.weight", Spec((3, 5), 0.1, 1.0))
    np.testing.assert_allclose(drawn.ravel(), expected[:15], rtol=1e-7)


def test_a_tensor_does_not_depend_on_the_others():
    model = miniatures.model("SmolLM2-135M")
    specs = seed_weights.specs(model)
    forwards = seeded.tensors(model["seed"], specs)
    backwards = seeded.tensors(model["seed"], dict(reversed(specs.items())))
    for name, spec in specs.items():
        np.testing.assert_array_equal(forwards[name], backwards[name])
        np.testing.assert_array_equal(forwards[name], seeded.tensor(model["seed"], name, spec))


def test_name_and_seed_both_key_a_tensor():
    spec = Spec((4096,), 1.0)
    drawn = [seeded.tensor(seed, name, spec) for seed, name in [(1, "a"), (1, "b"), (2, "a"), (11, "a")]]
    correlation = np.corrcoef(drawn)
    assert np.abs(correlation - np.eye(4)).max() < 0.06  # four standard deviations of 1/√4096


def test_values_are_uniform_with_the_given_spread():
    drawn = seeded.tensor(3, "x", Spec((1000, 1001), 0.5, 2.0)).astype(np.float64)
    assert drawn.mean() == pytest.approx(2.0, abs=0.002)
    assert drawn.std() == pytest.approx(0.5, rel=1e-3)
    assert np.abs(drawn - 2.0).max() <= 0.5 * math.sqrt(3)
    counts, _ = np.histogram(drawn, bins=100)
    chi_square = ((counts - 10010) ** 2 / 10010).sum()
    assert 40 < chi_square < 170  # 99 degrees of freedom: 99 ± 5 standard deviations


@pytest.mark.parametrize("shape", [(1,), (3,), (1, 1, 1), (5, 1)])
def test_odd_sizes_and_unit_dimensions_keep_their_shape(shape):
    assert seeded.tensor(1, "x", Spec(shape, 1.0)).shape == shape


@every_model
def test_norms_are_near_one_and_not_all_equal(name):
    for tensor, array in miniatures.weights(name).items():
        if array.ndim == 1 and tensor.endswith((".weight", "running_var")):
            assert 0.5 < array.min() < 1.0 < array.max() < 1.5, tensor
            assert array.std() > 0.04, tensor
        elif array.ndim == 1:
            assert 0.0 < np.abs(array).max() < 0.2, tensor


@cache
def double(name: str) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """The miniature's module and its inference's arguments, in float64."""
    config = miniatures.config(name)
    module = load(config["definition"], config, miniatures.weights(name), torch.float64)
    return module, arguments(tensors.select(miniatures.inputs(name), "inference."), torch.float64)


def output(name: str, changed: dict[str, torch.Tensor]) -> torch.Tensor:
    """The miniature's output with some of its tensors replaced."""
    module, inputs = double(name)
    with torch.no_grad():
        return torch.func.functional_call(module, changed, kwargs=inputs, strict=False)


def relative_l2(value: torch.Tensor, reference: torch.Tensor) -> float:
    return ((value - reference).norm() / reference.norm()).item()


@every_model
def test_outputs_neither_vanish_nor_blow_up(name):
    assert 0.1 < output(name, {}).std() < 3.0


@every_model
def test_every_tensor_matters(name):
    reference = output(name, {})
    specs = seed_weights.specs(miniatures.model(name))
    for tensor, value in double(name)[0].state_dict().items():
        change = relative_l2(output(name, {tensor: torch.zeros_like(value)}), reference)
        if not specs[tensor].effect:
            assert change == 0, (
                f"{tensor} is declared to have no effect, and zeroed changes the output by {change:.1e}"
            )
            continue
        assert change > 1e-3, f"{tensor} zeroed changes the output by only {change:.1e}"


@every_model
def test_no_tensor_can_stand_in_for_another(name):
    weights, reference = double(name)[0].state_dict(), output(name, {})
    by_kind: dict[tuple, list[str]] = {}
    specs = seed_weights.specs(miniatures.model(name))
    for tensor, value in weights.items():
        if not specs[tensor].effect:
            continue
        kind = tuple(tensor.split(".")[-2:])  # such as q_proj.weight, of every layer
        by_kind.setdefault((kind, value.shape), []).append(tensor)
    pairs = [pair for names in by_kind.values() for pair in itertools.pairwise(names)]
    assert len(pairs) >= 4 or name not in CONTENT  # the shipped models repeat themselves
    for first, second in pairs:
        swapped = {first: weights[second], second: weights[first]}
        change = relative_l2(output(name, swapped), reference)
        assert change > 1e-3, f"{first} and {second} exchanged change the output by only {change:.1e}"


def test_script_writes_weights_config_and_source(tmp_path):
    model = miniatures.model("StableDiffusion")
    weights, config, source = (tmp_path / file for file in ("w.safetensors", "c.json", "s.json"))
    seed_weights.main(
        [
            "--model-config",
            json.dumps(model),
            f"--weights={weights}",
            f"--config={config}",
            f"--source={source}",
        ]
    )
    written = tensors.load(weights)
    assert written.keys() == seed_weights.specs(model).keys()
    np.testing.assert_array_equal(
        written["conv_in.weight"], miniatures.weights("StableDiffusion")["conv_in.weight"]
    )
    assert files.read_json(config) == {**model["architecture"], "definition": "unet"}
    assert files.read_json(source) == {
        "kind": "seeded",
        "seed": 3,
        "generator": seeded.GENERATOR,
        "sha256": files.sha256(weights),
        "parameters": sum(array.size for array in written.values()),
    }


@pytest.mark.parametrize("weights", ["hub", "auto", "path"])
def test_script_refuses_weights_from_elsewhere_in_one_line_and_writes_nothing(tmp_path, weights):
    model = {**miniatures.model("SmolVLA"), "weights": weights}
    paths = [f"--{name}={tmp_path / name}" for name in ("weights", "config", "source")]
    with pytest.raises(SystemExit) as stopped:
        seed_weights.main(["--model-config", json.dumps(model), *paths])
    message = stopped.value.code  # a text: Python prints it on stderr and exits with status 1
    assert message.startswith(f"seed_weights.py: weights: '{weights}' is not 'seeded'")
    assert "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_variant_that_is_not_implemented_is_refused():
    model = miniatures.merged(
        miniatures.model("SmolLM2-135M"), {"architecture": {"tie_word_embeddings": False}}
    )
    with pytest.raises(ValueError, match=r"architecture\.tie_word_embeddings: False"):
        seed_weights.generate(model)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"definition": "no_such_one"}, "ModuleNotFoundError: No module named 'models.spec.no_such_one'"),
        ({"architecture": {}}, "KeyError: "),
    ],
)
def test_weights_that_a_definition_does_not_give_are_recorded(tmp_path, change, said):
    """They cost the model's cells, no longer the run; without being asked for, the program fails."""
    model = miniatures.model("ResNet-50") | change
    paths = {name: tmp_path / name for name in ("weights", "config", "source")}
    options = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    options += ["--model-config", json.dumps(model)]
    with pytest.raises(SystemExit, match=re.escape(said)):
        seed_weights.main(options)
    assert list(tmp_path.iterdir()) == []
    seed_weights.main([*options, "--record-failure"])
    reason = unmade.reason(paths["config"])
    assert reason["code"] == "no-weights" and said in reason["detail"]
    assert tensors.load(paths["weights"]) == {}
    assert files.read_json(paths["source"]) == {"kind": "failed", "asked": "seeded", "reason": reason}
