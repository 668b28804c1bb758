"""Samples or processes: what is worth its time, by simulated data whose components are known."""

import math

import numpy as np
import pytest

import records
import sampling
from reporting.intervals import worth
from reporting.intervals.model import Model
from runner import REPOSITORY

BETWEEN, WITHIN = 0.01, 0.05  # standard deviations of logarithms
SAMPLE_S, PROCESS_S = 0.002, 4.0
BEST = math.sqrt(PROCESS_S / SAMPLE_S * math.pi / 2) * WITHIN / BETWEEN  # 280


def simulated(rng, processes, samples, between=BETWEEN, within=WITHIN):
    """Nanoseconds (processes, samples)."""
    centres = between * rng.standard_normal((processes, 1))
    return SAMPLE_S * 1e9 * np.exp(centres + within * rng.standard_normal((processes, samples)))


def found(data, process_s=PROCESS_S):
    medians = {number: np.median(each, axis=1) for number, each in enumerate(data)}
    model = Model(medians, dict.fromkeys(medians, "float32"))
    durations = [[process_s + each.sum() / 1e9 for each in cell] for cell in data]
    return [
        worth.cost(list(cell), durations[number], model.spread(number)) for number, cell in enumerate(data)
    ]


def test_components_and_the_number_that_is_worth_it_are_found():
    rng = np.random.default_rng(1)
    costs = found([simulated(rng, 4, 60) for _ in range(60)])
    assert np.mean([each.within for each in costs]) == pytest.approx(WITHIN**2, rel=0.05)
    assert np.mean([each.between for each in costs]) == pytest.approx(BETWEEN**2, rel=0.15)
    assert costs[0].process_s == pytest.approx(PROCESS_S) and costs[0].samples == 60
    assert costs[0].sample_s == pytest.approx(SAMPLE_S, rel=0.03)
    assert np.median([each.worth for each in costs]) == pytest.approx(BEST, rel=0.15)


def test_outliers_do_not_make_samples_look_worth_it():
    rng = np.random.default_rng(2)
    data = [simulated(rng, 4, 60) for _ in range(60)]
    plain = np.median([each.worth for each in found(data)])
    for cell in data:
        cell[:, ::20] *= 3
    assert np.median([each.worth for each in found(data)]) == pytest.approx(plain, rel=0.15)


def test_for_a_given_time_no_other_number_tells_more():
    """Over 4000 simulated experiments, each of 40 times a process's start: a 16th and 16 times as many are worse."""
    rng = np.random.default_rng(3)
    budget, repeats = 40 * PROCESS_S, 4000
    spread = {}
    for samples in (round(BEST / 16), round(BEST), round(BEST * 16)):
        processes = round(budget / (PROCESS_S + samples * SAMPLE_S))
        # The median of so many normal samples, by its own distribution.
        medians = BETWEEN * rng.standard_normal((repeats, processes)) + WITHIN * math.sqrt(
            worth.MEDIAN / samples
        ) * rng.standard_normal((repeats, processes))
        spread[samples] = medians.mean(axis=1).std()
    less, best, more = spread.values()
    assert best < 0.9 * less and best < 0.9 * more


def test_the_median_s_variance_is_pi_over_two_of_the_mean_s():
    rng = np.random.default_rng(4)
    medians = np.median(rng.standard_normal((4000, 101)), axis=1)
    assert medians.var() * 101 == pytest.approx(worth.MEDIAN, rel=0.06)


def cost(**changes):
    plain = {"sample_s": 0.01, "process_s": 5.0, "within": 1e-4, "between": 1e-4, "samples": 50.0}
    return worth.Cost(**plain | changes)


def test_the_formula_s_ends():
    assert cost().worth == pytest.approx(math.sqrt(500 * math.pi / 2))
    assert cost(between=0.0).worth == math.inf and cost(within=0.0).worth == 1.0
    assert cost(process_s=1e-9).worth == 1.0
    assert worth.cost([np.ones(9)], [1.0], None) is None  # nothing is known between processes
    assert worth.cost([np.ones(2), np.ones(9)], [1.0, 1.0], 1e-4) is None  # nor within one


