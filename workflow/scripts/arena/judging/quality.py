"""What a row's users lose: how well it still predicts the next token of a text, beside how far its numbers are off.

A text is read in windows of the inference input's shape, each without what came before it. Of every token three
things are kept: the probability that the row gave it, the token that the row thought likeliest, and, for some of
them, the whole distribution. Kept as they are, logits of a few thousand tokens would be hundreds of megabytes.
docs/gate.md tells how to read the figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

#: Of so many positions in a row, the last one's whole distribution is kept.
EVERY = 16

Figures = dict[str, Any]


class Predictions:
    """What a row predicts of a text, window by window."""

    def __init__(self) -> None:
        self._log_probabilities: list[np.ndarray] = []
        self._likeliest: list[np.ndarray] = []
        self._logits: list[np.ndarray] = []

    def add(self, logits: np.ndarray, target: np.ndarray) -> None:
        """Take a window: ``logits`` (…, classes) and ``target`` (positions,), the token that follows each position.

        Raises ValueError if they do not belong together.
        """
        target = np.asarray(target).reshape(-1)
        if logits.ndim < 2 or math.prod(logits.shape[:-1]) != target.size:
            raise ValueError(
                f"quality: output of shape {logits.shape} for {target.size} tokens; expected logits of each position"
            )
        if not 0 <= target.min() <= target.max() < logits.shape[-1]:
            raise ValueError(
                f"quality: tokens {target.min()}…{target.max()}; expected 0…{logits.shape[-1] - 1}, the vocabulary"
            )
        whole = logits.reshape(-1, logits.shape[-1])
        self._log_probabilities.append(log_softmax(whole)[np.arange(target.size), target])
        self._likeliest.append(whole.argmax(axis=1).astype(np.int64))
        self._logits.append(np.array(whole[EVERY - 1 :: EVERY]))

    def tensors(self) -> dict[str, np.ndarray]:
        """``log_probability`` (tokens,) float64, ``likeliest`` (tokens,) int64, ``logits`` (positions, classes)."""
        return {
            "log_probability": np.concatenate(self._log_probabilities),
            "likeliest": np.concatenate(self._likeliest),
            "logits": np.concatenate(self._logits),
        }


def loss(tensors: Mapping[str, np.ndarray]) -> float:
    """Mean of -log p over the tokens, in nats; its exponential is the perplexity."""
    return -float(np.mean(tensors["log_probability"]))


def compare(found: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> Figures:
    """The figures of ``found`` against ``reference``, both as ``Predictions.tensors`` gives them.

    With p the probability of each token of the text, and d = log p(reference) - log p(found):

    - ``perplexity`` = exp(mean of -log p), of ``found``; ``reference_perplexity``, of the reference (Jelinek, Mercer,
      Bahl and Baker, "Perplexity - a measure of the difficulty of speech recognition tasks", 1977).
    - ``perplexity_change`` = exp(mean d) - 1, and ``perplexity_change_error``, its standard error, by the deviation
      of d over the tokens: both rows read the same ones, so that the text's own variety falls out.
    - ``top1_agreement``: share of all tokens at which the likeliest is the reference's; ties count as they fall.
    - ``mean_kl`` over ``kl_positions``: KL(softmax(reference) || softmax(found)) in nats, and ``mean_kl_error``, its
      standard error.

    Figures other than ``tokens`` are None, with a ``note``, where the shapes differ or a number is not finite.
    """
    shapes = {name: (np.shape(found.get(name, ())), reference[name].shape) for name in reference}
    figures: Figures = {
        "tokens": reference["log_probability"].size,
        "kl_positions": len(reference["logits"]),
        "reference_perplexity": exponential(loss(reference)),
    }
    for name, (own, expected) in shapes.items():
        if own != expected:
            return figures | {"note": f"{name} of shape {list(own)}, expected {list(expected)}"}
    if not all(np.isfinite(found[name]).all() for name in ("log_probability", "logits")):
        return figures | {"note": "NaN or infinite values"}
    lost = reference["log_probability"] - found["log_probability"]
    divergences = kl(reference["logits"], found["logits"])
    ratio = exponential(float(lost.mean()))
    return figures | {
        "perplexity": exponential(loss(found)),
        "perplexity_change": ratio - 1,
        "perplexity_change_error": ratio * standard_error(lost),
        "top1_agreement": float(np.mean(found["likeliest"] == reference["likeliest"])),
        "mean_kl": float(divergences.mean()),
        "mean_kl_error": standard_error(divergences),
    }


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities of ``logits`` (positions, classes), in float64."""
    shifted: np.ndarray = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def kl(reference: np.ndarray, found: np.ndarray) -> np.ndarray:
    """KL(softmax(reference) || softmax(found)) of each position, nats (Kullback and Leibler, 1951), never below 0."""
    log_p, log_q = log_softmax(reference), log_softmax(found)
    divergences: np.ndarray = np.sum(np.exp(log_p) * (log_p - log_q), axis=1)
    divergences[divergences < 0] = 0.0  # rounding may leave a sum of tiny terms a hair below
    return divergences


def exponential(value: float) -> float:
    """e to the ``value``; infinite where float64 holds it no longer."""
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def standard_error(values: np.ndarray) -> float:
    """Of the mean of ``values`` (at least two), taken as independent."""
    return float(np.std(values, ddof=1) / math.sqrt(values.size))
