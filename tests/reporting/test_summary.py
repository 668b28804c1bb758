"""One figure a framework: ratios to the best, their mean over models, portability over machines."""

import math

import numpy as np
import pytest

from pages import document, mixed, published_row, write_rows
from platform_csv import edit
from reporting import quantities, summary
from reporting.intervals.model import Figure, Model

INFERENCE = quantities.TIMES[1]


def to_best(report, quantity=INFERENCE, own=True):
    (model,) = report.models if own else report.elsewhere
    return summary.to_best(model.lines, quantity)


def test_ratios_are_to_the_best_of_the_ranked_with_the_interval_of_the_table(tmp_path):
    report = document(mixed(tmp_path, compiled=60.0))
    eager, compiled, close, failed = to_best(report)
    assert eager == Figure(1.0, 1.0, 1.0)  # surely the first: the other's interval lies above 1
    stored = [report.own[1][f"inference_to_best{end}"] for end in ("", "_low", "_high")]
    assert compiled == Figure(pytest.approx(stored[0], rel=1e-5), *stored[1:]) and stored[1] > 1.4
    assert close is None and failed is None  # though the close one is the quickest


def test_the_first_of_a_tie_may_be_slower_than_the_other_by_what_its_interval_leaves(tmp_path):
    report = document(mixed(tmp_path))
    first, second = sorted(to_best(report)[:2], key=lambda each: each.point)
    low = next(each["inference_to_best_low"] for each in report.own[:2] if each["inference_to_best"] > 1)
    assert low < 1 and first == Figure(1.0, 1.0, pytest.approx(1 / low, rel=1e-5))
    assert second.low == 1.0 and second.high > second.point > 1


def test_published_ratios_have_no_interval_and_what_is_struck_has_none_at_all(tmp_path):
    path = write_rows(
        tmp_path / "desk.csv",
        published_row(),
        published_row(framework="Burn", inference_ms="100"),
        published_row(framework="Zed", status="different", inference_ms="1"),
    )
    report = document(published=[path])
    assert to_best(report, own=False) == [Figure(1.0, None, None), Figure(2.5, None, None), None]


def test_rates_are_best_where_they_are_highest(tmp_path):
    def rates(rows):
        for each, rate in zip(rows, (50.0, 20.0), strict=False):
            each["decode_tokens_per_s"] = rate

    report = document(edit(mixed(tmp_path), rates))
    assert [each.point for each in to_best(report, quantities.RATES[1])[:2]] == [1.0, 2.5]


def test_an_interval_of_a_whole_table_is_made_one_that_holds_by_itself():
    # The normal's quantiles: 2.2414 for two together, 1.96 for one.
    found = summary.single(Figure(2.0, 2 / math.exp(0.22414), 2 * math.exp(0.22414)), 2)
    assert found.low == pytest.approx(2 / math.exp(0.196), rel=1e-4)
    assert found.high == pytest.approx(2 * math.exp(0.196), rel=1e-4)
    alone = Figure(2.0, 1.8, 2.2)
    assert summary.single(alone, 1) == alone


def test_the_mean_is_geometric_and_errors_of_models_add_in_quadrature():
    found = summary.mean([Figure(2.0, 2 / 1.1, 2 * 1.2), Figure(8.0, 8 / 1.1, 8 * 1.2)])
    assert found.point == pytest.approx(4.0)
    assert found.low == pytest.approx(4 / math.exp(math.log(1.1) / math.sqrt(2)))
    assert found.high == pytest.approx(4 * math.exp(math.log(1.2) / math.sqrt(2)))
    assert summary.mean([Figure(2.0, 1.9, 2.1), Figure(8.0, None, None)]) == Figure(
        pytest.approx(4.0), None, None
    )


def test_a_framework_of_fewer_models_never_stands_before_one_of_more():
    one, three = Figure(1.0, None, None), Figure(3.0, None, None)
    found = summary.over_models([{"A": one, "B": three}, {"B": three}, {}])
    assert [(name, each.models, each.of, each.mean.point) for name, each in found.items()] == [
        ("B", 2, 2, pytest.approx(3.0)),
        ("A", 1, 2, 1.0),
    ]


def test_portability_is_the_harmonic_mean_over_the_machines_with_every_model():
    def at(point, models=2):
        return summary.Summary(Figure(point, None, None), models, 2)

    found = summary.over_machines([{"A": at(1.0), "B": at(2.0)}, {"A": at(4.0), "B": at(1.0, models=1)}, {}])
    assert found == {"A": summary.Portability(2 / 5, 2, 2), "B": summary.Portability(0.5, 1, 2)}


def test_the_interval_of_the_mean_holds_the_truth():
    """Five models of five rows, true ratios 1 to 1.4, 1 % between processes: the share of intervals that hold."""
    rng = np.random.default_rng(15)
    truth = {f"row {n}": 1 + n / 10 for n in range(5)}
    held, count = 0, 0
    for _ in range(120):
        medians = {
            (model, row): 10.0 * ratio * np.exp(0.01 * rng.standard_normal(3))
            for model in range(5)
            for row, ratio in truth.items()
        }
        fitted = Model(medians, dict.fromkeys(medians, "float32"))
        by_model = [
            {
                row: summary.single(ratio, len(truth) - 1)
                for (_, row), ratio in fitted.to_best([(model, row) for row in truth]).items()
            }
            for model in range(5)
        ]
        for row, each in summary.over_models(by_model).items():
            if row != "row 0":
                held += each.mean.low <= truth[row] <= each.mean.high
                count += 1
    print(f"held {100 * held / count:.1f} % of {count}")
    assert held / count > 0.94


def test_the_report_s_table_says_the_mean_and_of_how_many_models(tmp_path):
    def spoil(rows):
        for each in rows:
            if each["framework"] == "PyTorch compiled" and each["model"] == "Small":
                each["status"] = "different"

    models = ("Tiny", "Small")
    own = mixed(tmp_path, models, compiled=60.0)
    lines = {line["framework"]: line for line in summary.table(document(own, models=models))}
    assert list(lines) == ["PyTorch eager", "PyTorch compiled"]
    assert lines["PyTorch eager"]["inference"] == "1.00 (1.00–1.00), 2 of 2"  # noqa: RUF001
    lines = {line["framework"]: line for line in summary.table(document(edit(own, spoil), models=models))}
    assert lines["PyTorch compiled"]["training"].endswith(", 1 of 2")
