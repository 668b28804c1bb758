"""The correctness gate's figures: how far a framework's results are from the float64 reference.

Every figure is computed in float64 from full tensors. One that cannot be computed is None, never NaN,
so that it can be written as JSON. What the figures lead to is decided in verdict.py; formulas,
tolerances and what known mistakes measure are explained in docs/gate.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

Figures = dict[str, Any]

#: Largest magnitude that counts as finite: no lane computes with more than 32 bits.
LARGEST = float(np.finfo(np.float32).max)

#: Least noise assumed in a logit, as a share of the largest reference logit: about 170 units of float32
#: rounding (2**-24), what another order of summation costs in a deep network. It keeps a lucky float32
#: run of PyTorch from calling a near-tie decided.
NOISE_FLOOR = 1e-5

#: Denominator below which a loss counts as zero: the mse of a root-mean-square error of 1e-4.
SMALLEST_LOSS = 1e-8

#: A tensor with less than this share of the whole gradient's norm counts as zero gradient.
NEGLIGIBLE_SHARE = 1e-6

CHUNK = 1 << 20  # elements of a gradient in float64 at a time: 8 MiB an array


def compare_output(
    output: np.ndarray, reference: np.ndarray, loss_kind: str, noise_max: float | None
) -> Figures:
    """Compare an output tensor with the reference's, element by element.

    ``output`` (any float dtype) and ``reference`` (float64) should have one shape, for
    ``cross_entropy`` (..., classes). ``noise_max`` is the max_abs_error of float32 PyTorch, in units of
    the output; None if not known yet.

    With e = output - reference:

    - ``shape_ok``, ``finite``: whether the other figures exist; else they are None.
    - ``relative_l2`` = ||e|| / ||reference||, ``max_abs_error`` = max |e|,
      ``max_error`` = max |e| / max |reference| (normwise relative errors: Higham, "Accuracy and
      Stability of Numerical Algorithms", 2nd edition, section 1.2).
    - ``top1_agreement``: share of positions whose arg-max equals the reference's, among those that are
      decided; ``top1_decided`` and ``top1_positions`` count them. A position is decided where the
      reference's largest logit leads the second by more than ``tie_margin``: two logits that may each move
      by the noise can change places only within twice the noise. None, with a ``note``, where no position
      is decided; None without one for other losses.
    - ``mean_kl``: mean over positions of KL(softmax(reference) || softmax(output)) = sum p (log p - log q),
      in nats (Kullback and Leibler, "On Information and Sufficiency", 1951); ``median_kl`` is their median, which a
      few positions where the model is at its limits do not move. None for other losses.

    Raises ValueError where the reference itself is empty, zero or not finite: it can judge nothing.
    """
    output, reference = np.asarray(output), np.asarray(reference, dtype=np.float64)
    scale = float(np.abs(reference).max()) if reference.size else 0.0
    if not 0.0 < scale < math.inf:
        raise ValueError(
            f"reference of shape {reference.shape} with largest magnitude {scale}: expected finite values, "
            "not all zero; compute the reference again"
        )
    figures: Figures = {
        "shape_ok": output.shape == reference.shape,
        "finite": _finite(output),
        "relative_l2": None,
        "max_error": None,
        "max_abs_error": None,
        "top1_agreement": None,
        "top1_decided": None,
        "top1_positions": None,
        "mean_kl": None,
        "median_kl": None,
        "note": None,
    }
    if not figures["shape_ok"]:
        figures["note"] = f"shape {list(output.shape)}, expected {list(reference.shape)}"
    if not (figures["shape_ok"] and figures["finite"]):
        return figures
    error = np.abs(output - reference)
    figures["relative_l2"] = float(np.linalg.norm(error) / np.linalg.norm(reference))
    figures["max_abs_error"] = float(error.max())
    figures["max_error"] = figures["max_abs_error"] / scale
    if loss_kind == "cross_entropy":
        figures |= _top1(output, reference, tie_margin(noise_max, scale))
        divergences = _divergences(output, reference)
        figures["mean_kl"] = float(np.mean(divergences))
        figures["median_kl"] = float(np.median(divergences))
    return figures


def tie_margin(noise_max: float | None, largest: float) -> float:
    """The lead of one logit over another below which float32 may see them the other way round.

    Twice the noise: the larger of ``noise_max``, the max_abs_error of float32 PyTorch, and NOISE_FLOOR x
    ``largest``, the largest magnitude of the reference's logits.
    """
    return 2.0 * max(noise_max or 0.0, NOISE_FLOOR * largest)


def compare_tokens(tokens: np.ndarray, reference: np.ndarray, margins: np.ndarray, tie: float) -> Figures:
    """Compare generated token ids with the reference's greedy continuation.

    ``tokens`` and ``reference`` are (tokens,) int64; ``margins`` (tokens,) float64 is the reference's lead
    of the highest logit over the second at each step, ``tie`` the lead below which either may win.

    - ``shape_ok``: whether ``tokens`` are as many integers as the reference's; else nothing is compared.
    - ``matching_tokens``: how many agree before the first that differs, of ``decode_tokens`` in all. What
      follows the first difference continues another text and is not compared.
    - ``divergence_margin``: the reference's margin at the first difference, None without one.
    - ``tokens_ok``: whether none differs, or the first does so in a tie.
    """
    tokens = np.asarray(tokens)
    figures: Figures = {
        "shape_ok": tokens.shape == reference.shape and np.issubdtype(tokens.dtype, np.integer),
        "tokens_ok": False,
        "matching_tokens": None,
        "decode_tokens": reference.size,
        "divergence_margin": None,
        "note": None,
    }
    if not figures["shape_ok"]:
        expected = f"expected int64 {list(reference.shape)}"
        figures["note"] = f"tokens are {tokens.dtype} {list(tokens.shape)}, {expected}"
        return figures
    different = np.flatnonzero(tokens != reference)
    if different.size == 0:
        return figures | {"tokens_ok": True, "matching_tokens": reference.size}
    first = int(different[0])
    margin = float(margins[first])
    return figures | {"tokens_ok": margin < tie, "matching_tokens": first, "divergence_margin": margin}


def compare_gradients(
    gradients: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray], norms: Mapping[str, float]
) -> Figures:
    """Compare the gradient of every weight with the reference's.

    ``gradients`` and ``reference`` map weight names to arrays in the checkpoint's layout; ``norms`` holds
    the reference's Euclidean norms before rounding to float32. With g and r a weight's two gradients:

    - ``gradient_norm_error``: the worst | ||g|| - ||r|| | / ||r||, in ``gradient_norm_tensor``.
    - ``gradient_cosine``: the worst <g, r> / (||g|| ||r||), in ``gradient_cosine_tensor``; 0 if g is zero.
    - ``worst_tensor``: the weight with the largest ||g - r|| / ||r||, ``gradient_relative_l2``.
    - ``missing``, ``misshapen``, ``nonfinite``, ``unexpected``: sorted names; the first three are not in
      the figures, and ``finite`` is whether the third is empty.

    **Zero gradients.** Where ||r|| is at most NEGLIGIBLE_SHARE of the whole gradient's norm G (also where
    it is 0), direction and relative size are rounding noise. Such a weight is held to ||g - r|| / G in
    place of both relative errors, and to no cosine.

    Figures are None where no weight could be compared. Raises ValueError unless ``reference`` and
    ``norms`` name the same weights, or where the whole reference gradient is zero.
    """
    if set(reference) != set(norms):
        odd = sorted(set(reference) ^ set(norms))
        raise ValueError(
            f"reference gradients and their norms differ in {len(odd)} name(s), first {odd[0]!r}: "
            "expected the same weights in both; compute the reference again"
        )
    total = math.sqrt(math.fsum(norm * norm for norm in norms.values()))
    if not 0.0 < total < math.inf:
        raise ValueError(f"whole reference gradient has norm {total}: expected a positive number")
    missing, misshapen, nonfinite = [], [], []
    norm_errors, cosines, differences = {}, {}, {}
    for name in sorted(reference):
        if name not in gradients:
            missing.append(name)
        elif np.shape(gradients[name]) != reference[name].shape:
            misshapen.append(name)
        elif not _finite(gradients[name]):
            nonfinite.append(name)
        else:
            gg, rr, gr, dd = _products(gradients[name], reference[name])
            if norms[name] <= NEGLIGIBLE_SHARE * total:
                norm_errors[name] = differences[name] = math.sqrt(dd) / total
                continue
            norm_errors[name] = abs(math.sqrt(gg) - norms[name]) / norms[name]
            differences[name] = math.sqrt(dd) / norms[name]
            # One square root of the product: exactly 1 for equal arrays.
            cosines[name] = max(-1.0, min(1.0, gr / math.sqrt(gg * rr))) if gg > 0.0 else 0.0
    norm_tensor, norm_error = max(norm_errors.items(), key=_figure, default=(None, None))
    cosine_tensor, cosine = min(cosines.items(), key=_figure, default=(None, None))
    worst_tensor, difference = max(differences.items(), key=_figure, default=(None, None))
    return {
        "finite": not nonfinite,
        "gradient_norm_error": norm_error,
        "gradient_norm_tensor": norm_tensor,
        "gradient_cosine": cosine,
        "gradient_cosine_tensor": cosine_tensor,
        "gradient_relative_l2": difference,
        "worst_tensor": worst_tensor,
        "missing": missing,
        "misshapen": misshapen,
        "nonfinite": nonfinite,
        "unexpected": sorted(set(gradients) - set(reference)),
    }


def _figure(named: tuple[str, float]) -> float:
    return named[1]


def relative_error(value: float, reference: float) -> float:
    """|value - reference| / max(|reference|, SMALLEST_LOSS), for losses; infinite if ``value`` is not finite.

    Raises ValueError if ``reference`` is not finite.
    """
    if not math.isfinite(reference):
        raise ValueError(f"reference loss {reference}: expected a finite number; compute the reference again")
    if not math.isfinite(value):
        return math.inf
    return abs(value - reference) / max(abs(reference), SMALLEST_LOSS)


def _finite(array: np.ndarray) -> bool:
    """Whether every element is finite as a float32 (a NaN makes the comparison false)."""
    return bool(np.size(array) == 0 or np.abs(array).max() <= LARGEST)


def _top1(output: np.ndarray, reference: np.ndarray, margin: float) -> Figures:
    """Agreement of the arg-max where the reference's two largest logits differ by more than ``margin``."""
    classes = reference.shape[-1] if reference.ndim else 1
    if classes < 2:
        raise ValueError(f"cross_entropy output of shape {reference.shape}: expected at least two classes")
    output, reference = output.reshape(-1, classes), reference.reshape(-1, classes)
    second, first = np.partition(reference, classes - 2, axis=1)[:, -2:].T
    decided = first - second > margin
    count = int(decided.sum())
    agree = output.argmax(axis=1)[decided] == reference.argmax(axis=1)[decided]
    return {
        "top1_agreement": float(agree.mean()) if count else None,
        "top1_decided": count,
        "top1_positions": len(decided),
        "note": None if count else f"no position's top-1 leads by more than the noise ({margin:.2g})",
    }


