"""The gate's figures and verdicts, on arrays whose errors are known."""

import math

import numpy as np
import pytest

from arena.judging import distances, losses, verdict
from tolerances import TOLERANCES

PERFECT = {
    "inference": {
        "shape_ok": True,
        "finite": True,
        "relative_l2": 0.0,
        "max_error": 0.0,
        "top1_agreement": 1.0,
        "loss_error": 0.0,
        "printed_loss_error": 0.0,
    },
    "latency": {"shape_ok": True, "finite": True, "relative_l2": 0.0, "max_error": 0.0},
    "training": {"finite": True, "loss_error": 0.0, "gradient_norm_error": 0.0, "gradient_cosine": 1.0},
}
FIGURES = [
    (part, figure) for part, figures in PERFECT.items() for figure in figures if figure in verdict.FIGURES
]


def test_mean_kl_is_the_divergence_of_the_probabilities():
    """Against the definition, written out; a constant added to all logits of a position changes nothing."""
    random = np.random.default_rng(4)
    reference, output = random.normal(scale=3.0, size=(2, 1, 5, 9))
    p, q = (np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True) for x in (reference, output))
    expected = float((p * np.log(p / q)).sum(axis=-1).mean())
    found = distances.compare_output(output + random.normal(size=(1, 5, 1)), reference, "cross_entropy", None)
    assert found["mean_kl"] == pytest.approx(expected, rel=1e-12)
    assert found["median_kl"] is not None
    assert distances.compare_output(reference, reference, "cross_entropy", None)["mean_kl"] == 0.0
    assert distances.compare_output(output, reference, "mse", None)["mean_kl"] is None


def test_mean_kl_holds_for_logits_that_overflow_when_exponentiated():
    reference = np.array([[[900.0, 0.0, -900.0]]])
    found = distances.compare_output(reference[..., ::-1], reference, "cross_entropy", None)
    assert found["mean_kl"] == pytest.approx(1800.0)


def test_mean_kl_is_judged_where_the_lane_has_a_tolerance():
    figures = {"latency": PERFECT["latency"] | {"mean_kl": 0.03}}
    assert verdict.judge(figures, TOLERANCES, 10)["verdict"] == "pass"
    held = verdict.judge(figures, TOLERANCES | {"mean_kl": 0.01}, 2)
    assert held["verdict"] == "different" and held["reasons"] == ["latency: mean KL divergence 3e-2 > 1e-2"]
    assert verdict.judge(figures, TOLERANCES | {"mean_kl": 0.01}, 3)["verdict"] == "close"


def test_the_printed_loss_is_held_tight_in_every_lane():
    loose = TOLERANCES | {"loss_error": 0.5}
    assert verdict.limits(loose, 10)["printed_loss_error"] == (1e-4, 1e-3)
    assert verdict.limits(TOLERANCES | {"loss_error": 1e-6}, 10)["printed_loss_error"] == (1e-6, 1e-5)


def judge(part, **figures):
    return verdict.judge({part: PERFECT[part] | figures}, TOLERANCES, 10)


def judge_output(output, reference, loss_kind="mse"):
    figures = distances.compare_output(output, reference, loss_kind, None)
    return figures, verdict.judge({"latency": figures}, TOLERANCES, 10)


@pytest.fixture
def logits():
    return np.random.default_rng(1).normal(size=(2, 8, 8))  # square at the end: transposing keeps the shape


@pytest.fixture
def gradients():
    random = np.random.default_rng(2)
    return {name: random.normal(size=(6, 5)).astype(np.float32) for name in "abcd"}


def norms(gradients):
    return {name: float(np.linalg.norm(array.astype(np.float64))) for name, array in gradients.items()}


def judge_gradients(found, reference):
    figures = distances.compare_gradients(found, reference, norms(reference))
    return figures, verdict.judge({"training": {"loss_error": 0.0} | figures}, TOLERANCES, 10)


# --- losses ------------------------------------------------------------------------------------------


def test_cross_entropy_of_known_probabilities():
    output = np.log([[[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]]])
    assert losses.loss("cross_entropy", output, np.array([0, 1])) == pytest.approx(math.log(4), rel=1e-15)


