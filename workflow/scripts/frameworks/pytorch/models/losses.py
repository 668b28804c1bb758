"""The two losses, on PyTorch tensors."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def loss(kind: str, output: Tensor, target: Tensor) -> Tensor:
    """The scalar loss of ``output`` against ``target``, in the output's dtype.

    ``cross_entropy``: mean over all positions of ``output`` (..., classes), flattened to (positions,
    classes), against as many class indices; nothing is shifted. ``mse``: mean over all elements of two
    tensors of one shape. Raises ValueError for another kind or for shapes that do not fit.
    """
    if kind == "cross_entropy":
        logits, labels = output.flatten(0, -2), target.flatten()
        if logits.shape[0] != labels.shape[0]:
            raise ValueError(f"cross_entropy: {logits.shape[0]} positions but {labels.shape[0]} targets")
        return F.cross_entropy(logits, labels)
    if kind == "mse":
        if output.shape != target.shape:
            raise ValueError(f"mse: output {tuple(output.shape)} but target {tuple(target.shape)}")
        return F.mse_loss(output, target.to(output.dtype))
    raise ValueError(f"loss: {kind!r} is unknown; expected cross_entropy or mse")
