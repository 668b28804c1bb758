"""Weights between the checkpoint's layout (PyTorch's) and MLX's (needs numpy only).

MLX convolves channels-last: a weight that is OIHW or OIL in the checkpoint is OHWI or OLI in MLX. Linear
weights are (out, in) and embeddings are tables of rows in both; all of these pass unchanged.
"""

from __future__ import annotations

import numpy as np


def to_mlx(array: np.ndarray) -> np.ndarray:
    """The checkpoint's weight as a view in MLX's layout; values and dtype are kept."""
    return np.moveaxis(array, 1, -1) if array.ndim > 2 else array


def from_mlx(array: np.ndarray) -> np.ndarray:
    """The inverse of ``to_mlx``: a view of ``array`` (MLX's layout) in the checkpoint's layout."""
    return np.moveaxis(array, -1, 1) if array.ndim > 2 else array