def test_cross_entropy_survives_logits_that_overflow_exp():
    output = np.array([[1e4, 0.0], [-1e4, 0.0]], dtype=np.float32)
    assert losses.loss("cross_entropy", output, np.array([0, 0])) == 5000.0


def test_mse_of_known_errors_is_accumulated_in_float64():
    output = np.full(1 << 20, 1 / 3, dtype=np.float32)
    expected = float(np.float64(np.float32(1 / 3)) ** 2)
    assert losses.loss("mse", output, np.zeros_like(output)) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("kind, target", [("cross_entropy", np.array([0, 1])), ("mse", np.zeros((2, 3)))])
def test_loss_of_nan_is_nan(kind, target):
    output = np.zeros((2, 3), dtype=np.float32)
    output[1, 2] = np.nan
    assert math.isnan(losses.loss(kind, output, target))


@pytest.mark.parametrize(
    "kind, output, target, words",
    [
        ("hinge", np.zeros((2, 3)), np.zeros(2, int), "hinge"),
        ("cross_entropy", np.zeros((2, 3)), np.zeros(3, int), "one class index a position"),
        ("cross_entropy", np.zeros((2, 3)), np.array([0, 3]), r"indices 0…2"),
        ("cross_entropy", np.zeros((2, 3)), np.array([0, -1]), r"indices 0…2"),
        ("cross_entropy", np.zeros((2, 3)), np.zeros(2), "integer"),
        ("cross_entropy", np.zeros((0, 3)), np.zeros(0, int), "empty"),
        ("mse", np.zeros((2, 3)), np.zeros((3, 2)), r"\(3, 2\)"),
    ],
)
def test_loss_refuses_what_does_not_belong_together(kind, output, target, words):
    with pytest.raises(ValueError, match=words):
        losses.loss(kind, output, target)


# --- outputs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", losses.KINDS)
def test_identical_output_passes_with_zeros(logits, kind):
    figures, judged = judge_output(logits.copy(), logits, kind)
    assert (figures["relative_l2"], figures["max_error"], figures["max_abs_error"]) == (0.0, 0.0, 0.0)
    assert figures["top1_agreement"] == (1.0 if kind == "cross_entropy" else None)
    assert judged == {"verdict": "pass", "parts": {"latency": "pass"}, "reasons": []}


def test_figures_of_a_known_error():
    reference = np.array([[4.0, -8.0], [0.0, 1.0]])  # norm 9
    output = reference + np.array([[0.5, 0.0], [-1.0, 0.25]])
    figures = distances.compare_output(output, reference, "mse", None)
    assert figures["relative_l2"] == pytest.approx(math.sqrt(1.3125) / 9, rel=1e-15)
    assert (figures["max_abs_error"], figures["max_error"]) == (1.0, 0.125)


@pytest.mark.parametrize(
    "error, expected", [(2.0**-10, "pass"), (2.0**-10 + 2.0**-40, "close"), (2.0**-8 + 2.0**-40, "different")]
)
def test_verdict_turns_exactly_at_the_tolerance(error, expected):
    reference = np.ones(4)
    figures = distances.compare_output(reference + error, reference, "mse", None)
    assert figures["relative_l2"] == figures["max_error"] == error
    tolerances = TOLERANCES | {"relative_l2": 2.0**-10, "max_error": 2.0**-10}
    assert verdict.judge({"latency": figures}, tolerances, 4)["verdict"] == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_one_value_that_is_not_finite_is_different(logits, value):
    output = logits.copy()
    output[1, 2, 3] = value
    figures, judged = judge_output(output, logits, "cross_entropy")
    assert figures["shape_ok"] and not figures["finite"] and figures["relative_l2"] is None
    assert judged["verdict"] == "different"
    assert judged["reasons"] == ["latency: NaN or infinite values"]