def test_settings_take_as_many_samples_as_the_protocol():
    settings = worth.Settings(min_iterations=10, min_seconds=1.0, max_seconds=4.0)
    assert [settings.samples(each) for each in (0.01, 0.5, 1.0, 9.0)] == [100, 8, 4, 1]


def test_time_goes_to_processes_where_samples_buy_nothing():
    noisy = [cost(between=4e-4, samples=100)]  # 2 % between processes, 1 % within
    now = worth.Settings(10, 1.0, 4.0)
    best = worth.suggested([noisy], now, 0.01, (2, 100))
    assert best.min_seconds < 0.5 and best.max_seconds == 4.0
    now_s, now_processes = worth.total_s([noisy], now, 0.01, (2, 100))
    best_s, processes = worth.total_s([noisy], best, 0.01, (2, 100))
    assert best_s < now_s and processes >= now_processes
    expected = math.ceil(noisy[0].variance(100) * (1.96 / math.log(1.01)) ** 2)
    assert (now_processes, now_s) == (expected, pytest.approx(expected * (5.0 + 1.0)))
    assert worth.total_s([noisy], now, 0.001, (2, 7))[1] == 7
    # Where processes hardly differ, samples are what tells more.
    calm = [cost(between=1e-8, within=4e-3, samples=100)]
    assert worth.suggested([calm], now, 0.01, (2, 100)).min_seconds > 0.5


def test_a_process_that_measures_several_tasks_is_paid_for_once():
    tasks = [
        cost(samples=100, process_s=6.0),
        cost(samples=100, sample_s=0.02, process_s=5.0),
    ]  # 4 s beside both
    settings = worth.Settings(10, 1.0, 4.0)
    seconds, processes = worth.total_s([tasks], settings, 0.5, (2, 9))
    assert processes == 2 and seconds == pytest.approx(2 * (4.0 + 1.0 + 1.0))


def test_the_tool_says_what_a_run_s_records_say(tmp_path, capsys):
    rounds = [
        records.round_record(row, number, milliseconds=40.0, duration_s=12.0)
        for row in ("eager", "onnx", "jax", "compiled", "mine")
        for number in (1, 2, 3)
    ]
    records.write(tmp_path, rounds, [])
    assert sampling.main(["--results", str(tmp_path), "--target", "0.005"]) == 0
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if line.startswith("| Tiny")]
    assert len(lines) == 15
    (line,) = [each for each in lines if each.startswith("| Tiny | eager | inference |")]
    within, between, sample, process, sampled, worth_it = (each.strip() for each in line.split("|")[4:10])
    assert (sample, sampled) == ("0.04 s", "0.48 s") and process == "12 s"
    figures = sampling.of_tasks(sampling.run_here(tmp_path, "local"))["Tiny", "eager"]["inference"]
    assert worth_it == f"{figures.worth * figures.sample_s:.2g} s"
    assert within == f"{100 * figures.within**0.5:.2g} %" and between == f"{100 * figures.between**0.5:.2g} %"
    assert "- now, `protocol: {sampling: {min_iterations: 5, min_seconds: 0, max_seconds: 5}}`: " in said
    assert "Every time to 0.5 %, or in 10 processes; in 3 at least:" in said


def test_the_published_h200_s_records_can_be_asked(capsys):
    path = REPOSITORY / "report/published/nvidia-h200.jsonl"
    assert sampling.main(["--submission", str(path)]) == 0
    said = capsys.readouterr().out.splitlines()
    page = (REPOSITORY / "docs/statistics.md").read_text(encoding="utf-8")
    assert (
        "- now, `protocol: {sampling: {min_iterations: 10, min_seconds: 0.3, max_seconds: 2}}`: " in said[-2]
    )
    for line in said[-2:]:
        assert line in page  # what the page says of it


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--platform", "gpu"], "benchmarks/gpu holds no round"),
        (["--target", "2"], "--target 2.0: expected a share"),
        (["--most", "1"], "--most 1: expected 2 or more"),
        ([], "no cell was measured in two processes that ended well"),
    ],
)
def test_what_tells_nothing_ends_in_one_line(tmp_path, capsys, arguments, words):
    records.write(tmp_path, [records.round_record("eager")], [])
    assert sampling.main(["--results", str(tmp_path), *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
