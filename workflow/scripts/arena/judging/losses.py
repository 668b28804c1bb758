"""The two losses of the workloads, in float64: what every framework's own outputs are scored with."""

from __future__ import annotations

import math

import numpy as np

KINDS = ("cross_entropy", "mse")


def loss(kind: str, output: np.ndarray, target: np.ndarray) -> float:
    """The loss of ``output`` against ``target``, computed in float64.

    ``cross_entropy``: ``output`` holds logits, shape (..., classes), any float dtype; ``target`` holds one
    integer class index a position, in the same order. Mean over all positions of
    log(sum(exp(logits))) - logits[target]. Nothing is shifted: the targets are aligned already.

    ``mse``: ``output`` and ``target`` have one shape. Mean over all elements of (output - target)**2.

    A non-finite output gives a non-finite loss. Raises ValueError for an unknown kind, for shapes that do
    not belong together, for class indices that are no integers or out of range, and for empty arrays.
    """
    if kind not in KINDS:
        raise ValueError(f"loss kind {kind!r}: expected one of {', '.join(KINDS)}")
    output, target = np.asarray(output), np.asarray(target)
    if output.size == 0:
        raise ValueError(f"{kind}: output of shape {output.shape} is empty; expected at least one element")
    return _cross_entropy(output, target) if kind == "cross_entropy" else _mse(output, target)


def _cross_entropy(output: np.ndarray, target: np.ndarray) -> float:
    """Mean cross-entropy; the maximum is subtracted before exp, so that it cannot overflow.

    Formula and its accuracy: Blanchard, Higham and Higham, "Accurately computing the log-sum-exp and
    softmax functions", IMA Journal of Numerical Analysis 41(4), 2021, equation (1.4).
    """
    if output.ndim == 0:
        raise ValueError("cross_entropy: output is a scalar; expected shape (..., classes)")
    logits = output.reshape(-1, output.shape[-1]).astype(np.float64)
    positions, classes = logits.shape
    labels = target.reshape(-1)
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"cross_entropy: target has dtype {labels.dtype}; expected integer class indices")
    if labels.size != positions:
        raise ValueError(
            f"cross_entropy: target of shape {target.shape} for {positions} positions of output "
            f"{output.shape}; expected one class index a position"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"cross_entropy: target holds {labels.min()}…{labels.max()}; expected indices 0…{classes - 1}"
        )
    if not np.isfinite(logits).all():
        return math.nan  # exp and log of infinities would warn, and come to the same
    shift = logits.max(axis=1)
    log_sum = shift + np.log(np.exp(logits - shift[:, None]).sum(axis=1))
    return float(np.mean(log_sum - logits[np.arange(positions), labels]))


def _mse(output: np.ndarray, target: np.ndarray) -> float:
    if output.shape != target.shape:
        raise ValueError(f"mse: target of shape {target.shape}; expected the output's shape {output.shape}")
    if not np.isfinite(output).all():
        return math.nan
    return float(np.mean((output.astype(np.float64) - target.astype(np.float64)) ** 2))