@pytest.mark.parametrize(
    "change",
    [
        lambda array: array[..., :-1],
        lambda array: array[0],
        lambda array: array.reshape(16, 8),
        lambda array: array[:0],
        lambda array: array.ravel(),
    ],
)
def test_wrong_shape_is_different_whatever_the_values(logits, change):
    figures, judged = judge_output(change(logits), logits, "cross_entropy")
    assert not figures["shape_ok"]
    assert judged["verdict"] == "different"
    assert judged["reasons"] == [f"latency: shape {list(change(logits).shape)}, expected [2, 8, 8]"]


def test_transposed_values_in_the_right_shape_are_different(logits):
    figures, judged = judge_output(logits.swapaxes(1, 2), logits, "cross_entropy")
    assert figures["shape_ok"] and figures["relative_l2"] > 0.5
    assert judged["verdict"] == "different"


@pytest.mark.parametrize("reference", [np.zeros((2, 3)), np.zeros((0, 3)), np.full((2, 3), np.nan)])
def test_reference_that_can_judge_nothing_is_refused(reference):
    with pytest.raises(ValueError, match="reference of shape"):
        distances.compare_output(reference, reference, "mse", None)


# --- top-1 -------------------------------------------------------------------------------------------


def margins(*values):
    """One position a value, whose first class leads the second by that much; the largest logit is 10."""
    return np.array([[10.0, 10.0 - value, 0.0] for value in values])


def flipped(reference, *positions):
    output = reference.copy()
    output[list(positions), :2] = output[list(positions), 1::-1]
    return output


def test_top1_counts_flips_among_decided_positions():
    reference = margins(1.0, 1.0, 1.0, 1e-5)  # the last leads by less than 2 x 1e-5 x 10
    figures = distances.compare_output(flipped(reference, 1, 3), reference, "cross_entropy", None)
    assert figures["top1_agreement"] == pytest.approx(2 / 3)
    assert (figures["top1_decided"], figures["top1_positions"]) == (3, 4)


def test_noise_of_float32_pytorch_widens_what_is_undecided():
    reference = margins(1.0, 0.5, 0.1)
    output = flipped(reference, 2)
    known = [
        distances.compare_output(output, reference, "cross_entropy", noise) for noise in (0.01, 0.06, 0.3)
    ]
    assert [figures["top1_decided"] for figures in known] == [3, 2, 1]
    assert [figures["top1_agreement"] for figures in known] == [pytest.approx(2 / 3), 1.0, 1.0]


def test_margin_of_exactly_twice_the_noise_is_undecided():
    figures = distances.compare_output(margins(0.5, 1.0), margins(0.5, 1.0), "cross_entropy", 0.25)
    assert figures["top1_decided"] == 1


def test_no_decided_position_is_said_and_does_not_fail():
    reference = margins(0.0, 0.0)
    figures, judged = judge_output(reference, reference, "cross_entropy")
    assert figures["top1_agreement"] is None and "no position" in figures["note"]
    assert judged["verdict"] == "pass"


@pytest.mark.parametrize(
    "flips, positions, expected",
    [(0, 128, "pass"), (1, 128, "close"), (2, 128, "different"), (1, 4, "different")],
)
def test_full_agreement_is_close_down_to_99_percent(flips, positions, expected):
    assert judge("inference", top1_agreement=1 - flips / positions)["verdict"] == expected


# --- gradients ---------------------------------------------------------------------------------------


def test_identical_gradients_pass_with_zeros(gradients):
    figures, judged = judge_gradients(gradients, gradients)
    assert figures["gradient_norm_error"] == pytest.approx(0.0, abs=1e-15)
    assert (figures["gradient_cosine"], figures["gradient_relative_l2"]) == (1.0, 0.0)
    assert judged["verdict"] == "pass"


def test_one_negated_gradient(gradients):
    figures, judged = judge_gradients(gradients | {"c": -gradients["c"]}, gradients)
    assert (figures["gradient_cosine"], figures["gradient_cosine_tensor"]) == (-1.0, "c")
    assert figures["gradient_norm_error"] == pytest.approx(0.0, abs=1e-15)
    assert judged["verdict"] == "different"
    assert judged["reasons"] == ["training: gradient cosine -1 < 0.9999 in c"]


