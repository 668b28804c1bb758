"""Times run by run in a model's tab, of this run's table and of those kept of earlier ones."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

import pages
from browser import opened, screenshot
from platform_csv import analysis_of, edit
from reporting import analysis, export
from reporting.html import timeline


def row(ms=40.0, version="1", date="2026-11-01", status="pass", **changes):
    """What the timeline reads of a table's row."""
    facts = {
        "status": status,
        "threads": 4,
        "forward_flops": 1e9,
        "loss": 6.0,
        "version": version,
        "date": date,
    }
    return facts | {"inference_ms": ms} | changes


def test_a_row_that_a_run_took_over_is_no_measurement():
    again, newer = row(41, date="2026-11-02"), row(30, "2", "2026-11-04")
    found = timeline.points([row(), row(), again, None, row(None), newer], "inference")
    assert found == [(0, 40, "1", "2026-11-01"), (2, 41, "1", "2026-11-02"), (5, 30, "2", "2026-11-04")]


@pytest.mark.parametrize(
    "other",
    [
        {"status": "different"},
        {"status": "close"},
        {"threads": 2},
        {"forward_flops": 2e9},
        {"loss": 6.1},
    ],
)
def test_only_ranked_times_of_the_same_work_are_held_against_each_other(other):
    earlier, alike, newest = row(**other), row(loss=6.01), row(30)
    assert timeline.comparable([earlier, None, alike, newest]) == [None, None, alike, newest]
    broken = row(status="failed")
    assert timeline.comparable([earlier, alike, broken]) == [None, alike, None]
    assert timeline.comparable([broken, None]) == [None, None]


def dated(rows, number, factor=1.0, version="2.13.0"):
    """PyTorch eager's measurement of a day; the others' is always the same."""
    for each in rows:
        if each["row"] == "eager":
            each |= {"date": f"2026-11-0{number}", "version": version}
            for task in ("inference", "training"):
                each[f"{task}_ms"] *= factor


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three runs: the third with another version of PyTorch eager, the second like the first but for it."""
    directory = tmp_path_factory.mktemp("timeline")
    own = pages.mixed(directory)
    text = analysis_of(own).read_text(encoding="utf-8")
    (directory / "history" / "local").mkdir(parents=True)
    for number, factor in ((1, 1.5), (2, 1.2)):
        edit(own, lambda rows, number=number, factor=factor: dated(rows, number, factor))
        kept = directory / f"history/local/2026110{number}T120000Z-0000000{number}.csv"
        kept.write_text(export.csv_text(analysis.read([analysis_of(own)])), encoding="utf-8")
        analysis_of(own).write_text(text, encoding="utf-8")
    edit(own, lambda rows: dated(rows, 3, version="2.14.0"))
    return pages.render(directory, own)


def test_the_page_has_each_measurement_once(made):
    data = json.loads(re.search(r'id="data">(.*?)</script>', made.read_text(encoding="utf-8"))[1])
    ((machine, found),) = data["history"]["Tiny"].items()
    assert data["names"]["platform"][int(machine)] == "This machine"
    # The other frameworks' day is that of the records, after all of these.
    assert len(found["days"]) == 3
    ((_, framework, tasks),) = found["curves"]
    assert data["names"]["framework"][framework] == "PyTorch eager"
    (first, middle, last) = tasks["inference"]
    assert (
        (first[0], first[2:]) == (0, ["2.13.0"]) and middle[0] == 1 and (last[0], last[2:]) == (2, ["2.14.0"])
    )
    assert first[1] / last[1] == pytest.approx(1.5, rel=1e-3) and middle[1] / last[1] == pytest.approx(
        1.2, rel=1e-3
    )
    assert len(middle) == 2  # the same version


def test_a_cell_s_panel_knows_its_own_history(made):
    data = json.loads(re.search(r'id="data">(.*?)</script>', made.read_text(encoding="utf-8"))[1])
    told = {name: each["past"] for name, each in data["evidence"].items() if each["past"]}
    ((name, place),) = told.items()  # the others were measured once
    model, machine, at = place
    assert data["history"][model][str(machine)]["curves"][at][1] == data["names"]["framework"].index(
        "PyTorch eager"
    )
    panel = re.search(rf'id="{name}">(.*?)</noscript>', made.read_text(encoding="utf-8"), re.DOTALL)[1]
    assert "PyTorch eager" in panel and "data-past" in panel


def test_without_earlier_tables_the_page_has_no_place_for_them(tmp_path):
    text = pages.render(tmp_path, pages.mixed(tmp_path)).read_text(encoding="utf-8")
    assert "Run by run" not in text


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_model_s_tab_draws_its_runs_and_marks_a_new_version(chromium, made, scheme):
    with opened(chromium, made, "#tab=Tiny", color_scheme=scheme) as page:
        place = page.locator("#model-0 [data-history]")
        chart = place.get_by_role("img", name="inference, ms run by run")
        expect(chart).to_have_attribute(
            "aria-label", re.compile("At the end: PyTorch eager 2.14.0: 40 ms, 2026-11")
        )
        expect(chart.get_by_text("2.14.0", exact=True)).to_be_visible()
        lines = chart.locator("g.mark-line path").evaluate_all(
            "all => all.map((each) => each.getAttribute('d').split('L').length)"
        )
        assert lines == [3]
        place.scroll_into_view_if_needed()
        screenshot(page, f"timeline-{scheme}")
        page.get_by_role("search").get_by_label("Framework").select_option("ONNX Runtime")
        expect(place).to_be_hidden()  # it was measured once
        page.get_by_role("search").get_by_label("Framework").select_option("PyTorch eager")
        expect(chart).to_be_visible()
        assert Axe().run(page).violations_count == 0
        page.get_by_role("button", name="PyTorch eager").first.click()
        cell = page.get_by_role("dialog").get_by_role("img", name="inference, ms run by run")
        expect(cell).to_have_attribute(
            "aria-label", re.compile("At the end: PyTorch eager 2.14.0: 40 ms, 2026-11")
        )
        assert Axe().run(page).violations_count == 0
