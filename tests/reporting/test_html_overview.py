"""The overview in a browser: one picture a machine, chosen once; keyboard, widths, print, accessibility."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

import pages
import records
from browser import opened, screenshot
from platform_csv import good, own_csv
from published_csv import PUBLISHED

pytestmark = pytest.mark.slow
MODELS = ("Tiny", "SmolLM2-135M")
WIDTHS = (360, 800, 1400)
WORDS = "beyond <b>all</b> bounds"  # of a stranger: they stay words


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("overview")
    columns = {"reason_code": "", "reason_detail": ""}
    other = {
        "status": "unsupported",
        "compile_s": "",
        "inference_ms": "",
        "latency_ms": "",
        "training_ms": "",
    }
    desk = pages.write_rows(
        directory / "desk.csv",
        pages.published_row() | columns,
        pages.published_row(framework="Burn", inference_ms="140") | columns,
        pages.published_row(framework="Zed", status="different", inference_ms="1") | columns,
        pages.published_row(framework="Yew", loss="", **other)
        | {"reason_code": "unsupported-operator", "reason_detail": WORDS},
    )
    own = pages.mixed(directory, MODELS, compiled=60.0)
    return pages.render(directory, own, [desk, *PUBLISHED], MODELS)


def cells(page, framework):
    """The texts of one framework's cells, without words for screen readers and small print."""
    row = page.locator(".heat tbody tr").filter(has=page.get_by_role("rowheader", name=framework, exact=True))
    return row.locator("td button > :first-child").all_inner_texts()


def test_the_picture_shows_each_model_s_times_over_the_fastest(chromium, made):
    with opened(chromium, made) as page:
        grid = page.get_by_role("grid")
        expect(grid.get_by_role("columnheader")).to_have_text(["Framework", *MODELS, "All models"])
        names = ["PyTorch eager", "PyTorch compiled", "ONNX Runtime", "JAX"]
        expect(grid.get_by_role("rowheader")).to_have_text(names)
        assert cells(page, "PyTorch eager") == ["1", "1"]
        assert all(re.fullmatch(r"1\.[45]\d", text) for text in cells(page, "PyTorch compiled"))
        assert all(text.startswith("≈0.2") for text in cells(page, "ONNX Runtime"))
        assert cells(page, "JAX") == ["✗", "✗"]
        mean = grid.locator("tr", has_text="PyTorch compiled").locator(".sum")
        expect(mean).to_have_text(re.compile(r"^1\.[45]\d 1\.\d\d–1\.\d\d 2 of 2$"))  # noqa: RUF001
        expect(grid.locator("tr", has_text="JAX").locator(".sum")).to_have_text("0 of 2")
        screenshot(page, "glance")


def test_machine_precision_and_task_are_chosen_once_and_are_in_the_address(chromium, made):
    with opened(chromium, made) as page:
        page.get_by_role("search").get_by_label("Machine").select_option("Desk")
        expect(page.get_by_role("grid")).to_contain_text("on Desk")
        assert cells(page, "Burn") == ["3.5"] and cells(page, "Zed") == ["0.03"]
        page.get_by_role("radio", name="Training").check()
        assert cells(page, "Burn") == ["1"]
        expect(page).to_have_url(re.compile("machine=Desk.*task=training_ms"))
        expect(page.locator("#findings-here li").first).to_contain_text("Desk")
        page.get_by_role("tab", name="Tiny").click()
        expect(page.locator('[data-table="cells-0"] tbody tr')).to_have_count(4)
        expect(page.locator("#model-0 .machine-name")).to_have_text("on Desk")
        address = page.url
        page.go_back()
        expect(page.get_by_role("grid")).to_contain_text("on Desk")
    with opened(chromium, made, "#" + address.split("#")[1]) as page:
        page.get_by_role("tab", name="Overview").click()
        expect(page.get_by_role("grid")).to_contain_text("Training on Desk")


def test_why_a_figure_is_missing_or_does_not_count_is_said_on_hover_and_focus(chromium, made):
    with opened(chromium, made, "#machine=Desk") as page:
        row = page.locator(".heat tbody tr", has_text="Yew")
        row.get_by_role("button").hover()
        tip = page.get_by_role("tooltip")
        expect(tip).to_contain_text("Yew, Tiny")
        expect(tip).to_contain_text(f"Unsupported: unsupported-operator: {WORDS}")
        page.mouse.move(0, 0)
        expect(tip).to_be_hidden()
        page.locator(".heat tbody tr", has_text="Zed").get_by_role("button").focus()
        expect(tip).to_contain_text("Wrong by its source's own rule, which gives no figure")
        page.keyboard.press("Escape")
        expect(tip).to_be_hidden()


def test_the_words_of_a_cell_come_along_when_focus_scrolls_to_it(chromium, made):
    with opened(chromium, made, "#machine=Apple+M3", viewport={"width": 360, "height": 500}) as page:
        last = page.locator(".heat button").last
        last.focus()
        expect(last).to_be_in_viewport(ratio=1)
        page.wait_for_timeout(400)  # scrolling is smooth
        tip, cell = page.get_by_role("tooltip").bounding_box(), last.bounding_box()
        assert (
            abs(tip["y"] + tip["height"] - cell["y"]) < 20 or abs(cell["y"] + cell["height"] - tip["y"]) < 20
        )