@pytest.mark.parametrize("factor, expected", [(1.0005, "pass"), (1.005, "close"), (1.01001, "different")])
def test_one_scaled_gradient(gradients, factor, expected):
    scaled = gradients | {"b": gradients["b"].astype(np.float64) * factor}
    figures, judged = judge_gradients(scaled, gradients)
    assert figures["gradient_norm_error"] == pytest.approx(factor - 1, rel=1e-9)
    assert figures["gradient_cosine"] == pytest.approx(1.0, abs=1e-12)
    assert figures["worst_tensor"] == figures["gradient_norm_tensor"] == "b"
    assert judged["verdict"] == expected


def test_one_zeroed_gradient(gradients):
    figures, judged = judge_gradients(gradients | {"a": np.zeros_like(gradients["a"])}, gradients)
    assert (figures["gradient_norm_error"], figures["gradient_cosine"]) == (1.0, 0.0)
    assert figures["worst_tensor"] == "a"
    assert judged["verdict"] == "different"


def test_one_missing_gradient(gradients):
    found = {name: array for name, array in gradients.items() if name != "d"}
    figures, judged = judge_gradients(found, gradients)
    assert figures["missing"] == ["d"] and figures["gradient_cosine"] == 1.0
    assert judged["verdict"] == "different"
    assert judged["reasons"] == ["training: 1 weight(s) without a gradient: d"]


def test_no_gradient_at_all(gradients):
    figures, judged = judge_gradients({}, gradients)
    assert figures["missing"] == list("abcd") and figures["gradient_norm_error"] is None
    assert judged["verdict"] == "different"


def test_two_swapped_gradients(gradients):
    figures, judged = judge_gradients(gradients | {"a": gradients["b"], "b": gradients["a"]}, gradients)
    assert figures["gradient_cosine"] < 0.9 and figures["gradient_cosine_tensor"] in "ab"
    assert judged["verdict"] == "different"


def test_transposed_gradient_is_misshapen(gradients):
    figures, judged = judge_gradients(gradients | {"a": gradients["a"].T}, gradients)
    assert figures["misshapen"] == ["a"]
    assert judged["verdict"] == "different"


def test_nan_in_a_gradient_names_the_weight(gradients):
    broken = gradients["b"].copy()
    broken[0, 0] = np.nan
    figures, judged = judge_gradients(gradients | {"b": broken}, gradients)
    assert not figures["finite"] and figures["nonfinite"] == ["b"]
    assert judged["verdict"] == "different"
    assert judged["reasons"] == ["training: 1 weight(s) with a gradient that is not finite: b"]


def test_gradient_of_something_else_is_told_but_harmless(gradients):
    figures, judged = judge_gradients(gradients | {"running_mean": np.ones(3)}, gradients)
    assert figures["unexpected"] == ["running_mean"]
    assert judged["verdict"] == "pass"


@pytest.mark.parametrize(
    "size, expected", [(0.0, "pass"), (1e-4, "pass"), (5e-3, "close"), (0.5, "different")]
)
def test_zero_gradient_is_held_to_the_norm_of_the_whole(gradients, size, expected):
    reference = gradients | {"a": np.zeros_like(gradients["a"])}
    total = math.sqrt(sum(norm**2 for norm in norms(reference).values()))
    found = reference | {"a": np.full((6, 5), size * total / math.sqrt(30))}
    figures, judged = judge_gradients(found, reference)
    assert figures["gradient_norm_error"] == pytest.approx(size, abs=1e-12)
    assert figures["gradient_cosine"] == 1.0  # not measured on the weight without a direction
    assert judged["verdict"] == expected


def test_large_gradients_are_summed_over_all_chunks(monkeypatch, gradients):
    whole = distances.compare_gradients(gradients | {"a": gradients["b"]}, gradients, norms(gradients))
    monkeypatch.setattr(distances, "CHUNK", 7)
    parts = distances.compare_gradients(gradients | {"a": gradients["b"]}, gradients, norms(gradients))
    for figure in ("gradient_norm_error", "gradient_cosine", "gradient_relative_l2"):
        assert parts[figure] == pytest.approx(whole[figure], rel=1e-13)


def test_reference_gradients_and_norms_must_belong_together(gradients):
    with pytest.raises(ValueError, match="'d'"):
        distances.compare_gradients(gradients, gradients, {name: 1.0 for name in "abc"})


