"""What a lane's own noise lets pass, and what no noise does."""

import math

import pytest

from arena.judging import verdict, widening
from arena.judging.widening import Widening
from tolerances import CLOSE_FACTOR, GATE, TOLERANCES, WIDENING

PLAIN = verdict.limits(TOLERANCES, CLOSE_FACTOR)
ERRORS = [name for name in widening.FIGURES if name not in widening.SQUARES]
DIVERGENCES = [name for name in widening.SQUARES if name != "gradient_cosine"]


def bounds(noise):
    return verdict.limits(TOLERANCES, CLOSE_FACTOR, Widening(50, 5), noise)


@pytest.mark.parametrize("name", ERRORS)
def test_noise_lets_fifty_times_itself_pass_up_to_the_ceiling(name):
    plain, close = PLAIN[name]
    for noise, passing in (
        (plain / 51, plain),
        (plain / 25, 2 * plain),
        (plain / 9, 5 * plain),
        (9, 5 * plain),
    ):
        assert bounds({name: noise}) == PLAIN | {name: (pytest.approx(passing, rel=1e-12), close)}


def test_a_cosine_lacks_the_square_of_what_the_angle_is():
    """Of an angle of 50 times the noise: 2500 times as much."""
    for lack, passing in ((3e-8, 0.9999), (1e-7, 1 - 2.5e-4), (1e-5, 0.9995), (2.0, 0.9995)):
        found = bounds({"gradient_cosine": 1 - lack})
        assert found == PLAIN | {"gradient_cosine": (pytest.approx(passing, abs=1e-12), 0.999)}


@pytest.mark.parametrize("name", DIVERGENCES)
def test_a_divergence_is_the_square_of_an_error(name):
    """Twice the noise is four times its divergence, and a ceiling of 5 is one of 25."""
    tolerances = TOLERANCES | {name: 1e-3}
    for noise, passing, close in (
        (2e-4, 1e-3, 1.5e-3),
        (3e-4, 1.2e-3, 1.5e-3),
        (1e-3, 4e-3, 4e-3),
        (9.0, 2.5e-2, 2.5e-2),
    ):
        found = verdict.limits(tolerances, 1.5, Widening(2, 5), {name: noise})[name]
        assert found == pytest.approx((passing, close), rel=1e-12)
    assert verdict.ceilings(tolerances, 1.5, Widening(2, 5))[name] == pytest.approx(2.5e-2)


def test_what_no_noise_of_its_own_has_is_never_widened():
    """Top-1 leaves out what noise decides, the printed loss is that of the very output; no limit, nothing to widen."""
    noise = {"top1_agreement": 0.0, "printed_loss_error": 9.0, "mean_kl": 9.0}
    assert verdict.limits(TOLERANCES, 10, WIDENING, noise) == verdict.limits(TOLERANCES, 10)
    assert "mean_kl" not in verdict.ceilings(TOLERANCES, 10, WIDENING)


def test_what_is_wider_than_the_limit_of_close_is_its_limit_too():
    """Where the ceiling of a lane lies beyond it."""
    found = verdict.limits(
        TOLERANCES, 1.5, Widening(2, 8), {"relative_l2": 3e-4, "gradient_cosine": 0.9998, "max_error": 6e-4}
    )
    assert found["relative_l2"] == pytest.approx((6e-4, 6e-4))
    assert found["gradient_cosine"] == pytest.approx((0.9992, 0.9992), abs=1e-12)
    assert found["max_error"] == pytest.approx((1.2e-3, 1.5e-3))


@pytest.mark.parametrize("noise", [None, math.nan, math.inf, "1e-3", True, [], -1.0, 0.0])
def test_a_noise_that_is_no_number_widens_nothing(noise):
    assert bounds(dict.fromkeys(ERRORS, noise)) == PLAIN
    if noise != 0.0 and noise != -1.0:
        assert bounds({"gradient_cosine": noise}) == PLAIN


