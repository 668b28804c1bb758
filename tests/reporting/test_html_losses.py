"""Speed against quality on the page: what is drawn, and that a browser draws it."""

import re

import pytest

import golden
import pages
import records
from browser import opened
from platform_csv import good, own_csv
from reporting import quality

LOST = ("eager", "onnx", "candle")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A page whose rows lost what the golden run's do: two in float32, and one in int8 that is not ranked."""
    directory = tmp_path_factory.mktemp("losses")
    text = {"status": "ok", "reason": None, "tokens": 2048, "loss": 4.1, "seconds": 3.5}
    rounds, verdicts = [], []
    for row, milliseconds, verdict, lane in (
        ("eager", 40.0, "pass", "float32"),
        ("onnx", 25.0, "pass", "float32"),
        ("candle", 12.0, "close", "int8"),
    ):
        found = good(row, milliseconds)
        found[0]["quality"] = text
        for record in found:
            record["cell"]["lane"] = lane
        rounds += found
        judged = records.verdict_record(row, verdict, lane=lane)
        judged["parts"]["quality"] = golden.quality(row)
        verdicts.append(judged)
    return pages.render(directory, own_csv(directory, rounds, verdicts, LOST))


def test_rows_of_every_precision_stand_in_one_table(made):
    (table,) = (
        rows
        for caption, rows in pages.Outline(made.read_text(encoding="utf-8")).tables.items()
        if caption.startswith("Changes are against the float64 reference")
    )
    assert [[row[0], row[3], row[6], row[8]] for row in table[1:]] == [
        ["PyTorch eager", "60.00", "100 %", "2.0e-12 ± 1.0e-13"],
        ["ONNX Runtime", "61.50", "97 %", "4.0e-03 ± 5.0e-04"],
        ["candle int8 close", "72.00", "81 %", "2.1e-01 ± 2.0e-02"],
    ]


def test_a_run_without_a_text_has_no_such_chart(tmp_path):
    page = pages.render(tmp_path, pages.mixed(tmp_path)).read_text(encoding="utf-8")
    assert "<h3>Speed against quality" not in page and "data-losses=" not in page


@pytest.mark.slow
def test_the_chart_tells_every_row_and_what_is_lost_can_be_chosen(chromium, made):
    with opened(chromium, made, "#tab=Tiny") as page:
        chart = page.get_by_role("img", name=re.compile("^Divergence against speed"))
        chart.wait_for()
        label = chart.get_attribute("aria-label")
        assert "candle, int8, not ranked: 12 ms, 0.21 nats" in label
        assert "ONNX Runtime: 25 ms, 0.004 nats" in label
        assert chart.locator("svg path[aria-roledescription='point']").count() == 3
        for name, (title, unit) in list(quality.MEASURES.items())[1:]:
            page.get_by_role("radio", name=title).check()
            chart = page.get_by_role("img", name=re.compile(f"^{title} against speed"))
            chart.wait_for()
            assert unit in chart.get_attribute("aria-label")
            assert f"loses={name}" in page.url