def test_arrow_keys_walk_the_picture_and_enter_opens_a_cell(chromium, made):
    with opened(chromium, made) as page:
        buttons = page.locator(".heat button")
        expect(page.locator('.heat button[tabindex="0"]')).to_have_count(1)
        buttons.first.focus()
        page.keyboard.press("ArrowRight")
        expect(buttons.nth(1)).to_be_focused()
        page.keyboard.press("ArrowDown")
        expect(buttons.nth(3)).to_be_focused()
        expect(page.get_by_role("tooltip")).to_contain_text("PyTorch compiled, SmolLM2-135M")
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("heading", level=2)).to_have_text(
            "SmolLM2-135M: PyTorch compiled on This machine"
        )
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(buttons.nth(3)).to_be_focused()


def test_a_cell_without_records_leads_to_its_table(chromium, made):
    with opened(chromium, made, "#machine=Desk") as page:
        page.locator(".heat tbody tr", has_text="Burn").get_by_role("button").click()
        expect(page.get_by_role("tabpanel", name="Tiny")).to_be_visible()
        expect(page.locator('[data-table="cells-0"] tbody tr')).to_have_count(1)


def test_a_cell_of_one_process_is_drawn_without_an_interval(chromium, tmp_path):
    own = own_csv(
        tmp_path, good("eager", rounds=1), [records.verdict_record("eager", "pass")], ("eager",), ("Tiny",)
    )
    with opened(chromium, pages.render(tmp_path, own), "#cell=cell-0") as page:
        trace = page.get_by_role("dialog").locator('[data-trace="inference"]')
        expect(trace.locator(".mark-symbol path")).to_have_count(12)
        expect(trace.locator(".mark-rect path")).to_have_count(0)


def test_speed_is_drawn_against_what_it_costs(chromium, made):
    with opened(chromium, made) as page:
        charts = page.locator("#trade-offs [role=img]")
        expect(charts).to_have_count(2)
        expect(charts.first).to_have_attribute(
            "aria-label",
            re.compile("error of the output against speed: PyTorch eager: .* relative L2; PyTorch comp"),
        )
        # Both have the same error, so the slower one is beaten.
        fills = charts.first.locator(".mark-symbol path").evaluate_all(
            "all => all.map((each) => each.getAttribute('fill'))"
        )
        assert [fill.split(",")[0] for fill in fills] == ["var(--best", "var(--bar"]
        page.get_by_role("radio", name="Bytes on disk").check()
        expect(page).to_have_url(re.compile("against=disk"))
        page.get_by_role("search").get_by_label("Machine").select_option("Desk")
        expect(page.locator("#trade-offs")).to_contain_text("Nothing to draw")


def test_ten_findings_at_the_most_and_the_others_on_demand(chromium, made):
    with opened(chromium, made, "#machine=Apple+M3") as page:
        findings = page.locator("#findings-here > ul li")
        assert 1 <= findings.count() <= 10
        for text in findings.all_inner_texts():
            assert "M3" in text or "Apple" in text
    with opened(chromium, made, "#machine=*") as page:
        expect(findings := page.locator("#findings-here > ul li")).to_have_count(10)
        expect(findings.first).to_contain_text("This machine")
        expect(page.locator("#findings-here details li")).to_have_count(0)
        page.locator("#findings-here summary").click()
        rest = int(page.locator("#findings-here summary").inner_text().split()[0])
        expect(page.locator("#findings-here details li")).to_have_count(rest)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_and_the_picture_is_on_the_first_screen(chromium, made, width):
    with opened(chromium, made, viewport={"width": width, "height": 800}) as page:
        expect(page.locator("#trade-offs [role=img]")).to_have_count(2)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        box = page.locator(".heat").bounding_box()
        assert box["y"] + box["height"] < 800
        screenshot(page, f"glance-{width}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_no_barrier(chromium, made, width, scheme):
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    axe = Axe()
    with opened(chromium, made, **options) as page:
        expect(page.locator("#trade-offs [role=img]")).to_have_count(2)
        found = [axe.run(page)]
        for tab in ("Tiny", "Published data", "Machines and method"):
            page.get_by_role("tab", name=tab).click()
            if tab == "Tiny":
                expect(page.locator("#model-0 .charts svg")).to_have_count(3)
            found.append(axe.run(page))
        page.get_by_role("tab", name="Overview").click()
        page.locator(".heat button").first.click()
        expect(page.get_by_role("dialog").locator("[data-limits] svg")).to_be_visible()
        found.append(axe.run(page))
    barriers = [
        f"{rule['id']}: {node['html'][:200]}"
        for each in found
        for rule in each.response["violations"]
        for node in rule["nodes"]
    ]
    assert barriers == []


def test_print_has_the_picture_and_no_controls(chromium, made):
    with opened(chromium, made) as page:
        page.emulate_media(media="print")
        expect(page.locator(".heat")).to_be_visible()
        for control in ("nav", "#filters", "#theme", "#tasks", "#against"):
            expect(page.locator(control)).to_be_hidden()