def _divergences(output: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """KL(softmax(reference) || softmax(output)) of each position."""
    classes = reference.shape[-1]
    log_p, log_q = (_log_softmax(logits.reshape(-1, classes)) for logits in (reference, output))
    # Rounding may leave a sum of tiny terms a hair below zero, which no divergence is.
    divergences: np.ndarray = np.maximum(0.0, np.sum(np.exp(log_p) * (log_p - log_q), axis=1))
    return divergences


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    logarithms: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logarithms


def _chunks(array: np.ndarray) -> Iterator[np.ndarray]:
    flat = np.asarray(array).reshape(-1)
    for start in range(0, flat.size, CHUNK):
        yield flat[start : start + CHUNK].astype(np.float64)


def _products(g: np.ndarray, r: np.ndarray) -> tuple[float, float, float, float]:
    """<g, g>, <r, r>, <g, r> and <g - r, g - r> in float64, a chunk at a time."""
    sums = [(0.0, 0.0, 0.0, 0.0)]
    for a, b in zip(_chunks(g), _chunks(r), strict=True):
        d = a - b
        sums.append((float(a @ a), float(b @ b), float(a @ b), float(d @ d)))
    gg, rr, gr, dd = (math.fsum(column) for column in zip(*sums, strict=True))
    return gg, rr, gr, dd
