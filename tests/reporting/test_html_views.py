"""The two views of published rows, and the quantities that rank rows."""

import math

import numpy as np
import pytest

import pages
from pages import published_row, write_rows
from published_csv import PUBLISHED
from reporting import intake, quantities, views
from reporting.columns import PUBLISHED_STATUSES

TIMES = [quantity.column for quantity in quantities.TIMES]


def read(path, *changes):
    return intake.read([write_rows(path, *(published_row(**each) for each in changes))], PUBLISHED_STATUSES)


@pytest.fixture(scope="module")
def published():
    """Rows of all machines by (machine, model)."""
    groups = {}
    for row in intake.read(PUBLISHED, PUBLISHED_STATUSES):
        groups.setdefault((row["platform"], row["model"]), []).append(row)
    return groups


def marks(found, rows):
    return {row["framework"]: list(each.values()) for row, each in zip(rows, found, strict=True)}


def test_compatible_marks_are_those_of_the_originals_page(published):
    # models/SmolLM2-135M.md there, of April 2026; 0.00 keeps its column without a bold figure.
    rows = published["Apple M3", "SmolLM2-135M"]
    assert marks(views.compatible(rows), rows) == {
        "PyTorch": ["plain"] * 4,
        "MLX": ["plain", "plain", "absent", "best"],
        "Candle": ["struck", "struck", "struck", "absent"],
        "Burn": ["struck"] * 4,
        "Inferi": ["failed"] * 4,
        "Luminal": ["failed"] * 4,
        "Meganeura": ["plain", "plain", "best", "plain"],
        "GGML": ["plain", "best", "plain", "absent"],
        "JAX": ["struck"] * 4,
    }


def test_rigorous_marks_rank_only_what_the_printed_loss_confirms(published):
    rows = published["NVIDIA GeForce RTX 5080", "ResNet-50"]  # every loss is 6.92
    found = marks(views.rigorous(rows), rows)
    assert found["PyTorch"] == ["plain", "best", "plain", "best"]
    assert found["ONNX Runtime"] == ["plain", "best", "best", "absent"]
    rows = published["Apple M3", "SmolLM2-135M"]
    found = marks(views.rigorous(rows), rows)
    assert found["GGML"] == ["struck", "struck", "struck", "absent"]  # 8.69 is not 8.35
    assert found["PyTorch"] == ["plain"] * 4  # alone, so first of nothing
    rows = published["Apple M3", "SmolVLA"]
    assert set(marks(views.rigorous(rows), rows)["MLX"]) == {"close", "absent"}  # a loss of 0.00 says nothing


def test_each_difference_has_a_reason_that_fits(published):
    differences = {key: views.differences(rows) for key, rows in published.items()}
    assert sum(map(len, differences.values())) == 229
    for found in differences.values():
        for each in found:
            assert each.compatible != each.rigorous and each.why
            assert ("beyond rounding" in each.why) == (each.rigorous == "struck")
            assert ("too few digits" in each.why) == (each.rigorous == "close")
    (xeon,) = [d for d in differences["Apple M3", "ResNet-50"] if d.quantity.column == "compile_s"]
    assert (xeon.row["framework"], xeon.compatible, xeon.rigorous) == ("Candle", "plain", "best")
    assert xeon.why.startswith("a printed 0.00 is not a time")


@pytest.mark.parametrize(
    ("first", "second", "tied"),
    [("40", "40", True), ("40", "41", False), ("9.9", "10", True), ("3.5", "3.6", False)],  # 10 may be 9.5
)
def test_figures_that_may_round_from_one_value_share_the_first_place(tmp_path, first, second, tied):
    rows = read(tmp_path / "a.csv", {"latency_ms": first}, {"framework": "B", "latency_ms": second})
    found = [each["latency_ms"] for each in views.rigorous(rows)]
    assert found == ["best", "best" if tied else "plain"]


def test_a_column_may_be_absent_in_one_file_and_empty_in_the_other(tmp_path):
    old = write_rows(tmp_path / "old.csv", published_row())
    new = write_rows(tmp_path / "new.csv", published_row(framework="JAX") | {"node": "", "log_tail": ""})
    assert [row.get("node") for row in intake.read([old, new], PUBLISHED_STATUSES)] == [None, None]


def test_rows_of_our_own_protocol_look_the_same_in_both(tmp_path):
    rows = intake.read([pages.mixed(tmp_path)], PUBLISHED_STATUSES)
    assert views.compatible(rows) == views.rigorous(rows)
    assert views.differences(rows) == []
    assert marks(views.compatible(rows), rows)["ONNX Runtime"] == ["close"] * 4


def test_rates_rank_upwards_with_ties_by_their_intervals():
    rate = quantities.RATES[1]

    def row(value, spread):
        ends = {f"{rate.column}_low": value - spread, f"{rate.column}_high": value + spread}
        return {"status": "pass", rate.column: value, **ends}

    rows = [row(100.0, 2.0), row(110.0, 2.0), row(109.0, 2.0), row(200.0, 1.0) | {"status": "different"}]
    assert quantities.best(rows, rate) == [rows[1], rows[2]]
    point, low, high = quantities.lead(rows[1], rows[0], rate)
    assert point == pytest.approx(1.1) and 1.0 < low < 1.1 < high
    assert quantities.of(rows)[-1] is rate and len(quantities.of([{}])) == 4


def test_recovered_interval_covers_as_a_bootstrap_of_both_sides_does():
    rng = np.random.default_rng(7)
    a, b = (np.exp(rng.normal(math.log(scale), 0.05, 4000)) for scale in (30.0, 20.0))
    ends = [np.quantile(side, (0.025, 0.5, 0.975)) for side in (a, b)]
    low, high = quantities.recovered(*ends)
    expected = np.quantile(a / b, (0.025, 0.975))
    assert (low, high) == pytest.approx(tuple(expected), rel=0.02)
