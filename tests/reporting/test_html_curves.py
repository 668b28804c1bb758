"""Lines in a model's tab: what frameworks achieve as the work grows."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

import miniatures
import pages
import records
from arena.configuration import loader
from browser import opened, screenshot
from models import flops
from platform_csv import analysis_of, edit, good, own_csv
from reporting import analysis, catalogue, intake
from reporting.document import build
from reporting.html import curves
from reporting.html.lines import Tables

FAMILY = {"Tiny": 1e10, "Tiny-b8": 8e10, "Tiny-b32": 3.2e11}
BATCHES = {"Tiny": 1, "Tiny-b8": 8, "Tiny-b32": 32}
MODELS = (*FAMILY, "Other")


def grown(rows):
    """The rows of larger models take longer, but less so than they have more work; the others are not counted."""
    for row in rows:
        operations = row["forward_flops"] = FAMILY.get(row["model"])
        row["scale_of"] = "Tiny" if row["model"] in FAMILY and row["model"] != "Tiny" else None
        row["batch"], row["sequence"] = BATCHES.get(row["model"]), 128 if operations else None
        row["peak_tflops"] = 2.0 if operations else None
        row["inference_energy_j"] = 5.0 * row["batch"] if operations and row["row"] == "eager" else None
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
    assert found["Tiny"]["work"] == [
        ["Tiny", 10, 1, 128],
        ["Tiny-b8", 80, 8, 128],
        ["Tiny-b32", 320, 32, 128],
    ]
    assert found["Tiny"]["along"] == ["work", "batch"]
    assert [line[4:] for line in found["Tiny"]["curves"]] == [[2.0, [5, 40, 160]], [2.0, None]]
    by_name = {list(tables.frameworks)[line[2]]: line[3] for line in found["Tiny"]["curves"]}
    assert list(by_name) == ["PyTorch eager", "PyTorch compiled"]  # ONNX Runtime is close, JAX failed
    assert by_name["PyTorch eager"]["inference"] == pytest.approx(
        [0.25, 0.25 * 8**0.5, 0.25 * 32**0.5], rel=0.01
    )
    assert by_name["PyTorch compiled"]["inference"][2] is None  # wrong
    eager = next(row for row in analysis.read([tmp_path / "local.json"]) if row["row"] == "eager")
    assert by_name["PyTorch eager"]["training"] == pytest.approx([30 / eager["training_ms"]] * 3, rel=0.01)


def test_models_grow_along_an_axis_if_that_alone_grows():
    def work(*shapes):
        return [(1e9, f"M{at}", *shape) for at, shape in enumerate(shapes)]

    assert curves.along(work((1, 128), (8, 128))) == ["work", "batch"]
    assert curves.along(work((1, 128), (1, 1024))) == ["work", "sequence"]
    assert curves.along(work((1, 128), (8, 128), (8, 1024))) == ["work", "batch", "sequence"]
    assert curves.along(work((1, 128), (8, 1024))) == ["work"]
    assert curves.along(work((1, 0), (8, 0), (8, 0))) == ["work", "batch"]  # images
    assert curves.along(work((0, 0), (0, 0))) == ["work"]


def test_a_variant_s_batch_and_sequence_come_from_its_workload(tmp_path):
    """From the configuration through made-up records to the curves: SmolLM2-135M, 8 at a time, and 1024 tokens long."""
    shapes = {"Eight": [8, 128], "Long": [1, 1024]}
    variants = {
        name: {
            "scale_of": "SmolLM2-135M",
            "title": name,
            "workload": {
                "inference": {"input_ids": {"shape": shape}},
                "target": {"shape": [shape[0] * shape[1]]},
            },
        }
        for name, shape in shapes.items()
    }
    names = ("SmolLM2-135M", *shapes)
    config = loader.resolve({"run": {"models": list(names)}, "models": variants}, miniatures.ROOT)
    work = {name: each for name, each in catalogue.of(config)["work"].items() if name in names}
    assert {name: (each["batch"], each["sequence"]) for name, each in work.items()} == {
        "SmolLM2-135M": (1, 128), "Eight": (8, 128), "Long": (1, 1024)
    }  # fmt: skip
    rounds = [record for name in names for record in good("eager", 40.0, model=name)]
    verdicts = [records.verdict_record("eager", model=name) for name in names]
    own = own_csv(tmp_path, rounds, verdicts, ("eager",), names, work=work)
    found, _ = told(own, names)
    assert found["SmolLM2-135M"]["along"] == ["work", "batch", "sequence"]
    assert [each[2:] for each in found["SmolLM2-135M"]["work"]] == [[1, 128], [8, 128], [1, 1024]]


def test_images_have_a_batch_and_no_sequence():
    assert flops.extent({"images": (8, 3, 224, 224)}) == {"batch": 8, "sequence": None}
    assert flops.extent({"input_ids": (2, 7)}) == {"batch": 2, "sequence": 7}
    assert flops.extent({"pixels": (2, 3, 9, 9), "input_ids": (2, 7)}) == {"batch": 2, "sequence": None}
    assert flops.extent({}) == {"batch": None, "sequence": None}


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
        place.get_by_role("radio", name="Batch").check()
        expect(chart).to_have_attribute(
            "aria-label", re.compile("PyTorch eager, Tiny-b32: 1.4. TFLOP/s at batch 32")
        )
        place.get_by_role("radio", name="Share of the peak").check()
        share = place.get_by_role("img", name="inference, share of the peak as the work grows")
        expect(share).to_have_attribute(
            "aria-label", re.compile(r"Tiny-b32: 7\d\.?\d? % of the peak at batch 32")
        )
        place.get_by_role("radio", name="Energy a token").check()
        energy = place.get_by_role("img", name="inference, energy as the work grows")
        expect(energy).to_have_attribute(
            "aria-label", re.compile(r"Tiny-b32: 0\.0391 J a token at batch 32$")
        )
        expect(place.get_by_role("img")).to_have_count(1)  # energy is inference's alone
        assert "along=batch" in page.url and "measure=each" in page.url
        place.get_by_role("radio", name="Operations").check()
        expect(energy).to_have_attribute("aria-label", re.compile("at 320 GFLOP$"))
        expect(place.get_by_role("radio", name="Sequence")).to_have_count(0)
        place.scroll_into_view_if_needed()
        screenshot(page, "curves-energy")
        assert Axe().run(page).violations_count == 0
        page.get_by_role("tab", name="Other").click()
        expect(page.get_by_role("heading", name="As the work grows")).to_have_count(0)
