"""Where the report shows tolerances, it shows those that float32's noise widened."""

from dataclasses import replace

import records
from arena.contract import codec
from arena.contract.verdict import Verdict
from reporting import details
from reporting.html import evidence
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
