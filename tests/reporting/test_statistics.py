"""Medians, intervals, ratios: on made-up timings whose truth is known."""

import numpy as np
import pytest

from reporting import statistics

MEDIAN = 100.0


def drawn(rng, processes, count=12, between=0.03, within=0.02, median=MEDIAN):
    """Lognormal timings whose true median is ``median``: over processes, then over iterations."""
    centres = median * np.exp(between * rng.standard_normal(processes))
    return [centre * np.exp(within * rng.standard_normal(count)) for centre in centres]


def coverage(processes, simulations=200, **settings):
    """Share of simulations whose interval holds the true median."""
    rng = np.random.default_rng(20261122)
    found = [statistics.summary(drawn(rng, processes, **settings)) for _ in range(simulations)]
    return np.mean([each.low <= MEDIAN <= each.high for each in found])


def test_figures_of_a_known_sample():
    found = statistics.summary([np.arange(1, 12), np.arange(1, 12) + 10, np.arange(1, 12) + 2])
    assert found.median == 8  # of 6, 16 and 8
    assert (found.min, found.rounds, found.samples) == (1, 3, 33)
    pooled = np.concatenate([np.arange(1, 12), np.arange(1, 12) + 10, np.arange(1, 12) + 2])
    assert found.p95 == np.percentile(pooled, 95)
    assert found.iqr == np.percentile(pooled, 75) - np.percentile(pooled, 25)
    assert found.low <= found.median <= found.high


def test_even_numbers_of_samples_average_the_middle_two():
    assert statistics.summary([np.array([1.0, 2.0, 4.0, 9.0])]).median == 3.0
    assert statistics.summary([np.array([1.0]), np.array([2.0])]).median == 1.5


@pytest.mark.parametrize("size", [1, 2, 9, 10])
def test_resampled_medians_are_distributed_as_those_of_drawn_resamples(size):
    rng = np.random.default_rng(1)
    ordered = np.sort(rng.lognormal(size=size))
    fast = statistics._resampled_medians(ordered, 20_000, rng)
    drawn_ones = np.median(rng.choice(ordered, size=(20_000, size)), axis=1)
    at = np.quantile(drawn_ones, [0.05, 0.25, 0.5, 0.75, 0.95])
    shares = np.array([[np.mean(sample <= point) for point in at] for sample in (fast, drawn_ones)])
    assert np.abs(shares[0] - shares[1]).max() < 0.015  # 3 standard errors of a difference of shares


def test_interval_holds_the_true_median_with_five_processes():
    assert coverage(5) >= 0.85
    assert coverage(5, between=0.0) >= 0.85
    assert coverage(5, within=0.001) >= 0.85


def test_documented_coverage_of_few_processes_is_what_simulation_finds():
    """Keeps the docstring of arena.statistics honest: 75 % with three processes, 93 % with five."""
    assert coverage(3, simulations=400, within=0.001) == pytest.approx(0.75, abs=0.04)
    assert coverage(5, simulations=400, within=0.001) == pytest.approx(0.93, abs=0.04)
    assert coverage(1, within=0.001) < 0.2  # one process: the report marks it


def test_equal_programs_are_told_apart_as_seldom_as_documented():
    """10 % with three processes each."""
    rng = np.random.default_rng(3)
    pairs = [(drawn(rng, 3, within=0.001), drawn(rng, 3, within=0.001)) for _ in range(400)]
    assert np.mean([not statistics.ratio(*pair).tied for pair in pairs]) == pytest.approx(0.10, abs=0.04)


def test_ratio_ties_equal_distributions_and_parts_a_fifth_slower():
    rng = np.random.default_rng(4)
    same = statistics.ratio(drawn(rng, 5), drawn(rng, 5))
    slower = statistics.ratio(drawn(rng, 5, median=120.0), drawn(rng, 5))
    assert same.tied
    assert same.point == pytest.approx(1.0, abs=0.06)
    assert not slower.tied
    assert slower.low > 1.0
    assert slower.point == pytest.approx(1.2, abs=0.08)
    assert slower.low <= slower.point <= slower.high


