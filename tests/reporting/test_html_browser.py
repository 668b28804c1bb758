"""The page in a browser: tabs, filters, sorting, links, a cell's dialog, themes, a phone, no JavaScript."""

import re

import pytest
from playwright.sync_api import expect

import pages
from browser import opened, screenshot
from published_csv import PUBLISHED
from reporting import tables
from reporting.columns import PUBLISHED_STATUSES

pytestmark = pytest.mark.slow
MODELS = ("Tiny", "SmolLM2-135M")
CELLS = '[data-table="cells-{}"] tbody tr'


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("page")
    desk = pages.write_rows(
        directory / "desk.csv",
        pages.published_row(),
        pages.published_row(framework="Burn", inference_ms="4000", backend="wgpu"),
        pages.published_row(framework="Zed", status="different", inference_ms="1"),
    )
    return pages.render(directory, pages.mixed(directory, MODELS), [desk, *PUBLISHED], MODELS)


def column(page, number, table=0):
    """The figures of a column as text, without words for screen readers, intervals and marks."""
    cells = page.locator(f"{CELLS.format(table)} td:nth-of-type({number})")
    return cells.evaluate_all(
        """cells => cells.map((cell) => {
          const copy = cell.cloneNode(true);
          copy.querySelectorAll(".sr, small, i").forEach((each) => each.remove());
          return copy.textContent.trim();
        })"""
    )


def test_tabs_show_one_panel_and_take_arrow_keys(chromium, made):
    with opened(chromium, made) as page:
        tabs = page.get_by_role("tab")
        assert tabs.all_inner_texts() == ["Overview", *MODELS, "Published data", "Machines and method"]
        expect(page.get_by_role("tabpanel")).to_have_count(1)
        screenshot(page, "overview")
        tabs.nth(1).click()
        expect(page.get_by_role("heading", name="Tiny", exact=True)).to_be_visible()
        expect(page.get_by_role("tabpanel", name="Tiny")).to_be_visible()
        page.keyboard.press("ArrowRight")
        expect(tabs.nth(2)).to_be_focused()
        expect(tabs.nth(2)).to_have_attribute("aria-selected", "true")
        expect(page.get_by_role("tabpanel", name="SmolLM2-135M")).to_be_visible()
        page.go_back()
        expect(page.get_by_role("tabpanel", name="Tiny")).to_be_visible()


def test_filters_and_search_narrow_the_tables_and_are_in_the_address(chromium, made):
    with opened(chromium, made, "#tab=Tiny") as page:
        rows = page.locator(CELLS.format(0))
        expect(rows).to_have_count(4)
        winners = page.locator('[data-table="winners-0"] tbody tr')
        expect(winners).to_have_count(2)
        expect(winners.and_(page.locator(".own"))).to_contain_text("This machine")
        page.get_by_role("search").get_by_label("Machine").select_option("*")
        expect(rows).to_have_count(7)
        page.get_by_role("search").get_by_label("Machine").select_option("Desk")
        expect(rows).to_have_count(3)
        expect(winners.and_(page.locator(".own"))).to_contain_text("Desk")
        page.get_by_role("search").get_by_label("Framework").select_option("Burn")
        expect(rows).to_have_count(1)
        expect(page).to_have_url(re.compile("machine=Desk.*framework=Burn"))
        page.get_by_role("button", name="Clear").click()
        page.get_by_role("search").get_by_label("Machine").select_option("*")
        page.get_by_role("searchbox").fill("wgpu desk")
        expect(rows).to_have_count(1)
        expect(page.get_by_role("status")).to_have_text("1 lines")
        expect(page).to_have_url(re.compile("wgpu"))
        address = page.url
    with opened(chromium, made, "#" + address.split("#")[1]) as page:
        expect(page.locator(CELLS.format(0))).to_have_count(1)
        expect(page.get_by_role("searchbox")).to_have_value("wgpu desk")


def test_sorting_goes_up_down_and_back_with_unranked_rows_last(chromium, made):
    with opened(chromium, made, "#tab=Tiny&machine=*") as page:
        head = page.get_by_role("columnheader", name="Inference (ms)").last
        expect(head).to_have_attribute("aria-sort", "none")
        before = column(page, 3)
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", "ascending")
        up = column(page, 3)
        ranked = [float(text) for text in up[:4]]
        assert ranked == sorted(ranked) and ranked[-1] == 4000
        assert up[4:] == [text for text in before if text in up[4:]] and "1.0" in up[4:] and "✗" in up[4:]
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", "descending")
        assert column(page, 3)[0] == "4000" and column(page, 3)[4:] == up[4:]
        head.get_by_role("button").click()
        assert column(page, 3) == before


def test_a_figure_opens_what_is_behind_it_and_has_an_address(chromium, made):
    with opened(chromium, made, "#tab=Tiny") as page:
        figure = page.locator(CELLS.format(0)).first.get_by_role("button").nth(1)
        figure.focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        expect(dialog.get_by_role("heading", level=2)).to_have_text("Tiny: PyTorch eager on This machine")
        expect(
            dialog.get_by_role("img", name=re.compile("Samples of inference in 3 processes"))
        ).to_be_visible()
        # A point for each of 12 samples of 3 processes, a line for each process's median, the interval behind.
        trace = dialog.locator('[data-trace="inference"]')
        expect(trace.locator(".mark-symbol path")).to_have_count(36)
        expect(trace.locator(".mark-rule:not(.role-axis-grid):not(.role-axis-tick) line")).to_have_count(3)
        expect(trace.locator(".mark-rect path")).to_have_count(1)
        assert trace.locator("svg").bounding_box()["width"] > 500
        # Each figure of the gate as a multiple of what passes.
        limits = dialog.get_by_role(
            "img", name=re.compile("Multiples of what passes: inference: relative l2 0.0031")
        )
        expect(limits).to_contain_text("times what passes, logarithmic")
        expect(dialog).to_contain_text("results/retry local/")
        screenshot(page, "cell")
        expect(page).to_have_url(re.compile("cell="))
        address = page.url
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        # The dialog says that it closed a moment after it is hidden.
        expect(page).not_to_have_url(re.compile("cell="))
    with opened(chromium, made, "#" + address.split("#")[1]) as page:
        expect(page.get_by_role("dialog")).to_be_visible()


