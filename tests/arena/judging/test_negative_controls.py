"""The gate held to account: known mistakes, planted in real models, must come out ``different``.

Each runs in float32 and is judged as a row of the arena would be, on weights whose noise widens every tolerance to
its ceiling. ``pytest -s`` prints what each one measures, as the tables in docs/gate.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import convert_checkpoint
import make_inputs
import miniatures
import mistakes
from arena import tensors
from arena.judging import distances, losses, verdict, widening
from frameworks.pytorch import rounding
from frameworks.pytorch.models import losses as torch_losses
from frameworks.pytorch.models.loading import arguments
from mistakes import Model
from tolerances import CLOSE_FACTOR, TOLERANCES, WIDENING

SMOL = "SmolLM2-135M"
OUTPUT_IS_FAR = {"inference.relative_l2", "inference.max_error"}
LOSS_IS_WRONG = {"inference.printed_loss_error", "training.loss_error"}
#: Of the trained checkpoint's input; 128 is all of it, and takes four times as long.
POSITIONS = int(os.environ.get("ARENA_TRAINED_POSITIONS", "32"))
#: Noise that is beyond every ceiling, by part.
GREATEST = dict.fromkeys(verdict.REQUIRED, dict.fromkeys(widening.FIGURES, 1.0) | {"gradient_cosine": -1.0})


@dataclass(frozen=True)
class Results:
    """What a row of the arena hands in; ``gradients`` lacks the weights that have none."""

    outputs: dict[str, np.ndarray]
    loss: float
    gradients: dict[str, np.ndarray] | None


def run(model: Model, module, loss=torch_losses.loss, dtype=torch.float32, train=True) -> Results:
    """Both forward passes, the loss by ``loss`` and, if ``train``, gradients."""
    latency, inference = (
        arguments(tensors.select(model.inputs, f"{task}."), dtype) for task in ("latency", "inference")
    )
    target = arguments({"target": model.inputs["target"]}, dtype)["target"]
    with torch.no_grad():
        outputs = {"latency": module(**latency).numpy()}
    with torch.set_grad_enabled(train):
        output = module(**inference)
        value = loss(model.loss_kind, output, target)
    outputs["inference"] = output.detach().numpy()
    gradients = None
    if train:
        value.backward()
        parameters = dict(module.named_parameters())
        gradients = {name: each.grad.numpy() for name, each in parameters.items() if each.grad is not None}
    return Results(outputs, value.item(), gradients)


@cache
def miniature(name: str) -> tuple[Model, Results]:
    """A miniature and its float64 reference."""
    model = Model.seeded(name)
    return model, run(model, model.module(torch.float64), dtype=torch.float64)


@pytest.fixture(scope="module")
def trained(trained_checkpoint) -> tuple[Model, Results]:
    """SmolLM2-135M at full size with trained weights, some positions of its inputs, and its float64 reference."""
    weights, config, _ = convert_checkpoint.convert(miniatures.full(SMOL), trained_checkpoint)
    inputs = make_inputs.generate(miniatures.full(SMOL))
    ids, target = inputs["inference.input_ids"], inputs["target"]
    inputs |= {"inference.input_ids": ids[:, :POSITIONS], "target": target[:POSITIONS]}
    model = Model(config, weights, inputs, "cross_entropy")
    return model, run(model, model.module(torch.float64), dtype=torch.float64)


@pytest.fixture(scope="module")
def full_size() -> tuple[Model, Results]:
    """SmolLM2-135M as shipped and its float64 reference, forward only."""
    model = Model.seeded(SMOL, full_size=True)
    return model, run(model, model.module(torch.float64), dtype=torch.float64, train=False)


def compare(model: Model, found: Results, reference: Results) -> dict[str, dict[str, Any]]:
    """The gate's figures by part, put together as validate.py does (float32's noise is below the floor)."""
    parts = {
        task: distances.compare_output(found.outputs[task], reference.outputs[task], model.loss_kind, None)
        for task in ("inference", "latency")
    }
    if parts["inference"]["shape_ok"]:
        own_loss = losses.loss(model.loss_kind, found.outputs["inference"], model.inputs["target"])
        parts["inference"]["loss_error"] = distances.relative_error(own_loss, reference.loss)
        parts["inference"]["printed_loss_error"] = distances.relative_error(found.loss, own_loss)
    if found.gradients is not None:
        rounded = {name: array.astype(np.float32) for name, array in reference.gradients.items()}
        norms = {name: float(np.linalg.norm(array)) for name, array in reference.gradients.items()}
        parts["training"] = distances.compare_gradients(found.gradients, rounded, norms)
        parts["training"]["loss_error"] = distances.relative_error(found.loss, reference.loss)
    return parts


def judge(
    label: str, model: Model, found: Results, reference: Results, noise: dict[str, dict[str, Any]] = GREATEST
) -> tuple[dict[str, Any], set[str]]:
    """The verdict, and ``part.figure`` for every figure that makes it ``different`` by itself."""
    parts = compare(model, found, reference)
    judged = verdict.judge(parts, TOLERANCES, CLOSE_FACTOR, WIDENING, noise)
    bounds = verdict.limits(TOLERANCES, CLOSE_FACTOR)
    tripped = set()
    for part, figures in parts.items():
        for figure, (_, tolerance) in verdict.FIGURES.items():
            if tolerance not in bounds:
                continue
            value, limit = figures.get(figure), bounds[tolerance][1]
            if value is not None and (value < limit if tolerance in verdict.AT_LEAST else value > limit):
                tripped.add(f"{part}.{figure}")
    print_row(label, parts, judged["verdict"])
    return judged, tripped


def print_row(label: str, parts: dict[str, dict[str, Any]], judgement: str) -> None:
    figures = parts.get("training", {}) | parts["inference"]
    forms = {name: ".1e" for name in verdict.FIGURES} | {"top1_agreement": ".1%", "gradient_cosine": ".6f"}
    cells = [
        format(figures[name], form) if figures.get(name) is not None else "" for name, form in forms.items()
    ]
    print("\n| " + " | ".join([label.replace("_", " "), *cells, judgement]) + " |", end=" ")


def name_of(value) -> str:
    return getattr(value, "__name__", value)


@pytest.mark.parametrize("name", miniatures.MODELS)
def test_unchanged_float32_model_passes(name):
    model, reference = miniature(name)
    found = run(model, model.module())
    judged, _ = judge(f"{name}: none", model, found, reference, noise={})
    assert judged == {
        "verdict": "pass",
        "parts": {"inference": "pass", "latency": "pass", "training": "pass"},
        "reasons": [],
    }
    assert compare(model, found, reference)["inference"]["max_error"] < distances.NOISE_FLOOR


@pytest.mark.parametrize(
    "name, mistake", [(SMOL, each) for each in mistakes.SMOLLM2] + mistakes.OTHERS, ids=name_of
)
def test_mistaken_model_is_different(name, mistake, monkeypatch):
    model, reference = miniature(name)
    found = run(model, mistake(model, monkeypatch))
    judged, tripped = judge(f"{name}: {name_of(mistake)}", model, found, reference)
    assert judged["verdict"] == "different"
    assert tripped >= OUTPUT_IS_FAR | {"training.gradient_cosine"}
    assert "inference.printed_loss_error" not in tripped  # the loss is right for these outputs


@pytest.mark.parametrize(
    "mistake, gradients",
    [
        (mistakes.labels_shifted_twice, {"training.gradient_norm_error", "training.gradient_cosine"}),
        (mistakes.last_position_loss, {"training.gradient_norm_error", "training.gradient_cosine"}),
        (mistakes.summed_loss, {"training.gradient_norm_error"}),  # the direction is right
    ],
    ids=name_of,
)
def test_mistaken_loss_is_different_though_the_outputs_are_right(mistake, gradients):
    model, reference = miniature(SMOL)
    found = run(model, model.module(), mistake)
    judged, tripped = judge(f"{SMOL}: {name_of(mistake)}", model, found, reference)
    assert judged["parts"] == {"inference": "different", "latency": "pass", "training": "different"}
    assert tripped == LOSS_IS_WRONG | gradients


def test_logits_of_the_last_position_only_have_the_wrong_shape():
    model, reference = miniature(SMOL)
    outputs = reference.outputs | {"inference": reference.outputs["inference"][:, -1:]}
    found = Results(outputs, reference.loss, None)
    judged, tripped = judge(f"{SMOL}: last_logits_only", model, found, reference)
    assert judged["parts"] == {"inference": "different", "latency": "pass"}
    assert judged["reasons"] == ["inference: shape [1, 1, 512], expected [1, 128, 512]"]
    assert tripped == set()


def test_tied_embedding_that_learns_through_the_head_only_is_different(monkeypatch):
    model, reference = miniature(SMOL)
    module = model.module()
    embedding = module.model.embed_tokens
    monkeypatch.setattr(
        embedding, "forward", lambda ids: functional.embedding(ids, embedding.weight.detach())
    )
    judged, tripped = judge(f"{SMOL}: gradient_of_the_head_only", model, run(model, module), reference)
    assert judged["parts"] == {"inference": "pass", "latency": "pass", "training": "different"}
    assert tripped == {"training.gradient_norm_error", "training.gradient_cosine"}
    assert all("model.embed_tokens.weight" in reason for reason in judged["reasons"])


def test_approximate_gelu_is_close(monkeypatch):
    """The smallest mistake here, and the only one for which ``close`` is the right word.

    What its weights' own noise lets pass is less than a fifth of it.
    """
    model, reference = miniature("Whisper-tiny")
    noise = compare(model, run(model, model.module()), reference)
    found = run(model, mistakes.approximate_gelu(model, monkeypatch))
    judged, tripped = judge("Whisper-tiny: approximate_gelu", model, found, reference, noise)
    assert judged["verdict"] == "close"
    assert tripped == set()
    error = compare(model, found, reference)["inference"]["relative_l2"]
    assert WIDENING.error("relative_l2", noise["inference"]) < error / 5


@pytest.mark.parametrize(
    "mistake",
    [mistakes.wrong_rope_theta, mistakes.interleaved_queries_and_keys, mistakes.no_causal_mask],
    ids=name_of,
)
def test_one_token_cannot_tell_positions_or_mask(mistake, monkeypatch):
    """Why the latency input is no substitute for the inference one."""
    model, reference = miniature(SMOL)
    found = run(model, mistake(model, monkeypatch), train=False)
    judged = verdict.judge(compare(model, found, reference), TOLERANCES, CLOSE_FACTOR, WIDENING, GREATEST)
    assert judged["parts"] == {"inference": "different", "latency": "pass"}


@pytest.mark.slow
def test_full_size_float32_passes(full_size):
    model, reference = full_size
    found = run(model, model.module(), train=False)
    judged, _ = judge(f"full {SMOL}: none", model, found, reference, noise={})
    assert (judged["verdict"], judged["reasons"]) == ("pass", [])


@pytest.mark.slow
@pytest.mark.parametrize("mistake", mistakes.SMOLLM2, ids=name_of)
def test_full_size_mistaken_model_is_different(mistake, full_size, monkeypatch):
    model, reference = full_size
    found = run(model, mistake(model, monkeypatch), train=False)
    judged, tripped = judge(f"full {SMOL}: {name_of(mistake)}", model, found, reference)
    assert judged["verdict"] == "different"
    assert tripped >= OUTPUT_IS_FAR and "inference.printed_loss_error" not in tripped


@pytest.mark.slow
@pytest.mark.parametrize("mistake", [mistakes.labels_shifted_twice, mistakes.last_position_loss], ids=name_of)
def test_full_size_mistaken_loss_is_different(mistake, full_size):
    model, reference = full_size
    found = run(model, model.module(), mistake, train=False)
    judged, tripped = judge(f"full {SMOL}: {name_of(mistake)}", model, found, reference)
    assert judged["verdict"] == "different"
    assert tripped == {"inference.printed_loss_error"}


def test_trained_weights_pass_in_float32(trained):
    """And their noise is what the rule is about: dozens of times the seeded weights'."""
    model, reference = trained
    found = run(model, model.module())
    judged, _ = judge(f"trained {SMOL}: none", model, found, reference, noise={})
    assert (judged["verdict"], judged["reasons"]) == ("pass", [])
    assert compare(model, found, reference)["training"]["gradient_norm_error"] > 1e-5


