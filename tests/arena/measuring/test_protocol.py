"""The timing protocol, driven by a scripted clock: every figure can be said in advance."""

import time
import weakref
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from arena.contract.cell import Sampling, Warmup
from arena.measuring.protocol import MAX_SAMPLES, agree, measure
from records import PROTOCOL

SECOND = 10**9
LIMITS = replace(
    PROTOCOL,
    warmup=Warmup(min_iterations=3, min_seconds=0.5, max_seconds=15.0, window=5, tolerance=0.05),
    sampling=Sampling(min_iterations=10, min_seconds=1.0, max_seconds=30.0),
)


def limited(warmup, sampling):
    """LIMITS with these keys of its warm-up and its sampling in place of its own."""
    return replace(
        LIMITS, warmup=replace(LIMITS.warmup, **warmup), sampling=replace(LIMITS.sampling, **sampling)
    )


class Scripted:
    """A clock that only advances by what each iteration is scripted to take."""

    def __init__(self, durations_s):
        self.durations = iter(durations_s)
        self.now = 0
        self.runs = 0

    def clock(self):
        return self.now

    def run(self):
        self.now += round(next(self.durations) * SECOND)
        self.runs += 1
        return self.runs


def scripted(durations_s, limits=LIMITS):
    script = Scripted(durations_s)
    return measure(script.run, limits, script.clock), script


def forever(duration):
    return (duration for _ in count())


def test_a_steady_run_warms_up_for_half_a_second_and_is_sampled_for_one():
    record, _ = scripted(forever(0.1))
    assert record.steady
    assert len(record.warmup_ns) == 5  # the window is full and half a second has passed
    assert record.samples_ns == [SECOND // 10] * 10
    assert record.result == 15


def test_a_fast_iteration_is_sampled_for_a_second_and_a_slow_one_ten_times():
    fast, _ = scripted(forever(0.001))
    assert len(fast.warmup_ns) == 500 and len(fast.samples_ns) == 1000
    slow, _ = scripted(forever(2.0))
    assert len(slow.warmup_ns) == 5 and len(slow.samples_ns) == 10


def test_warm_up_goes_on_until_the_last_five_agree():
    falling = [2.0, 1.5, 1.2, 1.1, 1.05, 1.02, 1.01]
    record, _ = scripted([*falling, *[1.0] * 100])
    assert record.steady
    # the first window within 5 % of its minimum is 1.05 … 1.0, after nine iterations
    assert len(record.warmup_ns) == 9
    assert set(record.samples_ns) == {SECOND}


def test_warm_up_that_never_settles_ends_after_fifteen_seconds_and_says_so():
    record, _ = scripted(1.0 if i % 2 else 1.2 for i in count())
    assert not record.steady
    assert 15 <= sum(record.warmup_ns) / SECOND < 16.3
    assert len(record.samples_ns) == 10


def seconds(durations_ns):
    return [each / SECOND for each in durations_ns]


@pytest.mark.parametrize(
    ("script", "warmup", "samples"),
    [
        ([20.0, 20.5, 21.0], [20.0], [20.5, 21.0]),  # 30 s are gone after the second sample
        ([40.0, 40.0], [40.0], [40.0]),  # or after the first
        ([40.0, 20.0, 19.5, 19.0], [40.0, 20.0], [19.5, 19.0]),
        ([20.0, 21.1, 22.3, 40.0], [20.0, 21.1, 22.3], [40.0]),  # more than 5 % apart: three, as ever
        ([14.9, 14.9, 14.9, 14.9, 15.0, 1.0], [14.9] * 3, [14.9, 15.0, 1.0]),  # no slow ones
        ([20.0, 1.0, 1.0, *[1.0] * 10], [20.0, 1.0, 1.0], [1.0] * 10),
    ],
)
def test_a_slow_iteration_that_agrees_with_the_last_is_a_sample(script, warmup, samples):
    record, script = scripted(script)
    assert (seconds(record.warmup_ns), seconds(record.samples_ns)) == (warmup, samples)
    assert record.result == script.runs == len(warmup) + len(samples)


def test_slow_iterations_are_steady_if_they_agree_and_only_then():
    assert scripted([20.0, 20.5, 21.0])[0].steady
    assert not scripted([20.0, 21.1, 22.3, 40.0])[0].steady


def test_ten_samples_are_taken_of_slow_iterations_where_the_time_allows():
    record, _ = scripted(forever(20.0), limited({}, {"max_seconds": 1000.0}))
    assert (len(record.warmup_ns), len(record.samples_ns)) == (1, 10)


def test_outliers_stay_in_the_record():
    script = [0.1] * 5 + [0.1, 0.1, 5.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
    record, _ = scripted(script)
    assert max(record.samples_ns) == 5 * SECOND
    assert len(record.samples_ns) == 10


def test_the_record_of_an_empty_iteration_is_bounded():
    record, _ = scripted(forever(0.0), limited({"min_seconds": 0.0}, {}))
    assert len(record.samples_ns) == MAX_SAMPLES


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        ([100] * 5, True),
        ([100, 100, 100, 100, 105], True),
        ([100, 100, 100, 100, 106], False),
        ([100] * 4, False),
    ],
)
def test_agreement_is_measured_from_the_shortest(durations, expected):
    assert agree(durations, 5, 0.05) is expected


def test_a_sleep_is_measured_as_long_as_it_was():
    """On a busy machine a sleep takes longer than it should, so it times itself too."""
    slept = []

    def sleep():
        begin = time.perf_counter_ns()
        time.sleep(0.02)
        slept.append(time.perf_counter_ns() - begin)

    limits = limited({"min_seconds": 0.05, "max_seconds": 0.5}, {"min_seconds": 0.5})
    record = measure(sleep, limits)
    measured = np.array([*record.warmup_ns, *record.samples_ns])
    assert (measured >= slept).all() and min(slept) >= 0.02 * SECOND
    assert np.median(measured / slept) == pytest.approx(1, rel=0.02)


def test_doing_nothing_costs_under_twenty_microseconds_of_the_processor_an_iteration():
    limits = limited({"min_seconds": 0.01, "max_seconds": 0.05}, {"min_seconds": 0.2})
    begin = time.process_time_ns()
    record = measure(lambda: None, limits)
    total = time.process_time_ns() - begin
    iterations = len(record.samples_ns) + len(record.warmup_ns)
    assert np.median(record.samples_ns) < 20_000
    assert total / iterations < 20_000


class Output:
    """Something that can be referred to weakly."""


def test_a_result_is_freed_before_the_next_iteration_starts():
    held = []

    def run():
        assert all(reference() is None for reference in held), "the last result is still held"
        result = Output()
        held.append(weakref.ref(result))
        return result

    measure(run, limited({"min_seconds": 0.0}, {"min_seconds": 0.0, "min_iterations": 5}))
    assert len(held) >= 8