def test_bars_have_intervals_a_log_axis_over_decades_and_hollow_bars_for_wrong_results(chromium, made):
    with opened(chromium, made, "#tab=Tiny") as page:
        charts = page.locator('#model-0 .charts [role="img"]')
        expect(charts).to_have_count(3)
        expect(
            charts.first.locator(".mark-rule:not(.role-axis-grid):not(.role-axis-tick) line")
        ).to_have_count(3)
        expect(charts.first).not_to_contain_text("logarithmic")
        page.get_by_role("search").get_by_label("Machine").select_option("Desk")
        expect(page.locator("#model-0 .machine-name")).to_have_text("on Desk")
        expect(charts.first).to_have_attribute("aria-label", re.compile("Zed 1.0 ms, wrong"))
        expect(charts.first).to_contain_text("ms, logarithmic")
        fills = charts.first.locator(".mark-rect path").evaluate_all(
            "bars => bars.map(bar => [bar.getAttribute('fill') ?? '', bar.getAttribute('stroke-dasharray')])"
        )
        assert [fill.split(",")[0] for fill, _ in fills] == ["var(--best", "var(--bar", "transparent"]


def test_two_views_of_published_rows(chromium, made):
    with opened(chromium, made, "#tab=SmolLM2-135M&machine=Apple%20M3") as page:
        mlx = page.locator(CELLS.format(1), has_text="MLX")
        expect(mlx.locator("b")).to_have_text("253")
        winners = page.locator('[data-table="winners-1"] tbody tr')
        winners = winners.filter(has_text="Apple M3")
        expect(winners).to_contain_text("GGML")
        page.get_by_role("search").get_by_label("Published rows").select_option("rigorous")
        expect(mlx.locator("b")).to_have_count(0)
        expect(mlx.locator("s")).to_have_text(["0.00", "97", "253", "8.64"])
        expect(winners).not_to_contain_text("GGML")
        expect(page).to_have_url(re.compile("view=rigorous"))
    with opened(chromium, made, "#tab=published&machine=Apple%20M3&q=mlx+smollm2") as page:
        lines = page.locator('[data-table="differences"] tbody tr')
        expect(lines).to_have_count(2)
        expect(lines.first).to_contain_text("Compile (s), Inference (ms)0.00, 97plain")
        expect(lines.last).to_contain_text("its loss 8.64 is not PyTorch's 8.35: 3.5 % apart")
        screenshot(page, "published")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_themes_follow_the_system_until_chosen(chromium, made, scheme):
    other = {"light": "dark", "dark": "light"}[scheme]
    with opened(chromium, made, "#tab=SmolLM2-135M", color_scheme=scheme) as page:
        expect(page.locator("#model-1 .charts svg")).to_have_count(3)
        screenshot(page, scheme)
        paper = {"light": "rgb(253, 253, 252)", "dark": "rgb(21, 24, 23)"}
        expect(page.locator("html")).to_have_css("background-color", paper[scheme])
        page.get_by_role("button", name=f"{other.capitalize()} theme").click()
        expect(page.locator("html")).to_have_css("background-color", paper[other])
        # The charts follow: their colours are the page's.
        label = page.locator("#model-1 .charts svg text").first
        expect(label).to_have_css("fill", {"light": "rgb(29, 31, 30)", "dark": "rgb(231, 234, 232)"}[other])


def test_a_phone_scrolls_tables_and_not_the_page(chromium, made):
    with opened(chromium, made, "#tab=SmolLM2-135M", viewport={"width": 360, "height": 740}) as page:
        expect(page.locator("#model-1 .charts svg")).to_have_count(3)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        region = page.locator('[data-table="cells-1"] [role="region"]')
        assert region.evaluate("each => each.scrollWidth > each.clientWidth && each.tabIndex === 0")
        screenshot(page, "phone")


def test_without_javascript_every_table_is_there(chromium, made):
    with opened(chromium, made, java_script_enabled=False) as page:
        expect(page.locator("table.cells")).to_have_count(2)
        published = [row for row in tables.read(PUBLISHED, PUBLISHED_STATUSES) if row["model"] == MODELS[1]]
        expect(page.locator("table.cells tbody tr")).to_have_count(4 + 3 + 4 + len(published))
        expect(page.locator("form:visible, dialog:visible, #theme:visible")).to_have_count(0)
        expect(page.locator("details.evidence")).to_have_count(8)
        expect(page.locator(".figure svg")).to_have_count(2)
        for number in range(2):
            expect(page.locator("table.cells").nth(number)).to_be_visible()
        screenshot(page, "without-javascript")


def test_controls_and_tables_have_names(chromium, made):
    with opened(chromium, made, "#tab=Tiny") as page:
        expect(page.locator('#model-0 [role="img"]')).to_have_count(3)
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, select, input, a")]
              .filter((each) => each.checkVisibility())
              .filter((each) => !(each.textContent.trim() || each.ariaLabel || each.labels?.length))
              .map((each) => each.outerHTML)"""
        )
        assert nameless == []
        for table in page.locator("#model-0 table").all():
            expect(table.locator("caption")).to_have_count(1)
            assert table.locator("th:not([scope])").count() == 0