@pytest.mark.parametrize("name", [*ERRORS, "gradient_cosine"])
def test_noise_makes_close_a_pass_and_never_different_anything_else(name):
    """In float32, whatever the noise is: its ceiling stands before the limit of close, which does not move."""
    part = "training" if name.startswith("gradient") else "inference"
    perfect = {
        "inference": {"relative_l2": 0.0, "max_error": 0.0, "loss_error": 0.0, "printed_loss_error": 0.0},
        "training": {"loss_error": 0.0, "gradient_norm_error": 0.0, "gradient_cosine": 1.0},
    }[part]
    passing, closing = PLAIN[name]
    ceiling = verdict.ceilings(TOLERANCES, CLOSE_FACTOR, WIDENING)[name]
    worse = -math.inf if name in verdict.AT_LEAST else math.inf
    values = [
        (passing, "pass", "pass"),
        (math.nextafter(passing, worse), "close", "pass"),
        (ceiling, "close", "pass"),
        (math.nextafter(ceiling, worse), "close", "close"),
        (closing, "close", "close"),
        (math.nextafter(closing, worse), "different", "different"),
    ]
    noise = {part: {name: -1.0 if name in verdict.AT_LEAST else 1.0}}
    for value, without, with_noise in values:
        parts = {part: perfect | {name: value}}
        assert verdict.judge(parts, TOLERANCES, CLOSE_FACTOR)["verdict"] == without
        judged = verdict.judge(parts, TOLERANCES, CLOSE_FACTOR, WIDENING, noise)
        assert judged["verdict"] == with_noise
        assert (
            verdict.judge(parts, TOLERANCES, CLOSE_FACTOR, WIDENING, {"decode": noise[part]})["verdict"]
            == without
        )


def test_the_reason_and_the_record_name_what_widened():
    figures = {
        "loss_error": 0.0,
        "gradient_norm_error": 4e-3,
        "gradient_cosine": 1.0,
        "gradient_norm_tensor": "w",
    }
    noise = {"training": {"gradient_norm_error": 5e-5, "gradient_cosine": 1.0}}
    judged = verdict.judge({"training": figures}, TOLERANCES, CLOSE_FACTOR, WIDENING, noise)
    assert judged["verdict"] == "close"
    words = "training: gradient norm error 4e-3 > 2.5e-3 (float32's noise, 5e-5, widens 1e-3) in w"
    assert judged["reasons"] == [words]
    judged = verdict.judge({"training": figures}, TOLERANCES, CLOSE_FACTOR, WIDENING, noise, "int8-blocks")
    assert judged["reasons"] == [words.replace("float32", "int8-blocks")]
    limits = verdict.limits(TOLERANCES, CLOSE_FACTOR, WIDENING, noise["training"])
    held = verdict.applied(figures, TOLERANCES, limits)
    assert held == {
        "tolerances": {"loss_error": 1e-4, "gradient_norm_error": 2.5e-3, "gradient_cosine": 0.9999},
        "widened": {"gradient_norm_error": 1e-3},
    }


def test_a_lane_is_taken_apart():
    found = widening.parted(GATE)
    assert found == (TOLERANCES, GATE["close_factor"], Widening(GATE["noise_factor"], GATE["noise_ceiling"]))
    assert not set(TOLERANCES) & {*widening.KEYS, "close_factor"}
    assert widening.parted({"close_factor": 2, "max_error": 0.1}) == ({"max_error": 0.1}, 2, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"noise_factor": 0}, "noise_factor: 0; expected a positive"),
        ({"noise_factor": math.nan}, "noise_factor: nan"),
        ({"noise_ceiling": 0.5}, "noise_ceiling: 0.5; expected a number of at least 1"),
        ({"noise_factor": None}, "noise_ceiling without noise_factor; expected both or none"),
        ({"noise_ceiling": None}, "noise_factor without noise_ceiling"),
        ({"close_factor": None}, "close_factor: missing"),
    ],
)
def test_wrong_rules_are_refused_by_name(change, words):
    lane = {name: value for name, value in (GATE | change).items() if value is not None}
    with pytest.raises(ValueError, match=words):
        verdict.limits(*widening.parted(lane))
