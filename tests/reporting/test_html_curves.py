"""Lines in a model's tab: what frameworks achieve as the work grows."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

import pages
from browser import opened, screenshot
from platform_csv import analysis_of, edit
from reporting import analysis, intake
from reporting.document import build
from reporting.html import curves
from reporting.html.lines import Tables

FAMILY = {"Tiny": 1e10, "Tiny-b8": 8e10, "Tiny-b32": 3.2e11}
MODELS = (*FAMILY, "Other")


def grown(rows):
    """The rows of larger models take longer, but less so than they have more work; the others are not counted."""
    for row in rows:
        operations = row["forward_flops"] = FAMILY.get(row["model"])
        row["scale_of"] = "Tiny" if row["model"] in FAMILY and row["model"] != "Tiny" else None
        if operations and row["inference_ms"]:
            row["inference_ms"] *= (operations / 1e10) ** 0.5
            row["training_ms"] *= operations / 1e10
        if (row["model"], row["row"]) == ("Tiny-b32", "compiled"):
            row["status"] = "different"


def run(directory, change=grown):
    return edit(pages.mixed(directory, MODELS, eager=40.0, compiled=20.0), change)


def told(own, models=MODELS, published=()):
    rows = analysis.read([analysis_of(own)])
    report = build.report(rows, intake.published(list(published)), {name: {} for name in models})
    tables = Tables(report, {})
    for model in report.models:
        tables.cells(model.lines, model.quantities)
    return curves.data(tables, report), tables


def test_a_curve_is_what_a_framework_achieves_of_each_work(tmp_path):
    found, tables = told(run(tmp_path))
    assert list(found) == ["Tiny"]
    assert found["Tiny"]["work"] == [["Tiny", 10], ["Tiny-b8", 80], ["Tiny-b32", 320]]
    by_name = {list(tables.frameworks)[line[2]]: line[3] for line in found["Tiny"]["curves"]}
    assert list(by_name) == ["PyTorch eager", "PyTorch compiled"]  # ONNX Runtime is close, JAX failed
    assert by_name["PyTorch eager"]["inference"] == pytest.approx(
        [0.25, 0.25 * 8**0.5, 0.25 * 32**0.5], rel=0.01
    )
    assert by_name["PyTorch compiled"]["inference"][2] is None  # wrong
    eager = next(row for row in analysis.read([tmp_path / "local.json"]) if row["row"] == "eager")
    assert by_name["PyTorch eager"]["training"] == pytest.approx([30 / eager["training_ms"]] * 3, rel=0.01)


def test_without_variants_there_is_no_curve_and_the_page_has_no_place_for_one(tmp_path):
    def counted(rows):
        for row in rows:
            row["forward_flops"] = 1e10

    own = run(tmp_path, counted)
    assert told(own)[0] == {}
    text = pages.render(tmp_path, own, models=MODELS).read_text(encoding="utf-8")
    assert "As the work grows" not in text
    assert json.loads(re.search(r'id="data">(.*?)</script>', text)[1])["curves"] == {}


@pytest.mark.slow
def test_a_model_s_tab_draws_its_family_s_curves(chromium, tmp_path):
    page_of_run = pages.render(tmp_path, run(tmp_path), models=MODELS)
    with opened(chromium, page_of_run, "#tab=Tiny") as page:
        place = page.locator("#model-0 [data-curves]")
        chart = place.get_by_role("img", name="inference, achieved TFLOP/s as the work grows")
        expect(chart).to_have_attribute(
            "aria-label", re.compile("PyTorch eager, Tiny-b32: 1.4. TFLOP/s at 320 GFLOP")
        )
        lines = chart.locator("g.mark-line path").evaluate_all(
            "all => all.map((each) => each.getAttribute('d').split('L').length)"
        )
        assert sorted(lines) == [2, 3]
        expect(chart.get_by_text("PyTorch compiled")).to_be_visible()
        place.scroll_into_view_if_needed()
        screenshot(page, "curves")
        assert Axe().run(page).violations_count == 0
        page.get_by_role("tab", name="Other").click()
        expect(page.get_by_role("heading", name="As the work grows")).to_have_count(0)
