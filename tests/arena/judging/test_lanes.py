"""Each lane's tolerances between two facts: what its own rounding costs, and what known mistakes cost in it.

``pytest -s`` prints both, as the tables in docs/gate.md.
"""

import os
from functools import cache

import numpy as np
import pytest
import torch

import convert_checkpoint
import make_inputs
import miniatures
import mistakes
from arena import tensors
from arena.configuration import loader
from arena.judging import distances, losses, verdict, widening
from frameworks.pytorch import rounding
from frameworks.pytorch.models import losses as torch_losses
from frameworks.pytorch.models.loading import arguments
from mistakes import Model
from runner import REPOSITORY

GATE = loader.resolve({}, REPOSITORY)["gate"]
SMOL = "SmolLM2-135M"
NOTHING = {"inference": 0.0, "latency": 0.0}
#: What their own rounding costs trained weights is as much as a mistake costs, and no gate tells one from the other.
COARSE = ("int8-channels", "int8-matrices")
#: With ARENA_TRAINED_LANES=all every rounding makes every mistake of WRONG with trained weights.
ALL = os.environ.get("ARENA_TRAINED_LANES") == "all"
#: The smallest mistake there, and those that only eight bits can have.
WRONG = [
    (imitation, mistake)
    for imitation in (rounding.ROUNDINGS if ALL else ("bfloat16", "int8-blocks", "int8-weights"))
    for mistake in (
        mistakes.wrong_rope_theta,
        *(
            mistakes.QUANTISATION
            if imitation == "int8-blocks" or (ALL and imitation == "int8-weights")
            else ()
        ),
    )
]
#: Frameworks round weights to eight bits to infer, not to train.
TRAINED = [name for name in rounding.ROUNDINGS if not name.startswith("int8")]


def run(model, module, dtype, train, loss=torch_losses.loss):
    """Outputs by task, the loss, and the gradients where ``train``; all handed over in float32 or more."""
    wide = torch.promote_types(dtype, torch.float32)
    latency, inference = (
        arguments(tensors.select(model.inputs, f"{task}."), dtype) for task in ("latency", "inference")
    )
    target = arguments({"target": model.inputs["target"]}, wide)["target"]
    with torch.no_grad():
        outputs = {"latency": module(**latency).to(wide).numpy()}
    with torch.set_grad_enabled(train):
        output = module(**inference).to(wide)
        value = loss(model.loss_kind, output, target)
    outputs["inference"] = output.detach().numpy()
    gradients = {}
    if train:
        value.backward()
        gradients = {name: each.grad.to(wide).numpy() for name, each in module.named_parameters()}
    return outputs, value.item(), gradients


@cache
def reference(name):
    model = Model.seeded(name)
    return model, run(model, model.module(torch.float64), torch.float64, train=True)


def compared(truth, found, passing):
    """The figures by part, put together as validate.py does; ``passing`` is the relative L2 that passes, by task."""
    model, (outputs, loss, gradients) = truth
    own_outputs, own_loss, own_gradients = found
    parts = {}
    for task, output in own_outputs.items():
        noise = passing[task] * float(np.sqrt(np.mean(outputs[task] ** 2)))
        parts[task] = distances.compare_output(output, outputs[task], model.loss_kind, noise)
    if parts["inference"]["shape_ok"]:
        recomputed = losses.loss(model.loss_kind, own_outputs["inference"], model.inputs["target"])
        parts["inference"]["loss_error"] = distances.relative_error(recomputed, loss)
        parts["inference"]["printed_loss_error"] = distances.relative_error(own_loss, recomputed)
    if own_gradients:
        norms = {weight: float(np.linalg.norm(array)) for weight, array in gradients.items()}
        rounded = {weight: array.astype(np.float32) for weight, array in gradients.items()}
        parts["training"] = distances.compare_gradients(own_gradients, rounded, norms)
        parts["training"]["loss_error"] = distances.relative_error(own_loss, loss)
    return parts


def rounded(truth, imitation, train=False, mistake=None, patch=None, loss=torch_losses.loss):
    """What a row of the lane gives that makes ``mistake`` or none."""
    model, _ = truth
    with rounding.imitation(imitation) as dtype:
        module = mistake(model, patch).to(dtype) if mistake else model.module(dtype)
        return run(model, module, dtype, train, loss)


@cache
def own(name, imitation):
    """What the lane's rounding gives without a mistake, and what it costs: the noise that may widen tolerances."""
    found = rounded(reference(name), imitation, train=imitation in TRAINED)
    return found, compared(reference(name), found, NOTHING)


