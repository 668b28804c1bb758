"""Intervals, ratios and first places: on made-up medians whose truth is known, drawn with a fixed seed."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

import simulate_ranking
from reporting.intervals import prior
from reporting.intervals.model import Model, is_first


def drawn(cells, rounds, seed=1, spread=0.01, effects=0.0):
    """Medians by cell, about 1; ``effects`` moves each round of all of them."""
    rng = np.random.default_rng(seed)
    shared = effects * rng.standard_normal(rounds)
    return {name: np.exp(spread * rng.standard_normal(rounds) + shared) for name in range(cells)}


def model(medians, lanes=None, rounds=None):
    return Model(medians, lanes or dict.fromkeys(medians, "float32"), rounds)


def half(figure):
    return math.log(figure.high / figure.low) / 2


# What the intervals are worth. The bands leave 100 simulations three standard errors. docs/statistics.md has 1000.


@pytest.mark.parametrize(("case", "rounds"), [*product(simulate_ranking.CASES, (2, 3)), ("normal", 5)])
def test_intervals_hold_what_they_promise(case, rounds):
    rates = simulate_ranking.simulate(case, rounds, simulations=100)
    # All cells of a machine share its rounds' effects, so that with drift the simulations tell less.
    low, high = {"drift": (0.84, 0.985), "parts": (0.97, 1.0)}.get(case, (0.91, 0.99))
    assert low <= rates.time <= high
    assert (
        {"few": 0.87, "unequal": 0.87, "adaptive": 0.86, "parts": 0.88}.get(case, 0.91) <= rates.ratio <= 0.99
    )
    differ = case in ("unequal", "adaptive")
    assert 0.0 < rates.apart <= (0.09 if differ else 0.08)
    assert 0.0 < rates.lost <= (0.2 if differ else 0.13)
    assert 0.02 <= rates.lost_any <= (0.22 if differ else 0.16)


def test_a_cell_that_varies_by_40_percent_and_is_four_times_slower_is_not_first():
    assert simulate_ranking.simulate("wild", 2, simulations=60).found >= 0.95


@pytest.mark.parametrize(("rounds", "least"), [(2, 0.6), (3, 0.95), (5, 0.99)])
def test_a_row_5_percent_slower_is_found(rounds, least):
    assert simulate_ranking.simulate("normal", rounds, simulations=60).found >= least


# The prior.


def test_prior_finds_the_scale_and_spread_that_variances_were_drawn_with():
    rng = np.random.default_rng(2)
    truth = 4e-4 * 8 / rng.chisquare(8, size=20_000)  # d0 = 8, s0 = 2 %
    variances = truth * rng.chisquare(4, size=20_000) / 4
    found = prior.fit(variances, 4).of(variances, np.full(20_000, 4))
    assert found.scale == pytest.approx(4e-4, rel=0.05)
    assert np.median(found.freedom) == pytest.approx(8, rel=0.2)


def test_prior_of_equal_variances_lets_every_cell_have_the_same():
    rng = np.random.default_rng(3)
    variances = 1e-4 * rng.chisquare(2, size=4000) / 2
    found = prior.fit(variances, 2).of(variances, np.full(4000, 2))
    assert np.median(found.freedom) > 15
    moderated, freedom = found.moderated(variances, np.full(4000, 2), total=8000.0)
    assert np.median(moderated) == pytest.approx(1e-4, rel=0.1)
    assert (freedom <= 8000).all()


def test_a_cell_that_jumps_widens_its_own_interval_and_not_everyones():
    medians = drawn(25, 3)
    before = model(medians)
    medians[0] = medians[0] * np.array([1.0, 1.0, 3.0])
    after = model(medians)
    assert half(after.time(0)) > 0.5  # one process of three takes three times as long: nobody knows
    others = [half(after.time(name)) / half(before.time(name)) for name in range(1, 25)]
    assert max(others) < 1.15


def test_moderation_is_the_formula():
    found = prior.Prior(2e-4, np.array([3.0, np.inf]))
    variances, freedom = found.moderated(np.array([8e-4, 8e-4]), np.array([1.0, 1.0]), total=25.0)
    assert variances == pytest.approx([(3 * 2e-4 + 8e-4) / 4, 2e-4])
    assert list(freedom) == [4.0, 25.0]


@pytest.mark.parametrize(("variances", "freedom"), [(np.zeros(0), 1), (np.zeros(3), 0)])
def test_variances_without_degrees_of_freedom_are_refused(variances, freedom):
    with pytest.raises(ValueError, match="expected one or more of both"):
        prior.fit(variances, freedom)


# Medians in ms of the processes that were measured on an NVIDIA H200 (report/published/nvidia-h200.csv).
H200 = {
    ("SmolLM2-135M", "pytorch-eager"): [18.9965, 19.5371],
    ("SmolLM2-135M", "pytorch-graph"): [4.546, 4.5576],
    ("SmolLM2-135M", "jax"): [3.4416, 3.442, 3.5063],
    ("SmolLM2-135M", "onnxruntime"): [18.6928, 13.0602],
    ("SmolLM2-135M", "onnxruntime-graph"): [4.9175, 4.8664, 4.9324],
    ("SmolVLA", "pytorch-eager"): [12.394, 10.1748, 10.3262],
    ("SmolVLA", "pytorch-graph"): [1.867, 1.864, 1.8724],
    ("SmolVLA", "jax"): [1.8598, 1.8592, 1.8334],
    ("SmolVLA", "onnxruntime"): [4.6333, 5.6683, 5.7249],
    ("SmolVLA", "onnxruntime-graph"): [1.9464, 1.9856, 2.0017],
    ("StableDiffusion", "pytorch-eager"): [1.739, 2.2809, 2.2244],
    ("StableDiffusion", "pytorch-graph"): [1.4765, 1.4832, 1.4806],
    ("StableDiffusion", "jax"): [1.6901, 1.6225, 1.6675],
    ("StableDiffusion", "onnxruntime"): [1.3929, 1.4803, 1.4271],
    ("StableDiffusion", "onnxruntime-graph"): [1.1709, 1.1584, 1.2063],
    ("ResNet-50", "pytorch-eager"): [5.4736, 4.8256, 4.308],
    ("ResNet-50", "pytorch-graph"): [2.9218, 2.8471, 2.8488],
    ("ResNet-50", "jax"): [3.6762, 3.6811, 3.6389],
    ("ResNet-50", "onnxruntime"): [3.1793, 3.1323, 3.1684],
    ("ResNet-50", "onnxruntime-graph"): [2.9378, 2.9194, 2.8857],
    ("Whisper-tiny", "pytorch-eager"): [4.3915, 3.5478],
    ("Whisper-tiny", "pytorch-graph"): [3.2588, 3.2748, 3.2685],
    ("Whisper-tiny", "jax"): [2.6366, 2.6823, 2.7065],
    ("Whisper-tiny", "onnxruntime"): [3.2013, 3.2436, 3.3259],
    ("Whisper-tiny", "onnxruntime-graph"): [2.7955, 2.8385, 2.8339],
}


def test_a_row_far_slower_does_not_share_the_first_place_because_its_processes_differ():
    found = model(H200)
    first = {}
    for name in dict.fromkeys(name for name, _ in H200):
        ratios = found.to_best([key for key in H200 if key[0] == name])
        first[name] = {row for (_, row), ratio in ratios.items() if is_first(ratio, 0.02)}
    assert first["SmolLM2-135M"] == {"jax"}
    assert first["SmolVLA"] == {"pytorch-graph", "jax"}
    assert first["StableDiffusion"] == {"onnxruntime-graph"}
    assert first["ResNet-50"] == {"pytorch-graph", "onnxruntime-graph"}
    ratio = found.to_best([key for key in H200 if key[0] == "SmolLM2-135M"])["SmolLM2-135M", "onnxruntime"]
    assert ratio.low > 1 and ratio.apart
    wild = found.time(("SmolLM2-135M", "onnxruntime"))
    assert wild.low < 13.06 < 18.69 < wild.high  # its own interval holds both of its processes


def test_no_cell_is_known_by_its_two_processes_alone():
    medians = drawn(25, 2)
    medians[0] = medians[0] * np.array([1.0, 30.0])
    found = model(medians).time(0)
    # Student's t with one degree of freedom would say a factor of e^21 to either side.
    assert math.log(30) / 2 < math.log(found.high / found.point) < 6


def test_a_row_whose_every_process_is_far_slower_is_not_first_however_wide_its_interval():
    medians = drawn(25, 2)
    wild = {0: [2.0, 100.0], 1: [1.4, 100.0]}
    first = model(medians | wild).to_best(range(5))
    assert first[0].low < 1 and first[1].low < 1  # one process in fifty times the other's
    assert (first[0].apart, is_first(first[0], 0.02)) == (True, False)
    assert (first[1].apart, is_first(first[1], 0.02)) == (False, True)  # 1.4 times as long: not by far
    assert not model(medians | wild).ratio(2, 0).apart  # far faster is another matter


def test_processes_that_agree_to_the_nanosecond_have_an_interval_of_nothing():
    found = model(dict.fromkeys(range(6), np.array([5.0, 5.0])))
    assert (found.time(0).low, found.time(0).high) == pytest.approx((5.0, 5.0))
    assert found.to_best([0, 1])[1].low == pytest.approx(1.0)


# Times and ratios.


def test_few_cells_share_one_variance_as_in_a_t_test():
    medians = {"a": [1.0, 1.02, 1.01], "b": [2.0, 2.1, 2.02]}
    found = model(medians).ratio("b", "a")
    test = stats.ttest_ind(np.log(medians["b"]), np.log(medians["a"]))
    interval = test.confidence_interval(0.95)
    assert math.log(found.point) == pytest.approx(np.log(medians["b"]).mean() - np.log(medians["a"]).mean())
    assert (math.log(found.low), math.log(found.high)) == pytest.approx((interval.low, interval.high))


def test_time_is_the_geometric_mean_and_lies_in_its_interval():
    found = model({name: [4.0, 9.0] for name in range(8)} | {8: [4.0, 9.1]}).time(0)
    assert found.point == pytest.approx(6.0)
    assert found.low < 6.0 < found.high


def test_a_ratio_reversed_is_the_inverse_and_to_itself_one():
    found = model(drawn(10, 3))
    forth, back = found.ratio(1, 2), found.ratio(2, 1)
    assert (forth.point * back.point, forth.low * back.high) == pytest.approx((1.0, 1.0))
    assert (found.ratio(1, 1).low, found.ratio(1, 1).high) == (1.0, 1.0)


def test_what_a_round_did_to_all_cells_leaves_ratios_alone_and_widens_times():
    calm, moved = model(drawn(25, 3)), model(drawn(25, 3, effects=0.05))
    # The same cells, and rounds that are 5 % apart: the draws differ, the widths must not.
    assert half(moved.ratio(0, 1)) == pytest.approx(half(calm.ratio(0, 1)), rel=0.6)
    assert half(moved.ratio(0, 1)) < 0.05
    assert half(moved.time(0)) > 2 * half(calm.time(0))
    medians = drawn(25, 3)
    shifted = {name: values * np.array([1.0, 1.3, 0.8]) for name, values in medians.items()}
    before, after = model(medians).ratio(0, 1), model(shifted).ratio(0, 1)
    assert (after.point, after.low, after.high) == pytest.approx((before.point, before.low, before.high))


def test_one_bad_process_does_not_pass_for_what_its_round_did():
    medians = drawn(25, 2)
    before = model(medians).ratio(1, 2)
    medians[0] = medians[0] * np.array([1.0, 4.0])
    after = model(medians).ratio(1, 2)
    assert half(after) == pytest.approx(half(before), rel=0.2)


# Rounds in which not every cell ran.


def some(medians, chosen):
    """``medians`` by cell of the rounds (from 0) that ``chosen`` has for it, or all, and those rounds."""
    rounds = {name: chosen.get(name, range(len(values))) for name, values in medians.items()}
    return {name: [medians[name][n] for n in rounds[name]] for name in medians}, rounds


def test_what_rounds_did_is_taken_out_where_cells_ran_in_different_ones():
    quiet = drawn(25, 4)
    moved = {name: values * np.array([1.0, 1.3, 0.8, 1.1]) for name, values in quiet.items()}
    chosen = {name: [0, 1] for name in range(8)} | {name: [1, 2, 3] for name in range(8, 16)}
    before, after = (model(data, None, rounds) for data, rounds in (some(quiet, chosen), some(moved, chosen)))
    for one, other in ((0, 8), (0, 1), (8, 20), (3, 24)):
        old, new = before.ratio(one, other), after.ratio(one, other)
        assert math.log(new.point / old.point) == pytest.approx(0.0, abs=0.005)
        assert half(new) == pytest.approx(half(old), rel=0.1)
    plain = np.log(moved[0][:2]).mean() - np.log(moved[8][1:]).mean()
    assert abs(plain - math.log(after.ratio(0, 8).point)) > 0.08  # what it would be without


def test_a_round_of_few_cells_is_no_block_and_its_effect_counts_as_variance():
    """Of one cell alone nobody knows whether it or its round was slow."""
    quiet = drawn(25, 3)
    chosen = {name: [0, 1] for name in range(1, 25)}
    same, rounds = some(quiet, chosen)
    calm = model(same, None, rounds)
    moved, _ = some({name: values * np.array([1.1, 0.9, 1.0]) for name, values in quiet.items()}, chosen)
    wild = model(moved, None, rounds)
    assert half(wild.ratio(0, 1)) > 2 * half(calm.ratio(0, 1))  # cell 0 has a round that nobody shares
    assert half(wild.ratio(1, 2)) == pytest.approx(half(calm.ratio(1, 2)), rel=0.2)
    # A round more tells more of a cell where rounds do nothing.
    assert half(calm.time(0)) < half(calm.time(1))


def parts(shift, spread=0.01, seed=4):
    """Two parts of three rounds: cells 0 to 4 in both, 5 to 14 in the first, 15 to 24 in the second."""
    rng = np.random.default_rng(seed)
    rounds = {
        name: [
            (part, n) for part in (0, 1) for n in range(3) if part in ((0, 1) if name < 5 else (name >= 15,))
        ]
        for name in range(25)
    }
    medians = {
        name: [math.exp(spread * rng.standard_normal() + shift * part) for part, _ in rounds[name]]
        for name in rounds
    }
    return medians, rounds


def test_parts_that_share_cells_are_compared_through_them():
    near, far = (model(medians, None, rounds) for medians, rounds in (parts(0.0), parts(0.2)))
    across, within = far.ratio(5, 15), far.ratio(5, 6)
    assert across.low < 1 < across.high and half(across) < 0.05  # the parts are 22 % apart
    assert across.point == pytest.approx(near.ratio(5, 15).point, rel=0.01)
    # What the parts did is known from five cells with three processes in each, and that counts.
    assert half(across) > half(within)
    assert within.point == pytest.approx(near.ratio(5, 6).point)


def test_parts_that_share_no_cell_are_as_far_apart_as_rounds_are():
    medians, rounds = parts(0.2)
    alone = {name: values for name, values in medians.items() if name >= 5}
    found = model(alone, None, {name: rounds[name] for name in alone})
    assert found.ratio(5, 15).point == pytest.approx(math.exp(-0.2), rel=0.02)
    assert found.ratio(5, 6).low < 1 < found.ratio(5, 6).high


def test_a_cell_runs_once_in_a_round():
    with pytest.raises(ValueError, match=r"eager: 2 processes in rounds \[1, 1\]; expected one in each"):
        model({"eager": [1.0, 2.0]}, None, {"eager": [1, 1]})


def test_more_processes_of_the_cells_that_vary_do_not_tell_of_the_others():
    rng = np.random.default_rng(6)
    noisy = {name: np.exp(0.05 * rng.standard_normal(6)) for name in range(12)}
    quiet = {name: np.exp(0.005 * rng.standard_normal(2)) for name in range(12, 25)}
    before = model({name: values[:2] for name, values in (noisy | quiet).items()})
    after = model(noisy | quiet)
    widths = [found.own_half(name) for found in (before, after) for name in quiet]
    assert np.median(widths[13:]) == pytest.approx(np.median(widths[:13]), rel=0.15)


# How many processes a cell needs.


def test_processes_follow_from_the_spread_and_the_target():
    found = model(drawn(25, 2, spread=0.02))
    now = found.own_half(0)
    assert found.processes(0, now * 1.01) == 2
    assert found.processes(0, now / 2) in (8, 9)  # half the width, four times the processes
    assert found.processes(0, 0.5) == 2  # never fewer than there are
    wide = model(drawn(25, 2, effects=0.5))
    assert (
        half(wide.time(0)) > 0.2 > 0.05 > wide.own_half(0)
    )  # what rounds do to all, no further process cures


def test_of_one_process_nobody_knows_how_many_are_needed():
    found = model({name: [1.0 + name] for name in range(6)})
    assert (found.own_half(0), found.processes(0, 0.01)) == (None, None)


def test_one_process_a_cell_has_no_interval():
    found = model({name: [1.0 + name] for name in range(6)})
    assert (found.time(0).point, found.time(0).low, found.time(0).high) == (1.0, None, None)
    assert (found.ratio(1, 0).point, found.ratio(1, 0).low) == (2.0, None)


def test_a_cell_of_one_process_among_others_takes_the_variance_of_the_machine():
    medians = drawn(25, 3)
    found = model(medians | {"single": [1.0]})
    typical = float(np.median([half(found.time(name)) for name in medians]))
    assert half(found.time("single")) == pytest.approx(typical * math.sqrt(3), rel=0.4)


def test_lanes_with_cells_enough_have_a_variance_of_their_own():
    quiet, loud = drawn(20, 5), {name + 100: values for name, values in drawn(20, 5, 2, spread=0.1).items()}
    lanes = dict.fromkeys(quiet, "float32") | dict.fromkeys(loud, "int8")
    found = model(quiet | loud, lanes)
    widths = [np.median([half(found.time(name)) for name in names]) for names in (quiet, loud)]
    assert 6 < widths[1] / widths[0] < 15


@pytest.mark.parametrize("values", [[], [0.0], [1.0, math.nan], [math.inf]])
def test_medians_that_cannot_be_are_refused(values):
    with pytest.raises(ValueError, match="eager: medians"):
        model({"eager": values})


# First places.


def test_the_fastest_gets_one_and_intervals_hold_together():
    medians = drawn(25, 3)
    medians[4] = medians[4] * 1.5
    found = model(medians)
    first = found.to_best(range(5))
    assert min(ratio.point for ratio in first.values()) == 1.0
    best = next(name for name, ratio in first.items() if ratio.point == 1.0)
    assert first[4].low > 1.3
    single = found.ratio(4, best)
    assert half(first[4]) / half(single) == pytest.approx(
        stats.t.isf(0.025 / 4, 48) / stats.t.isf(0.025, 48), rel=0.02
    )
    assert found.to_best([]) == {}


def test_a_row_loses_the_first_place_only_if_it_is_surely_and_noticeably_slower():
    medians = {name: values for name, values in drawn(25, 5, spread=0.001).items()}
    for name, factor in ((1, 1.01), (2, 1.03)):
        medians[name] = medians[0] * factor
    first = model(medians).to_best([0, 1, 2])
    assert first[1].low > 1.0  # surely slower, and too little to matter
    assert [is_first(first[name], 0.02) for name in range(3)] == [True, True, False]
    assert [is_first(first[name], 0.0) for name in range(3)] == [True, False, False]
    noisy = model(drawn(25, 2, spread=0.2) | {0: [0.9, 1.1], 1: [1.1, 1.2]}).to_best([0, 1])
    assert is_first(noisy[1], 0.02)  # noticeably slower, and not surely


def test_without_an_interval_the_least_difference_decides():
    first = model({"a": [1.0], "b": [1.01], "c": [1.05]}).to_best("abc")
    assert [is_first(first[name], 0.02) for name in "abc"] == [True, True, False]
