"""What is said of one cell's samples, on made-up timings."""

import numpy as np
import pytest

from reporting import statistics


def test_figures_of_a_known_sample():
    rounds = [np.arange(1, 12), np.arange(1, 12) + 10, np.arange(1, 12) + 2]
    found = statistics.summary(rounds)
    assert found.medians == (6, 16, 8)
    assert (found.min, found.rounds, found.samples) == (1, 3, 33)
    pooled = np.concatenate(rounds)
    assert found.median == np.median(pooled)
    assert found.p95 == np.percentile(pooled, 95)
    assert found.iqr == np.percentile(pooled, 75) - np.percentile(pooled, 25)


def test_even_numbers_of_samples_average_the_middle_two():
    assert statistics.summary([np.array([1.0, 2.0, 4.0, 9.0])]).medians == (3.0,)


def test_outliers_are_kept():
    rounds = [np.full(21, 100.0) for _ in range(3)]
    for samples in rounds:
        samples[:2] = 5000.0
    found = statistics.summary(rounds)
    assert found.medians == (100.0, 100.0, 100.0)
    assert found.p95 == 5000.0
    assert found.samples == 63


def test_noise_is_flagged_by_the_interquartile_range():
    assert statistics.summary([np.linspace(80, 120, 41)]).noisy
    assert not statistics.summary([np.linspace(96, 104, 41)]).noisy


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
