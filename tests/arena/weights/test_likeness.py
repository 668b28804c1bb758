"""Seeded weights beside trained ones, at full size: what eight bits cost on one, they cost on the other.

    ARENA_TRAINED_TABLE=1 .venv-tests/bin/python -m pytest -s tests/arena/weights/test_likeness.py

prints the table of docs/weights.md. Without the variable neither gradients nor other formats are looked at.
ARENA_TRAINED_SEED=2 looks at another seed than the shipped one.
"""

import os

import numpy as np
import pytest

import convert_checkpoint
import likeness
import make_inputs
import miniatures
import seed_weights
from frameworks.pytorch import rounding
from mistakes import Model

SMOL = "SmolLM2-135M"
WHOLE = "ARENA_TRAINED_TABLE" in os.environ
INT8 = [name for name in rounding.ROUNDINGS if name.startswith("int8")]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both(trained_checkpoint):
    """The figures of the trained checkpoint and of seeded weights, on the shipped input."""
    inputs, asked = make_inputs.generate(miniatures.full(SMOL)), list(rounding.ROUNDINGS) if WHOLE else INT8
    weights, config, _ = convert_checkpoint.convert(miniatures.full(SMOL), trained_checkpoint)
    trained = likeness.measure(Model(config, weights, inputs, "cross_entropy"), asked, gradients=WHOLE)
    del weights
    shipped = miniatures.full(SMOL)
    mapping = shipped | {"seed": int(os.environ.get("ARENA_TRAINED_SEED", shipped["seed"]))}
    model = Model(config, seed_weights.generate(mapping), inputs, "cross_entropy")
    seeded = likeness.measure(model, asked, gradients=WHOLE)
    print_table(trained, seeded)
    return trained, seeded


def print_table(*both):
    rows = {
        f"input of {kind}, largest / RMS": [span(each.outliers[kind]) for each in both]
        for kind in likeness.KINDS
    }
    rows["residual stream, the same"] = [span(each.outliers["stream"]) for each in both]
    rows["residual stream, its worst token"] = [span(each.greatest) for each in both]
    rows["residual stream, largest"] = [span(each.largest) for each in both]
    rows["standard deviation of the logits"] = [f"{each.logits:.1f}" for each in both]
    if WHOLE:
        rows["gradient norm error of float32"] = [f"{each.noise:.1e}" for each in both]
    for name in both[0].lanes:
        found = [each.lanes[name] for each in both]
        rows[f"{name}: relative L2"] = [f"{each['relative_l2']:.1e}" for each in found]
        rows[f"{name}: mean KL"] = [f"{each['mean_kl']:.1e}" for each in found]
    for label, (trained, seeded) in rows.items():
        print(f"\n| {label} | {trained} | {seeded} |", end=" ")


def span(layers):
    return f"{np.median(layers):.3g} ({layers.min():.3g} to {layers.max():.3g})"


def apart(trained, seeded):
    """By which factor they differ, 1 or more."""
    return float(np.exp(abs(np.log(trained / seeded))))


@pytest.mark.parametrize("imitation", INT8)
@pytest.mark.parametrize("figure", ["relative_l2", "mean_kl"])
def test_eight_bits_on_seeded_weights_foretell_those_on_trained_ones(both, imitation, figure):
    trained, seeded = (each.lanes[imitation][figure] for each in both)
    assert apart(trained, seeded) < 2, f"{trained:.2e} on trained weights, {seeded:.2e} on seeded ones"


@pytest.mark.parametrize("kind", likeness.KINDS)
def test_channels_stand_out_as_much(both, kind):
    """On the median layer; of 576 normal variables the largest is 3.2."""
    trained, seeded = (np.median(each.outliers[kind]) for each in both)
    assert apart(trained, seeded) < 2, f"{trained:.1f} on trained weights, {seeded:.1f} on seeded ones"


@pytest.mark.skipif(not WHOLE, reason="gradients are looked at with ARENA_TRAINED_TABLE")
def test_gradients_amplify_rounding_as_much(both):
    """Within a factor that other orders of summation leave."""
    trained, seeded = (each.noise for each in both)
    assert apart(trained, seeded) < 8, f"{trained:.1e} on trained weights, {seeded:.1e} on seeded ones"