def judge(truth, noise, imitation, found):
    """The lane's verdict and the figures by part, by tolerances that ``noise`` may have widened."""
    tolerances, factor, widens = widening.parted(GATE[lane_of(imitation)])
    passing = {
        task: verdict.limits(tolerances, factor, widens, noise.get(task))["relative_l2"][0]
        for task in found[0]
    }
    parts = compared(truth, found, passing)
    return verdict.judge(parts, tolerances, factor, widens, noise, imitation), parts


def judged(name, imitation, found):
    """The same of a miniature, whose noise is that of its own rounding."""
    return judge(reference(name), own(name, imitation)[1], imitation, found)


def lane_of(imitation):
    return imitation.partition("-")[0]


def print_row(name, label, parts, judgement):
    figures = parts.get("training", {}) | parts["inference"]
    forms = {"relative_l2": ".1e", "max_error": ".1e", "top1_agreement": ".1%"}
    forms |= {"mean_kl": ".1e", "median_kl": ".1e"}
    forms |= {"loss_error": ".0e", "gradient_norm_error": ".1e", "gradient_cosine": ".4f"}
    cells = [
        format(figures[key], form) if figures.get(key) is not None else "" for key, form in forms.items()
    ]
    print("\n| " + " | ".join([name, label, *cells, judgement]) + " |", end=" ")


def name_of(value):
    return getattr(value, "__name__", value)