def test_ratio_to_itself_is_one_and_reversed_it_is_the_inverse():
    rng = np.random.default_rng(5)
    a, b = drawn(rng, 3), drawn(rng, 3, median=150.0)
    assert statistics.ratio(a, a) == statistics.Ratio(1.0, 1.0, 1.0)
    forth, back = statistics.ratio(a, b), statistics.ratio(b, a)
    assert forth.point * back.point == pytest.approx(1.0)
    assert forth.low * back.high == pytest.approx(1.0, rel=0.05)


def test_best_gets_one_and_ties_are_found():
    rng = np.random.default_rng(6)
    cells = {"slow": drawn(rng, 3, median=200.0), "fast": drawn(rng, 3), "tied": drawn(rng, 3, median=100.5)}
    found = statistics.ratios_to_best(cells)
    assert {name for name, ratio in found.items() if ratio.tied} == {"fast", "tied"}
    assert min(ratio.point for ratio in found.values()) == 1.0
    assert found["slow"].low > 1.5
    assert statistics.ratios_to_best({}) == {}


def test_drift_widens_the_interval():
    rng = np.random.default_rng(7)
    steady = drawn(rng, 3, count=30, between=0.0, within=0.005)
    drifting = [samples * np.linspace(0.9, 1.1, 30) for samples in steady]
    heating = [samples * factor for samples, factor in zip(steady, (0.95, 1.0, 1.05), strict=True)]
    widths = [each.high - each.low for each in map(statistics.summary, (steady, drifting, heating))]
    assert widths[1] > 3 * widths[0]
    assert widths[2] > 3 * widths[0]


def test_one_slow_process_of_three_moves_the_median_no_further_than_the_others():
    rng = np.random.default_rng(8)
    rounds = drawn(rng, 3, between=0.005, within=0.01)
    shifted = [*rounds[:2], rounds[2] * 3]
    medians = [np.median(samples) for samples in rounds[:2]]
    found = statistics.summary(shifted)
    assert found.median == max(medians)
    assert found.high > 2.5 * MEDIAN  # but the interval shows it


def test_outliers_move_neither_median_nor_interval_and_are_kept():
    rng = np.random.default_rng(9)
    rounds = drawn(rng, 3, count=21)
    spoilt = [samples.copy() for samples in rounds]
    for samples in spoilt:
        samples[np.argmax(samples)] = 50 * MEDIAN
    clean, found = statistics.summary(rounds), statistics.summary(spoilt)
    assert found.median == clean.median
    assert found.high < 1.1 * clean.high
    assert found.samples == 63
    assert found.p95 >= clean.p95


def test_noise_is_flagged_by_the_interquartile_range():
    rng = np.random.default_rng(10)
    assert statistics.summary(drawn(rng, 3, within=0.15)).noisy
    assert not statistics.summary(drawn(rng, 3, within=0.01, between=0.01)).noisy


def test_result_depends_on_data_and_seed_alone():
    rounds = drawn(np.random.default_rng(11), 3)
    first = statistics.summary(rounds)
    statistics.summary(drawn(np.random.default_rng(12), 4))
    np.random.seed(0)  # the global generator has no say
    assert statistics.summary([list(samples) for samples in rounds]) == first
    assert statistics.summary(rounds, seed=1) != first
    assert statistics.summary(rounds, seed=1).median == first.median


@pytest.mark.parametrize(
    ("rounds", "words"),
    [
        ([], "no rounds"),
        ([np.array([1.0]), np.array([])], "round 2: no samples"),
        ([np.array([1.0, np.nan])], "round 1: a duration"),
        ([np.array([1.0, np.inf])], "round 1: a duration"),
        ([np.array([0.0])], "round 1: a duration"),
    ],
)
def test_impossible_timings_are_refused(rounds, words):
    with pytest.raises(ValueError, match=words):
        statistics.summary(rounds)
    with pytest.raises(ValueError, match=words):
        statistics.ratio(rounds, [np.array([1.0])])