# --- verdicts ----------------------------------------------------------------------------------------


def test_losses_are_compared_relatively_and_near_zero_absolutely():
    assert distances.relative_error(10.1, 10.0) == pytest.approx(0.01)
    assert distances.relative_error(-9.9, -10.0) == pytest.approx(0.01)
    assert distances.relative_error(2e-12, 0.0) == pytest.approx(2e-4)
    assert distances.relative_error(math.nan, 1.0) == distances.relative_error(-math.inf, 1.0) == math.inf
    with pytest.raises(ValueError, match="reference loss nan"):
        distances.relative_error(1.0, math.nan)


@pytest.mark.parametrize("part, figure", FIGURES)
def test_each_figure_turns_at_its_limits(part, figure):
    passing, closing = verdict.limits(TOLERANCES, 10)[verdict.FIGURES[figure][1]]
    beyond = -math.inf if figure in verdict.AT_LEAST else math.inf
    values = [
        passing,
        np.nextafter(passing, beyond),
        closing,
        np.nextafter(closing, beyond),
        beyond,
        math.nan,
    ]
    judged = [judge(part, **{figure: float(value)}) for value in values]
    assert [each["verdict"] for each in judged] == ["pass", "close", "close", *["different"] * 3]
    assert [len(each["reasons"]) for each in judged] == [0, 1, 1, 1, 1, 1]


def test_limits_are_the_decimal_numbers_that_were_written():
    bounds = verdict.limits(TOLERANCES, 10)
    assert bounds["relative_l2"] == (1e-4, 1e-3)
    assert bounds["gradient_cosine"] == (0.9999, 0.999)
    assert bounds["top1_agreement"] == (1.0, 0.99)


@pytest.mark.parametrize("part, figure", [pair for pair in FIGURES if pair[1] != "top1_agreement"])
def test_required_figure_that_is_absent_never_passes(part, figure):
    judged = judge(part, **{figure: None})
    assert judged["verdict"] == "different"
    assert "could be computed" in judged["reasons"][0]


def test_cell_is_as_good_as_its_worst_part():
    parts = PERFECT | {"latency": PERFECT["latency"] | {"relative_l2": 5e-4}}
    judged = verdict.judge(parts, TOLERANCES, 10)
    assert judged["verdict"] == "close"
    assert judged["parts"] == {"inference": "pass", "latency": "close", "training": "pass"}
    assert judged["reasons"] == ["latency: relative L2 5e-4 > 1e-4"]


def test_worst_round_is_reported_for_each_figure():
    rounds = {
        1: {"relative_l2": 1e-6, "top1_agreement": 0.9, "finite": True, "note": None},
        2: {"relative_l2": 3e-2, "top1_agreement": 1.0, "finite": True, "note": "second"},
        3: {"relative_l2": None, "top1_agreement": None, "finite": False, "note": "third"},
    }
    merged = verdict.worst(rounds)
    assert merged == {
        "relative_l2": 3e-2,
        "top1_agreement": 0.9,
        "finite": False,
        "note": "second",
        "rounds": {"relative_l2": 2, "top1_agreement": 1, "finite": 3},
    }
    assert verdict.judge({"latency": merged | {"max_error": 0.0}}, TOLERANCES, 10)["reasons"] == [
        "latency: NaN or infinite values (round 3)",
        "latency: relative L2 3e-2 > 1e-4 (round 2)",
        "latency: top-1 agreement 90 % < 100 % (round 1)",
    ]


@pytest.mark.parametrize(
    "change, factor, words",
    [
        ({"relative_l2": -1.0}, 10, "relative_l2 = -1.0"),
        ({"gradient_cosine": 1.5}, 10, "gradient_cosine = 1.5"),
        ({"cosine": 1.0}, 10, "unknown.*cosine"),
        ({}, 0.5, "close_factor: 0.5"),
    ],
)
def test_wrong_tolerances_are_refused_by_name(change, factor, words):
    with pytest.raises(ValueError, match=words):
        verdict.judge(PERFECT, TOLERANCES | change, factor)
