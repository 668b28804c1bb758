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


def model(medians, lanes=None):
    return Model(medians, lanes or dict.fromkeys(medians, "float32"))


def half(figure):
    return math.log(figure.high / figure.low) / 2


# What the intervals are worth. The bands leave 100 simulations three standard errors. docs/statistics.md has 1000.


@pytest.mark.parametrize(("case", "rounds"), [*product(simulate_ranking.CASES, (2, 3)), ("normal", 5)])
def test_intervals_hold_what_they_promise(case, rounds):
    rates = simulate_ranking.simulate(case, rounds, simulations=100)
    # All cells of a machine share its rounds' effects, so that with drift the simulations tell less.
    assert (0.84 if case == "drift" else 0.91) <= rates.time <= 0.985
    assert (0.87 if case == "unequal" else 0.91) <= rates.ratio <= 0.99
    assert 0.0 < rates.apart <= 0.08
    assert 0.0 < rates.lost <= 0.13
    assert 0.02 <= rates.lost_any <= 0.16


@pytest.mark.parametrize(("rounds", "least"), [(2, 0.6), (3, 0.95), (5, 0.99)])
def test_a_row_5_percent_slower_is_found(rounds, least):
    assert simulate_ranking.simulate("normal", rounds, simulations=60).found >= least


# The prior.


def test_prior_finds_the_scale_and_spread_that_variances_were_drawn_with():
    rng = np.random.default_rng(2)
    truth = 4e-4 * 8 / rng.chisquare(8, size=20_000)  # d0 = 8, s0 = 2 %
    variances = truth * rng.chisquare(4, size=20_000) / 4
    found = prior.fit(variances, np.full(20_000, 4))
    assert found.scale == pytest.approx(4e-4, rel=0.05)
    assert np.median(found.freedom) == pytest.approx(8, rel=0.2)


def test_prior_of_equal_variances_lets_every_cell_have_the_same():
    rng = np.random.default_rng(3)
    variances = 1e-4 * rng.chisquare(2, size=4000) / 2
    found = prior.fit(variances, np.full(4000, 2))
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


def test_variances_without_degrees_of_freedom_are_refused():
    with pytest.raises(ValueError, match="3 cells without degrees of freedom"):
        prior.fit(np.zeros(3), np.zeros(3))


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
