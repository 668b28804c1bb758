"""Flat, still falling or jumping: made-up series of known kind."""

import numpy as np
import pytest

from reporting import series

FLAT, FALLING, JUMPS = series.KINDS


def noise(count, seed, spread=0.01, memory=0.0):
    """Log times about 0; ``memory`` is the correlation of neighbours."""
    rng = np.random.default_rng(seed)
    steps = spread * np.sqrt(1 - memory**2) * rng.standard_normal(count)
    found = np.empty(count)
    found[0] = spread * rng.standard_normal()
    for number in range(1, count):
        found[number] = memory * found[number - 1] + steps[number]
    return found


def kind(logs, warmup=3):
    times = 1e6 * np.exp(np.asarray(logs))
    return series.of_process(times[:warmup], times[warmup:])


@pytest.mark.parametrize("count", [13, 40, 1000, 30_000])
@pytest.mark.parametrize(("spread", "memory"), [(0.001, 0.0), (0.02, 0.0), (0.02, 0.6)])
def test_one_level_is_flat(count, spread, memory):
    found = [kind(noise(count, seed, spread, memory)) for seed in range(20)]
    assert found.count(FLAT) >= 19


@pytest.mark.parametrize("count", [13, 40, 1000])
def test_a_slow_warm_up_is_flat_as_long_as_no_sample_is_slow(count):
    logs = noise(count, 1)
    logs[:3] += [2.0, 1.0, 0.5]
    assert kind(logs) == FLAT


@pytest.mark.parametrize("count", [20, 60, 1000, 30_000])
def test_a_compiler_that_is_done_after_half_of_the_samples_still_falls(count):
    logs = noise(count, 2)
    logs[: count // 2] += 0.3
    assert kind(logs) == FALLING


def test_a_slow_fall_is_one_although_each_step_of_it_is_small():
    assert kind(noise(400, 3) + np.linspace(0.2, 0.0, 400)) == FALLING


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda at: 0.2 * (at > 0.5), id="slower from the middle on"),
        pytest.param(lambda at: 0.2 * ((at > 0.3) & (at < 0.6)), id="slower for a while"),
        pytest.param(lambda at: 0.2 * ((at < 0.3) | (at > 0.6)), id="faster for a while"),
        pytest.param(lambda at: 0.2 * at, id="slower and slower"),
    ],
)
@pytest.mark.parametrize("count", [60, 1000])
def test_a_level_that_rises_is_a_jump(change, count):
    assert kind(noise(count, 4) + change(np.linspace(0, 1, count))) == JUMPS


def test_single_outliers_and_small_steps_are_no_level():
    logs = noise(200, 5)
    logs[[20, 77, 150]] += 1.0
    assert kind(logs) == FLAT
    assert kind(noise(2000, 6) + 0.03 * (np.arange(2000) > 1000)) == FLAT


def test_too_few_samples_tell_nothing():
    assert kind(noise(8, 7)) is None
    assert kind(noise(9, 7)) == FLAT
    assert series.of_process([], [10.0] * 6) == FLAT


def test_a_cell_is_as_its_worst_process():
    flat, falling = [10.0] * 20, [20.0] * 10 + [10.0] * 10
    assert series.of_cell([([], flat), ([], falling)]) == FALLING
    assert series.of_cell([([], flat), ([], falling), ([], falling[::-1])]) == JUMPS
    assert series.of_cell([([], flat), ([], [1.0])]) == FLAT
    assert series.of_cell([([], [1.0])]) is None


def test_segments_are_where_the_level_changes():
    values = np.concatenate([np.zeros(30), np.ones(50), np.full(20, 0.5)])
    assert series.segments(values) == [(0, 30), (30, 80), (80, 100)]
