"""A model's outputs, loss, gradients and greedy continuation in one precision, on the CPU, by PyTorch.

In float64 that is what every framework is held to; plain float32, run eagerly, is how far rounding alone gets, and
other roundings (rounding.py) how far theirs do.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from arena import tensors
from arena.judging import distances, quality
from frameworks.pytorch.models import generation, losses
from frameworks.pytorch.models.loading import DefinitionError, arguments, load


@dataclass(frozen=True)
class Generated:
    """A greedy continuation and the logits from which each of its tokens was chosen."""

    tokens: np.ndarray  # (tokens,) int64
    logits: np.ndarray  # (tokens, vocabulary)

    def margins(self) -> np.ndarray:
        """The lead of the highest logit over the second at each step, (tokens,)."""
        second, first = np.partition(self.logits, -2, axis=1)[:, -2:].T
        return first - second


@dataclass(frozen=True)
class Results:
    """What one precision computes; gradients by weight name, in the checkpoint's layout."""

    inference: np.ndarray
    latency: np.ndarray
    loss: float
    gradients: dict[str, np.ndarray]
    generated: Generated | None = None


def run(
    config: dict[str, Any],
    weights: Mapping[str, np.ndarray],
    inputs: Mapping[str, np.ndarray],
    loss_kind: str,
    dtype: torch.dtype,
    continuation: int | np.ndarray | None = None,
    train: bool = True,
) -> Results:
    """Both forward passes, the loss and, if ``train``, the gradient of every trainable weight, in ``dtype`` on the CPU.

    What has fewer bits than float32 is handed over in float32, and the loss is computed so. ``inputs`` holds
    ``inference.{name}``, ``latency.{name}`` and ``target``; ``decode.input_ids`` too, if a ``continuation`` is asked
    for: how many tokens to generate, or the tokens whose logits are wanted.
    """
    started = time.perf_counter()
    wide = torch.promote_types(dtype, torch.float32)
    module = load(config["definition"], config, weights, dtype).eval()
    with torch.no_grad():
        latency = module(**arguments(tensors.select(inputs, "latency."), dtype)).to(wide)
    generated = None
    if continuation is not None:
        prompt = arguments(tensors.select(inputs, "decode."), dtype)["input_ids"]
        generated = generate(module, prompt, continuation)
    with torch.set_grad_enabled(train):
        inference = module(**arguments(tensors.select(inputs, "inference."), dtype)).to(wide)
        loss = losses.loss(loss_kind, inference, arguments({"target": inputs["target"]}, wide)["target"])
    gradients = {}
    if train:
        loss.backward()
        gradients = {name: gradient_of(name, parameter) for name, parameter in module.named_parameters()}
    log(f"{dtype}: loss {loss.item():.6f}, {time.perf_counter() - started:.1f} s")
    return Results(inference.detach().numpy(), latency.numpy(), loss.item(), gradients, generated)


def gradient_of(name: str, parameter: torch.nn.Parameter) -> np.ndarray:
    """Its gradient, in float32 at least. Raises DefinitionError if the loss does not depend on it."""
    if parameter.grad is None:
        raise DefinitionError(
            f"{name} has no gradient, because the loss does not depend on it; let the module use it, or say so in its "
            "definition's file in workflow/scripts/models/spec/: Spec(…, effect=False), and make it a buffer"
        )
    return parameter.grad.to(torch.promote_types(parameter.dtype, torch.float32)).numpy()


def generate(module: torch.nn.Module, prompt: torch.Tensor, continuation: int | np.ndarray) -> Generated:
    """The greedy continuation of ``prompt`` (1, time) int64, or the logits of the one given.

    The logits are those of one pass over the whole text, without a key-value cache. Raises ArithmeticError
    if the tokens that were generated with a cache are not the highest of them.
    """
    if isinstance(continuation, int):
        tokens = generation.greedy(module, prompt, continuation)[0].numpy()
    else:
        tokens = continuation
    text = torch.cat((prompt, torch.tensor(tokens[None, :-1])), dim=1)
    with torch.no_grad():
        logits = module(text)[0, prompt.shape[1] - 1 :].numpy()
    if isinstance(continuation, int) and not np.array_equal(logits.argmax(axis=1), tokens):
        step = int(np.flatnonzero(logits.argmax(axis=1) != tokens)[0])
        raise ArithmeticError(f"step {step}: the key-value cache leads to another token than the whole text")
    return Generated(tokens, logits)


def predictions(
    config: dict[str, Any], weights: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What float64 predicts of the text of ``inputs`` (``quality.…``): see ``arena.judging.quality``."""
    started = time.perf_counter()
    module = load(config["definition"], config, weights, torch.float64).eval()
    text, found = tensors.select(inputs, "quality."), quality.Predictions()
    with torch.no_grad():
        for input_ids, target in zip(text["input_ids"], text["target"], strict=True):
            found.add(module(torch.from_numpy(input_ids)).numpy(), target)
    log(f"text: {text['target'].size} tokens, {time.perf_counter() - started:.1f} s")
    return found.tensors()


def check_finite(results: Results, norms: Mapping[str, float]) -> None:
    """Raise ArithmeticError naming what is NaN or infinite: nothing can be held to that. ``norms``: the gradients'."""
    found = {
        "inference.output": results.inference,
        "latency.output": results.latency,
        "the loss": results.loss,
    }
    found |= {f"the gradient of {name}": norm for name, norm in norms.items()}
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise ArithmeticError(
                f"{name} is not finite in float64; weights, inputs or the definition are at fault"
            )


def decode_noise(single: Generated, double: Generated) -> dict[str, Any]:
    """The gate's figures for float32's logits on float64's continuation, and what counts as a tie there."""
    figures = distances.compare_output(single.logits, double.logits, "cross_entropy", None)
    largest = float(np.abs(double.logits).max())
    return {**figures, "tie_margin": distances.tie_margin(figures["max_abs_error"], largest)}


def noise(single: Results, double: Results, gradients: dict, norms: dict, loss_kind: str) -> dict[str, Any]:
    """The gate's figures for ``single`` (fewer bits) against ``double`` (float64), by task that ``single`` has.

    ``gradients`` are the float64 ones rounded to float32, ``norms`` the Euclidean norms before rounding.
    """
    loss_error = distances.relative_error(single.loss, double.loss)
    inference = distances.compare_output(single.inference, double.inference, loss_kind, None)
    figures = {
        "inference": {**inference, "loss_error": loss_error},
        "latency": distances.compare_output(single.latency, double.latency, loss_kind, None),
    }
    if single.gradients:
        training = distances.compare_gradients(single.gradients, gradients, norms)
        figures["training"] = {**training, "loss_error": loss_error}
    if single.generated and double.generated:
        figures["decode"] = decode_noise(single.generated, double.generated)
    return figures


def log(message: str) -> None:
    """One line of progress on stderr."""
    print(message, file=sys.stderr, flush=True)