#: The models from whose rounding the tolerances follow: docs/gate.md has their figures.
GATE_PAGE = (miniatures.ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
MEASURED = {name for name in miniatures.MODELS if name in GATE_PAGE}


def test_tolerances_follow_from_several_models():
    assert len(MEASURED) >= 5


@pytest.mark.parametrize("imitation", rounding.ROUNDINGS)
@pytest.mark.parametrize("name", miniatures.MODELS)
def test_the_lanes_own_rounding_passes(name, imitation):
    found, _ = own(name, imitation)
    result, parts = judged(name, imitation, found)
    print_row(name, imitation, parts, result["verdict"])
    assert (result["verdict"], result["reasons"]) == ("pass", [])
    # Beyond what passes as float32 however great its noise is; near enough that the tolerance is not idle.
    tolerance = GATE[lane_of(imitation)]["relative_l2"]
    ceiling = verdict.ceilings(*widening.parted(GATE["float32"]))["relative_l2"]
    error = parts["inference"]["relative_l2"]
    assert ceiling < error
    assert error < tolerance or imitation in COARSE  # which may pass by its noise alone
    if name in MEASURED:
        assert tolerance < 20 * error


@pytest.mark.parametrize("imitation", rounding.ROUNDINGS)
@pytest.mark.parametrize(
    "name, mistake", [(SMOL, each) for each in mistakes.SMOLLM2] + mistakes.OTHERS, ids=name_of
)
def test_a_mistaken_model_is_different_in_every_lane(name, mistake, imitation, monkeypatch):
    """By its outputs alone, because not every lane has gradients; one mistake is as small as int8's limit."""
    found = rounded(reference(name), imitation, mistake=mistake, patch=monkeypatch)
    result, parts = judged(name, imitation, found)
    print_row(name, f"{imitation}: {name_of(mistake)}", parts, result["verdict"])
    smallest = mistake is mistakes.convolution_in_another_layout and imitation.startswith("int8")
    assert result["verdict"] in ({"close", "different"} if smallest else {"different"})


@pytest.mark.parametrize("imitation", rounding.ROUNDINGS)
@pytest.mark.parametrize(
    "mistake", [mistakes.labels_shifted_twice, mistakes.last_position_loss, mistakes.summed_loss], ids=name_of
)
def test_a_mistaken_loss_is_different_in_every_lane(mistake, imitation):
    found = rounded(reference(SMOL), imitation, loss=mistake)
    result, _ = judged(SMOL, imitation, found)
    assert result["verdict"] == "different"
    assert [reason.split(" > ")[0].rpartition(" ")[0] for reason in result["reasons"]] == [
        "inference: error of the printed loss"
    ]


@pytest.mark.parametrize("imitation", rounding.ROUNDINGS)
def test_logits_of_the_last_position_only_are_different_in_every_lane(imitation):
    outputs, loss, _ = rounded(reference(SMOL), imitation)
    result, _ = judged(SMOL, imitation, (outputs | {"inference": outputs["inference"][:, -1:]}, loss, {}))
    assert result["parts"] == {"latency": "pass", "inference": "different"}


@pytest.mark.parametrize("imitation", TRAINED)
def test_gradients_of_another_loss_are_different(imitation):
    """Also where the loss that is printed is right."""
    outputs, _, gradients = rounded(reference(SMOL), imitation, True, loss=mistakes.labels_shifted_twice)
    _, loss, _ = rounded(reference(SMOL), imitation)
    result, _ = judged(SMOL, imitation, (outputs, loss, gradients))
    assert result["parts"] == {"latency": "pass", "inference": "pass", "training": "different"}


@pytest.mark.parametrize("mistake", mistakes.QUANTISATION, ids=name_of)
@pytest.mark.parametrize("imitation", [name for name in rounding.ROUNDINGS if name.startswith("int8")])
def test_a_mistake_of_quantisation_is_different(imitation, mistake, monkeypatch):
    """With seeded weights too, whose rows have scales as far apart as trained ones'.

    One scale for a whole matrix, as coarse as that is, hides forgotten zero points.
    """
    found = rounded(reference(SMOL), imitation, mistake=mistake, patch=monkeypatch)
    result, _ = judged(SMOL, imitation, found)
    hidden = imitation == "int8-matrices" and mistake is mistakes.forgotten_zero_points
    assert result["verdict"] == ("pass" if hidden else "different")


@pytest.fixture(scope="module")
def trained(trained_checkpoint):
    """SmolLM2-135M at full size with trained weights and what float64 gives."""
    weights, config, _ = convert_checkpoint.convert(miniatures.full(SMOL), trained_checkpoint)
    model = Model(config, weights, make_inputs.generate(miniatures.full(SMOL)), "cross_entropy")
    return model, run(model, model.module(torch.float64), torch.float64, train=False)


@pytest.fixture(scope="module")
def unmistaken(trained):
    """By rounding what it gives there and what it costs, by part; computed when it is asked for."""

    def computed(imitation):
        found = rounded(trained, imitation)
        return found, compared(trained, found, NOTHING)

    return cache(computed)


@pytest.mark.parametrize("imitation", rounding.ROUNDINGS)
def test_with_trained_weights_a_rounding_passes_by_its_own_noise_unless_it_is_coarse(
    imitation, trained, unmistaken
):
    found, noise = unmistaken(imitation)
    result, parts = judge(trained, noise, imitation, found)
    print_row("trained", imitation, parts, result["verdict"])
    assert result["verdict"] == ("different" if imitation in COARSE else "pass")
    fixed, _ = judge(trained, {}, imitation, found)
    assert fixed["verdict"] == {"tf32": "pass", "float16": "close"}.get(imitation, "different")


@pytest.mark.parametrize(("imitation", "mistake"), WRONG, ids=name_of)
def test_a_mistake_is_different_with_trained_weights(imitation, mistake, trained, unmistaken, monkeypatch):
    """Whatever its rounding's noise lets pass, and by the median of the divergences alone."""
    _, noise = unmistaken(imitation)
    found = rounded(trained, imitation, mistake=mistake, patch=monkeypatch)
    result, parts = judge(trained, noise, imitation, found)
    print_row("trained", f"{imitation}: {name_of(mistake)}", parts, result["verdict"])
    assert result["parts"]["inference"] == "different"
    tolerances, factor, widens = widening.parted(GATE[lane_of(imitation)])
    limit = verdict.limits(tolerances, factor, widens, noise["inference"])["median_kl"][1]
    assert imitation in COARSE or parts["inference"]["median_kl"] > 2 * limit


def test_one_scale_for_each_matrix_is_no_scale_for_each_channel(trained, unmistaken, monkeypatch):
    _, noise = unmistaken("int8-weights")
    found = rounded(trained, "int8-weights", mistake=mistakes.one_scale_a_matrix, patch=monkeypatch)
    result, parts = judge(trained, noise, "int8-weights", found)
    print_row("trained", "int8-weights: one scale a matrix", parts, result["verdict"])
    assert result["parts"]["inference"] == "different"


def test_tf32_keeps_eleven_bits():
    values = torch.tensor([1.0, 1.0 + 2**-10, 1.0 + 2**-11, 1.0 + 2**-12, -1.0 - 2**-11, 3e-38, 0.0])
    expected = [1.0, 1.0 + 2**-10, 1.0 + 2**-10, 1.0, -1.0 - 2**-10]
    assert rounding.tf32(values).tolist()[:5] == expected
    noise = torch.randn(10_000, generator=torch.Generator().manual_seed(1))
    error = ((rounding.tf32(noise) - noise) / noise).abs()
    assert 0.9 * 2**-11 < error.max() <= 2**-11


def test_eight_bits_are_off_by_half_a_step_at_most():
    x = torch.randn(3, 70, generator=torch.Generator().manual_seed(2))
    assert rounding.blocks_of_32(x).shape == x.shape
    for rounded, axis in ((rounding.rows, 1), (rounding.channels, 1), (rounding.whole, (0, 1))):
        step = x.abs().amax(dim=axis, keepdim=True) / 127
        assert ((rounded(x) - x).abs() <= 0.5001 * step).all()
        assert ((rounded(x) / step).round() - rounded(x) / step).abs().max() < 1e-3
