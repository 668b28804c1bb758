"""MLX's layout of the weights, which numpy alone can check. What MLX computes, the workflow's test checks."""

from __future__ import annotations

import numpy as np
import pytest

import miniatures
from frameworks.mlx.models import layout


@pytest.mark.parametrize("name", miniatures.MODELS)
def test_the_layout_inverts_exactly(name):
    for tensor, array in miniatures.weights(name).items():
        back = layout.from_mlx(layout.to_mlx(array))
        assert back.shape == array.shape and np.array_equal(back, array), tensor


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((5, 4, 2, 3), (5, 2, 3, 4)), ((5, 4, 3), (5, 3, 4)), ((5, 4), (5, 4)), ((5,), (5,))],
)
def test_the_layout_is_channels_last(shape, expected):
    array = np.arange(np.prod(shape)).reshape(shape)
    laid_out = layout.to_mlx(array)
    assert laid_out.shape == expected
    if len(shape) > 2:  # the element at (out, in, *kernel) moves to (out, *kernel, in)
        assert laid_out[4, ..., 1].tolist() == array[4, 1].tolist()
    else:
        assert np.array_equal(laid_out, array)
