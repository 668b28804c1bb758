"""Weights from the checkpoint's layout (PyTorch's) to the one that MAX computes with (needs numpy only).

A convolution's OIHW becomes HWIO, MAX's RSCF; on NVIDIA's cards it stays, as MAX's FCRS (layers.py). A 1-d
convolution's OIL becomes that of a kernel one pixel high, because MAX convolves in two dimensions or more. All other
tensors pass unchanged, linear weights among them: the products take them as (out, in).
"""

from __future__ import annotations

import numpy as np


def to_max(array: np.ndarray, output_first: bool = False) -> np.ndarray:
    """The checkpoint's tensor, contiguous, in MAX's layout; copied only where that differs.

    ``output_first``: filters as FCRS, not as RSCF.

    Raises ValueError for a tensor of more than four dimensions.
    """
    if array.ndim > 4:
        raise ValueError(f"a weight of shape {array.shape}; expected at most four dimensions")
    if array.ndim < 3:
        return array
    kernel = array if array.ndim == 4 else array[:, :, None, :]
    return np.ascontiguousarray(kernel if output_first else kernel.transpose(2, 3, 1, 0))
