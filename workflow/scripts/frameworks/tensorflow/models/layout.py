"""Weights between the checkpoint's layout (PyTorch's) and TensorFlow's (needs numpy only).

A linear weight is (out, in) in the checkpoint and a kernel (in, out) in TensorFlow; a convolution's is OIHW or OIL,
and HWIO or LIO. Embedding tables are indexed by row in both, and vectors have one layout; these pass unchanged.
"""

from __future__ import annotations

import numpy as np

_AXES = {2: (1, 0), 3: (2, 1, 0), 4: (2, 3, 1, 0)}  # (out, in) -> (in, out), OIL -> LIO, OIHW -> HWIO


def _axes(name: str, array: np.ndarray) -> tuple[int, ...]:
    if array.ndim > 4:
        raise ValueError(f"{name}: shape {array.shape}; expected a weight of at most four dimensions")
    table = any(part.startswith("embed_") for part in name.split("."))  # so Hugging Face calls each
    return tuple(range(array.ndim)) if array.ndim < 2 or table else _AXES[array.ndim]


def to_tensorflow(name: str, array: np.ndarray) -> np.ndarray:
    """The checkpoint's tensor ``name`` as a view in TensorFlow's layout; values and dtype are kept.

    Raises ValueError for a tensor of more than four dimensions.
    """
    return np.transpose(array, _axes(name, array))


def from_tensorflow(name: str, array: np.ndarray) -> np.ndarray:
    """The inverse of ``to_tensorflow``: a view of ``array`` in the checkpoint's layout."""
    axes = _axes(name, array)
    return np.transpose(array, tuple(axes.index(axis) for axis in range(array.ndim)))
