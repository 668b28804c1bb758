"""Weights between the checkpoint's layout (PyTorch's) and JAX's (needs numpy only).

A linear weight is (out, in) in the checkpoint and an (in, out) kernel in JAX. A convolution weight is
OIHW or OIL in the checkpoint, HWIO or LIO in JAX. Embedding tables are indexed by row in both, and
vectors have one layout; these pass unchanged. These are the layouts that JAX's users write; they gain no
speed on the CPU, where XLA was as fast with (out, in) kernels, for 128 positions and for one.
"""

from __future__ import annotations

import numpy as np

_AXES = {2: (1, 0), 3: (2, 1, 0), 4: (2, 3, 1, 0)}  # (out, in) -> (in, out), OIL -> LIO, OIHW -> HWIO


def _axes(name: str, array: np.ndarray) -> tuple[int, ...]:
    if array.ndim > 4:
        raise ValueError(f"{name}: shape {array.shape}; expected a weight of at most four dimensions")
    if array.ndim < 2 or _is_embedding(name):
        return tuple(range(array.ndim))
    return _AXES[array.ndim]


def _is_embedding(name: str) -> bool:
    """Whether ``name`` is a table of rows to look up: Hugging Face calls each ``embed_<something>``."""
    return any(part.startswith("embed_") for part in name.split("."))


def to_jax(name: str, array: np.ndarray) -> np.ndarray:
    """The checkpoint's tensor ``name`` as a view in JAX's layout; values and dtype are kept.

    Raises ValueError for a tensor of more than four dimensions.
    """
    return np.transpose(array, _axes(name, array))


def from_jax(name: str, array: np.ndarray) -> np.ndarray:
    """The inverse of ``to_jax``: a view of ``array`` (JAX's layout) in the checkpoint's layout."""
    axes = _axes(name, array)
    return np.transpose(array, tuple(axes.index(axis) for axis in range(array.ndim)))
