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
from arena.weights.seeded import Scales, Spec
from frameworks.pytorch.models.loading import arguments, load
from models.spec import initialisation as init

every_model = pytest.mark.parametrize("name", miniatures.MODELS)

# Of the models whose results are published. SHA-256 over (name, shape, bytes) of every tensor, sorted by name. A change
# here strands every result
# measured with the old weights: unless a model's seed changed, bump arena.weights.generation.GENERATOR with it.
CONTENT = {
    "SmolLM2-135M": "b746d505b0af20541ee06d965ed9aafa884db44d10bca40f791610da52a0224e",
    "SmolVLA": "cd0516769da0a8e4bb42646d72a6733492ae88923675f95fcc4941d1b0114530",
    "StableDiffusion": "2daf62868f6f0c3b37cf53df8a4120c451aa0dce5635e9f69099c09cffdafab6",
    "ResNet-50": "4148ca8b3e1b9f9ae21d4975ad23779ebd4434f5730ed7df6affe0fd2da7a2cc",
    "Whisper-tiny": "cfea985a1c5f411e0cd2d73bf5e24d2ee66be97f358baafc64abd394c73f3c44",
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


def philox(text: bytes, blocks: int) -> list[int]:
    """Philox4x64-10 in Python integers, from the paper, four a block: numpy's is not consulted."""
    mask = 2**64 - 1
    digest = hashlib.sha256(text).digest()
    found: list[int] = []
    for block in range(1, blocks + 1):  # numpy counts before it draws
        key = [int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")]
        counter = [block, 0, 0, 0]
        for _ in range(10):
            first, second = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
            counter = [
                second >> 64 ^ counter[1] ^ key[0],
                second & mask,
                first >> 64 ^ counter[3] ^ key[1],
                first & mask,
            ]
            key = [(key[0] + 0x9E3779B97F4A7C15) & mask, (key[1] + 0xBB67AE8584CAA73B) & mask]
        found += counter
    return found


def test_values_follow_the_published_generator():
    raw = philox(b"7:layer.weight", 2)
    halves = [half for value in raw for half in (value & 0xFFFFFFFF, value >> 32)]
    expected = [1.0 + math.sqrt(3) * 0.1 * ((2 * (half >> 8) + 1) / 2**24 - 1) for half in halves]
    drawn = seeded.tensor(7, "layer.weight", Spec((3, 5), 0.1, 1.0))
    np.testing.assert_allclose(drawn.ravel(), expected[:15], rtol=1e-7)


def pareto(text: bytes, size: int, exponent: float) -> list[tuple[float, int]]:
    """Scales by their definition, in libm's arithmetic, and the lowest bit of each one's integer."""
    raw = philox(text, -(-size // 4))[:size]
    place = {index: order for order, index in enumerate(sorted(range(size), key=lambda i: raw[i]))}
    drawn = [((place[index] + 0.5) / size) ** -exponent for index in range(size)]
    rms = math.sqrt(math.fsum(value * value for value in drawn) / size)
    return [(value / rms, raw[index] & 1) for index, value in enumerate(drawn)]


def test_heavy_values_follow_their_definition():
    raw = philox(b"7:layer.weight", 4)
    rows, shared = pareto(b"7:stream", 3, 4 / 8), pareto(b"7:common", 5, 2 / 8)
    expected = []
    for index, value in enumerate(raw[:15]):
        j, k, m, n = (value >> shift & 0xFFFF for shift in (0, 16, 32, 48))
        noise = (2 * (j + k + m) + 3 - 3 * 2**16) / 2**16 * math.sqrt(3 / 4) * ((n + 0.5) / 2**16) ** (-1 / 8)
        common = shared[index % 5][0] * (-1) ** shared[index % 5][1]
        expected.append(0.1 * (math.sqrt(0.75) * rows[index // 5][0] * noise + math.sqrt(0.25) * common))
    spec = Spec((3, 5), 0.1, scales=Scales(4, "stream"), common=Scales(2, "common", signed=True), share=0.25)
    np.testing.assert_allclose(seeded.tensor(7, "layer.weight", spec).ravel(), expected, rtol=1e-6)
    vector = seeded.tensor(7, "norm", Spec((3,), 2.0, scales=Scales(4, "stream")))
    np.testing.assert_allclose(vector, [2.0 * row for row, _ in rows], rtol=1e-6)


def test_heavy_values_do_not_depend_on_how_many_are_drawn_at_a_time(monkeypatch):
    spec = Spec((7, 11, 3), 1.0, scales=Scales(1), common=Scales(2), share=0.5)
    whole = seeded.tensor(3, "x", spec)
    for chunk in (1, 70, 100):
        monkeypatch.setattr(seeded, "CHUNK", chunk)
        np.testing.assert_array_equal(seeded.tensor(3, "x", spec), whole)


def test_heavy_values_have_the_given_spread_and_tails():
    drawn = seeded.tensor(3, "x", Spec((1000, 1001), 0.5, scales=Scales(0))).astype(np.float64)
    assert drawn.mean() == pytest.approx(0.0, abs=0.002)
    assert drawn.std() == pytest.approx(0.5, rel=2e-3)
    kurtosis = (drawn**4).mean() / drawn.var() ** 2
    assert kurtosis == pytest.approx(2.6 * 9 / 8, rel=0.02)  # E u^(-1/2) = 2 over (4/3)^2 = 9/8


@pytest.mark.parametrize("eighths, largest", [(1, 2.41), (2, 5.83), (4, 33.9)])
def test_scales_have_a_pareto_tail(eighths, largest):
    """Of 576: (1152)^(eighths/8) before they are normalised, over a median of 2^(eighths/8)."""
    drawn = seeded.scales(1, "x", 576, Scales(eighths))
    assert (drawn**2).mean() == pytest.approx(1.0)
    assert drawn.max() / np.median(drawn) == pytest.approx(largest / 2 ** (eighths / 8), rel=2e-3)


def test_those_that_name_the_same_scales_agree_on_their_outliers():
    drawn = [
        np.linalg.norm(seeded.tensor(1, name, Spec((64, 900), 1.0, scales=Scales(4, shared))), axis=1)
        for name, shared in [("a", "stream"), ("b", "stream"), ("c", None), ("d", None)]
    ]
    correlation = np.corrcoef(drawn)
    assert correlation[0, 1] > 0.99
    assert max(abs(correlation[0, 2]), abs(correlation[2, 3])) < 0.5


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


#: Norms before a head that is the embedding.
FINAL_NORMS = ("model.norm.weight", "model.decoder.layer_norm.weight")


@every_model
def test_norms_are_near_one_and_not_all_equal(name):
    for tensor, array in miniatures.weights(name).items():
        if array.ndim == 1 and tensor.endswith((".weight", "running_var")):
            final = tensor in FINAL_NORMS
            assert (array.min() < 0) == final, f"{tensor}: half of a final norm's are negative, no other's"
            array = np.abs(array) / (init.FINAL_NORM_GAIN if final else 1.0)
            assert 0.5 < array.min() < 1.0 < array.max() < 2.2, tensor
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
    assert 0.1 < output(name, {}).std() < 10.0  # trained logits have 6


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
