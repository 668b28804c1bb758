"""Results in fewer bits than they claim are known by their numbers; mistakes are not taken for them."""

from functools import cache

import numpy as np
import pytest
import torch

import miniatures
import mistakes
from arena import tensors
from arena.judging import precision
from frameworks.pytorch import rounding
from frameworks.pytorch.models.loading import arguments
from mistakes import Model

every_model = pytest.mark.parametrize("name", miniatures.MODELS)


def output(model, module, dtype):
    inputs = arguments(tensors.select(model.inputs, "inference."), dtype)
    with torch.no_grad():
        return module(**inputs).to(torch.promote_types(dtype, torch.float32)).numpy()


@cache
def reference(name):
    model = Model.seeded(name)
    return model, output(model, model.module(torch.float64), torch.float64)


def imitated(name, imitation):
    model, _ = reference(name)
    with rounding.imitation(imitation) as dtype:
        return output(model, model.module(dtype), dtype)


@every_model
@pytest.mark.parametrize("imitation", ["tf32", "bfloat16", "float16"])
def test_a_narrower_format_is_named(name, imitation):
    found, words = precision.narrower(imitated(name, imitation), reference(name)[1], "cuda")
    assert found.lower() == imitation
    assert f"computes in {found}, whatever it calls itself" in words


@every_model
def test_tf32_is_known_by_its_error_and_on_nvidia_s_cards_alone(name):
    _, expected = reference(name)
    assert precision.stored_as(imitated(name, "tf32")) is None
    assert precision.narrower(imitated(name, "tf32"), expected, "cpu") is None


@every_model
def test_float32_is_float32(name):
    model, expected = reference(name)
    plain = output(model, model.module(torch.float32), torch.float32)
    assert precision.narrower(plain, expected, "cuda") is None


@every_model
def test_products_of_bfloat16_factors_are_known_without_bfloat16_outputs(name, monkeypatch):
    """As oneDNN's fast math multiplies, on a CPU too."""
    monkeypatch.setattr(rounding, "tf32", lambda x: x.to(torch.bfloat16).to(x.dtype))
    model, expected = reference(name)
    with rounding.Rounded(rounding.tf32, rounding.tf32, rounding.tf32):
        rounded = output(model, model.module(torch.float32), torch.float32)
    assert precision.stored_as(rounded) is None
    assert precision.narrower(rounded, expected, "cpu")[0] == "bfloat16"


@pytest.mark.parametrize(
    ("name", "mistake"),
    [("SmolLM2-135M", each) for each in mistakes.SMOLLM2] + mistakes.OTHERS,
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_mistake_is_no_format(name, mistake, monkeypatch):
    model, expected = reference(name)
    mistaken = output(model, mistake(model, monkeypatch), torch.float32)
    assert precision.narrower(mistaken, expected, "cuda") is None


def test_a_scale_that_is_off_by_a_thousandth_is_no_rounding():
    _, expected = reference("ResNet-50")
    assert precision.narrower((expected * 1.001).astype(np.float32), expected, "cuda") is None


def test_numbers_are_of_the_format_that_holds_them_all():
    numbers = np.array([1.5, -3.25, 0.0], np.float32)
    assert precision.stored_as(numbers) == "bfloat16"
    assert precision.stored_as(np.append(numbers, np.float32(1 + 2**-10))) == "float16"
    assert precision.stored_as(np.append(numbers, np.float32(1 + 2**-11))) is None
    assert precision.stored_as(np.append(numbers, np.float32(1e30) * np.float32(1 + 2**-10))) is None
