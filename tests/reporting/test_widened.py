"""Where the report shows tolerances, it shows those that a lane's noise widened."""

from dataclasses import replace

import pytest

import records
from arena.configuration import loader
from arena.contract import codec
from arena.contract.verdict import Verdict
from reporting import claims, details
from reporting.html import evidence
from reporting.submissions import verdicts_held
from runner import REPOSITORY
from tolerances import GATE


def test_a_cell_s_panel_shows_the_widened_tolerance_and_the_figure_s_place_in_it():
    judged = codec.decode(Verdict, records.verdict_record())
    training = replace(judged.parts.training, gradient_norm_error=2.5e-3)
    noise = {"training": {"gradient_norm_error": 4e-5}, "latency": {"relative_l2": 1e-5}}
    judged = replace(judged, parts=replace(judged.parts, training=training), noise=noise)
    found = {(line.part, line.figure): line for line in evidence.verdict_lines(judged, GATE)}
    widened = found["training", "gradient norm error"]
    assert (widened.value, widened.tolerance) == ("0.0025", "≤ 0.002, widened from 0.001 by noise")
    assert (widened.at, widened.close) == (1.25, 5)  # close up to 1e-2, as without noise
    assert found["latency", "relative l2"].tolerance == "≤ 0.0003, widened from 0.0001 by noise"
    assert found["inference", "relative l2"].tolerance == "≤ 0.0001"
    assert found["training", "gradient cosine"].tolerance == "≥ 0.9999"


def test_the_details_say_what_passes_by_noise_alone():
    row = {
        "framework": "MLX",
        "lane": "bfloat16",
        "status": "pass",
        "verdict_reasons": None,
        "relative_l2": 1e-6,
        "max_error": 1e-6,
    }
    assert details.objections([row | {"widened": None}]) == []
    (found,) = details.objections([row | {"widened": "gradient_norm_error 0.00296"}])
    assert found["framework"] == "MLX"
    assert found["text"].endswith("bfloat16's own noise on these weights widens: gradient_norm_error 0.00296")


def test_a_reduced_lane_is_shown_by_its_own_noise_and_no_other():
    """Where what passes ends beyond the limit of close, that ends there too."""
    record = codec.decode(Verdict, records.verdict_record())
    inference = replace(record.parts.inference, mean_kl=2e-2, median_kl=6e-3, printed_loss_error=0.0)
    record = replace(record, lane="int8", parts=replace(record.parts, inference=inference))
    record = replace(record, noise={"inference": {"mean_kl": 9.0}})
    gate = loader.resolve({}, REPOSITORY)["gate"]["int8"]
    assert verdicts_held.judge(record, gate)[0] == "different"
    costs = {"inference": {"mean_kl": 6e-3, "median_kl": 1.5e-3}}
    record = replace(record, rounding="int8-blocks", rounding_noise=costs)
    assert verdicts_held.judge(record, gate) == ("pass", [])
    found = {(line.part, line.figure): line for line in evidence.verdict_lines(record, gate)}
    mean, median = found["inference", "mean kl"], found["inference", "median kl"]
    assert (mean.tolerance, mean.close) == ("≤ 0.024, widened from 0.01 by noise", 1)
    assert mean.at == pytest.approx(2e-2 / 2.4e-2, rel=1e-3)
    assert (median.tolerance, median.close) == ("≤ 0.006, widened from 0.005 by noise", 1.25)
    assert claims.widened("mean_kl 0.024; median_kl 0.006; latency_mean_kl 0.02") is not None
