"""Weights in MAX's layout."""

from __future__ import annotations

import numpy as np
import pytest

import miniatures
from frameworks.max.models import layout


@pytest.mark.parametrize("name", miniatures.MODELS)
def test_only_convolutions_are_copied(name):
    for tensor, array in miniatures.weights(name).items():
        laid_out = layout.to_max(array)
        assert laid_out.flags.c_contiguous, tensor  # MAX refuses strides
        assert np.shares_memory(laid_out, array) == (array.ndim < 3), tensor
        assert np.array_equal(np.sort(laid_out, axis=None), np.sort(array, axis=None)), tensor


def test_a_kernel_is_height_width_in_out():
    kernel = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    laid_out = layout.to_max(kernel)
    assert laid_out.shape == (4, 5, 3, 2)
    assert laid_out[3, 1, 2, 0] == kernel[0, 2, 3, 1]


def test_a_1d_kernel_is_one_pixel_high():
    kernel = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    laid_out = layout.to_max(kernel)
    assert laid_out.shape == (1, 4, 3, 2)
    assert laid_out[0, 3, 2, 1] == kernel[1, 2, 3]


def test_a_tensor_of_five_dimensions_is_refused():
    with pytest.raises(ValueError, match="at most four dimensions"):
        layout.to_max(np.zeros((1, 1, 1, 1, 1)))


def test_where_outputs_come_first_kernels_stay_as_they_are():
    """As cuDNN takes them: for NVIDIA's cards."""
    kernel = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    assert np.shares_memory(layout.to_max(kernel, output_first=True), kernel)
    assert layout.to_max(kernel, output_first=True).shape == (2, 3, 4, 5)
    assert layout.to_max(kernel[:, :, 0], output_first=True).shape == (2, 3, 1, 5)
    assert layout.to_max(kernel[0, 0], output_first=True).shape == (4, 5)
