"""Each lane's tolerances between two facts: what its own rounding costs, and what known mistakes cost in it.

``pytest -s`` prints both, as the tables in docs/gate.md.
"""

from functools import cache

import numpy as np
import pytest
import torch

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


def compared(name, found, passing):
    """The figures by part, put together as validate.py does; ``passing`` is the relative L2 that passes, by task."""
    model, (outputs, loss, gradients) = reference(name)
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


@cache
def own(name, imitation):
    """What the lane's rounding gives without a mistake, and what it costs: the noise that may widen tolerances."""
    model, _ = reference(name)
    with rounding.imitation(imitation) as dtype:
        found = run(model, model.module(dtype), dtype, train=imitation in TRAINED)
    return found, compared(name, found, dict.fromkeys(found[0], 0.0))


def judged(name, imitation, found):
    """The lane's verdict and the figures by part, by tolerances that its noise may have widened."""
    tolerances, factor, widening_ = widening.parted(GATE[lane_of(imitation)])
    _, noise = own(name, imitation)
    passing = {
        task: verdict.limits(tolerances, factor, widening_, noise.get(task))["relative_l2"][0]
        for task in found[0]
    }
    parts = compared(name, found, passing)
    return verdict.judge(parts, tolerances, factor, widening_, noise, imitation), parts


def lane_of(imitation):
    return imitation.partition("-")[0]


def print_row(name, label, parts, judgement):
    figures = parts.get("training", {}) | parts["inference"]
    forms = {"relative_l2": ".1e", "max_error": ".1e", "top1_agreement": ".1%", "mean_kl": ".0e"}
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
    assert ceiling < parts["inference"]["relative_l2"] < tolerance
    if name in MEASURED:
        assert tolerance < 20 * parts["inference"]["relative_l2"]


@pytest.mark.parametrize("imitation", rounding.ROUNDINGS)
@pytest.mark.parametrize(
    "name, mistake", [(SMOL, each) for each in mistakes.SMOLLM2] + mistakes.OTHERS, ids=name_of
)
def test_a_mistaken_model_is_different_in_every_lane(name, mistake, imitation, monkeypatch):
    """By its outputs alone, because not every lane has gradients; one mistake is as small as int8's limit."""
    model, _ = reference(name)
    with rounding.imitation(imitation) as dtype:
        found = run(model, mistake(model, monkeypatch).to(dtype), dtype, train=False)
        result, parts = judged(name, imitation, found)
    print_row(name, f"{imitation}: {name_of(mistake)}", parts, result["verdict"])
    smallest = mistake is mistakes.convolution_in_another_layout and imitation.startswith("int8")
    assert result["verdict"] in ({"close", "different"} if smallest else {"different"})


@pytest.mark.parametrize("imitation", rounding.ROUNDINGS)
@pytest.mark.parametrize(
    "mistake", [mistakes.labels_shifted_twice, mistakes.last_position_loss, mistakes.summed_loss], ids=name_of
)
def test_a_mistaken_loss_is_different_in_every_lane(mistake, imitation):
    model, _ = reference(SMOL)
    with rounding.imitation(imitation) as dtype:
        found = run(model, model.module(dtype), dtype, train=False, loss=mistake)
    result, _ = judged(SMOL, imitation, found)
    assert result["verdict"] == "different"
    assert [reason.split(" > ")[0].rpartition(" ")[0] for reason in result["reasons"]] == [
        "inference: error of the printed loss"
    ]


@pytest.mark.parametrize("imitation", rounding.ROUNDINGS)
def test_logits_of_the_last_position_only_are_different_in_every_lane(imitation):
    model, _ = reference(SMOL)
    with rounding.imitation(imitation) as dtype:
        outputs, loss, _ = run(model, model.module(dtype), dtype, train=False)
    result, _ = judged(SMOL, imitation, (outputs | {"inference": outputs["inference"][:, -1:]}, loss, {}))
    assert result["parts"] == {"latency": "pass", "inference": "different"}


@pytest.mark.parametrize("imitation", TRAINED)
def test_gradients_of_another_loss_are_different(imitation):
    """Also where the loss that is printed is right."""
    model, _ = reference(SMOL)
    with rounding.imitation(imitation) as dtype:
        outputs, _, gradients = run(model, model.module(dtype), dtype, True, mistakes.labels_shifted_twice)
        _, loss, _ = run(model, model.module(dtype), dtype, train=False)
    result, _ = judged(SMOL, imitation, (outputs, loss, gradients))
    assert result["parts"] == {"latency": "pass", "inference": "pass", "training": "different"}


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
