"""TensorFlow's layout of the weights, which numpy alone can check."""

from __future__ import annotations

import numpy as np
import pytest

import miniatures
from frameworks.tensorflow.models import layout


@pytest.mark.parametrize("name", miniatures.MODELS)
def test_the_layout_inverts_exactly(name):
    for tensor, array in miniatures.weights(name).items():
        back = layout.from_tensorflow(tensor, layout.to_tensorflow(tensor, array))
        assert back.shape == array.shape and np.array_equal(back, array), tensor


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("conv1.weight", (5, 4, 2, 3), (2, 3, 4, 5)),
        ("model.encoder.conv1.weight", (5, 4, 3), (3, 4, 5)),
        ("fc.weight", (5, 4), (4, 5)),
        ("model.embed_tokens.weight", (5, 4), (5, 4)),
        ("fc.bias", (5,), (5,)),
    ],
)
def test_kernels_end_with_their_inputs_and_outputs_and_tables_stay(name, shape, expected):
    array = np.arange(np.prod(shape)).reshape(shape)
    laid_out = layout.to_tensorflow(name, array)
    assert laid_out.shape == expected
    if expected != shape:  # the element at (out, in, *kernel) moves to (*kernel, in, out)
        assert laid_out[..., 1, 4].tolist() == array[4, 1].tolist()
    else:
        assert np.array_equal(laid_out, array)