def test_a_sum_of_many_terms_in_sequence_passes_with_trained_weights(trained):
    """What MLX does on the CPU: no mistake, though on 128 positions its gradients are beyond the tolerance."""
    model, reference = trained
    noise = compare(model, run(model, model.module()), reference)
    found = run(model, model.module(), mistakes.sequential_loss)
    judged, _ = judge(f"trained {SMOL}: summed in sequence", model, found, reference, noise=noise)
    assert (judged["verdict"], judged["reasons"]) == ("pass", [])
    lost = compare(model, found, reference)["inference"]["printed_loss_error"]
    assert (
        lost > 10 * noise["inference"]["printed_loss_error"]
    )  # the sum has lost digits, and the outputs none


@pytest.mark.parametrize("mistake", mistakes.SMOLLM2, ids=name_of)
def test_mistaken_model_is_different_with_trained_weights(mistake, trained, monkeypatch):
    model, reference = trained
    found = run(model, mistake(model, monkeypatch))
    judged, tripped = judge(f"trained {SMOL}: {name_of(mistake)}", model, found, reference)
    assert judged["verdict"] == "different"
    assert tripped >= OUTPUT_IS_FAR | {"training.gradient_cosine"}
    assert "inference.printed_loss_error" not in tripped


@pytest.mark.parametrize(
    "mistake", [mistakes.labels_shifted_twice, mistakes.last_position_loss, mistakes.summed_loss], ids=name_of
)
def test_mistaken_loss_is_different_with_trained_weights(mistake, trained):
    model, reference = trained
    judged, tripped = judge(
        f"trained {SMOL}: {name_of(mistake)}", model, run(model, model.module(), mistake), reference
    )
    assert judged["parts"] == {"inference": "different", "latency": "pass", "training": "different"}
    assert tripped >= LOSS_IS_WRONG | {"training.gradient_norm_error"}


def test_tf32_is_no_float32_with_trained_weights(trained):
    """However great their noise: what it lets pass ends before that."""
    model, reference = trained
    with rounding.imitation("tf32"):
        found = run(model, model.module())
    judged, _ = judge(f"trained {SMOL}: in TF32", model, found, reference)
    assert judged["parts"]["inference"] != "pass"
