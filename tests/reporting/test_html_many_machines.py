"""Fifty machines, and a thousand: the page stays small and opens and filters at once (the project's promise)."""

import csv
import itertools
import statistics

import pytest
from playwright.sync_api import expect

import pages
from browser import opened
from published_csv import PUBLISHED

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
MACHINES, MODELS, FRAMEWORKS = 1000, tuple(f"Model-{n}" for n in range(5)), 12
OPENS_MS, FILTERS_MS = 3000, 100
FIFTY, BYTES, PAINTS_MS = 50, 2_000_000, 1000


@pytest.fixture(scope="module")
def fifty(tmp_path_factory):
    """The published machines again and again, until there are fifty."""
    directory = tmp_path_factory.mktemp("fifty")
    files, models = [], set()
    for number, path in zip(range(FIFTY - 1), itertools.cycle(PUBLISHED), strict=False):
        with open(path, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        models |= {row["model"] for row in rows}
        rows = [row | {"platform": f"{row['platform']} no. {number}"} for row in rows]
        files.append(pages.write_rows(directory / f"{number}.csv", *rows))
    models = tuple(sorted(models))
    return pages.render(directory, pages.mixed(directory, models), files, models)


def test_fifty_machines_are_two_megabytes_and_are_painted_within_a_second(chromium, fifty):
    times = []
    for _ in range(3):
        with opened(chromium, fifty) as page:
            expect(page.get_by_role("grid")).to_be_visible()
            paints = page.evaluate(
                "performance.getEntriesByName('first-contentful-paint').map((e) => e.startTime)"
            )
            ready = page.evaluate("performance.getEntriesByName('ready')[0].startTime")
            times.append((*paints, ready))
            expect(page.get_by_role("search").get_by_label("Machine").locator("option")).to_have_count(
                FIFTY + 1
            )
    size = fifty.stat().st_size
    print(
        f"{size / 1e6:.2f} MB; (first paint, overview) in ms: {[tuple(map(round, each)) for each in times]}"
    )
    assert size < BYTES
    assert min(max(each) for each in times) < PAINTS_MS


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """60,000 published rows beside a small run."""
    directory = tmp_path_factory.mktemp("scale")
    rows = (
        pages.published_row(
            platform=f"Machine {machine:04}",
            model=model,
            framework="PyTorch" if framework == 0 else f"Framework {framework}",
            inference_ms=f"{10 + (machine * 7 + framework * 13) % 90}",
        )
        for machine in range(MACHINES)
        for model in MODELS
        for framework in range(FRAMEWORKS)
    )
    other = pages.write_rows(directory / "many.csv", *rows)
    return pages.render(directory, pages.mixed(directory, MODELS), [other], MODELS)


# Wrapped around what a user does: from the event to the layout of what it changed.
FILTER = """
([name, value]) => {
  const field = document.getElementById("filters").elements[name];
  const begin = performance.now();
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  document.body.getBoundingClientRect();
  return performance.now() - begin;
}
"""


def test_sixty_thousand_rows_open_in_three_seconds(chromium, made):
    times = []
    for _ in range(3):
        with opened(chromium, made, "#tab=Model-0&machine=*") as page:
            expect(page.locator('[data-table="cells-0"] tbody tr').first).to_be_visible()
            times.append(page.evaluate("performance.getEntriesByName('ready')[0].startTime"))
            expect(page.locator('[data-table="cells-0"] .count')).to_have_text("150 of 12004 lines")
    print(f"{made.stat().st_size / 1e6:.0f} MB opened in {', '.join(f'{ms:.0f}' for ms in times)} ms")
    assert min(times) < OPENS_MS


def test_filters_answer_within_a_tenth_of_a_second(chromium, made):
    actions = [
        ("machine", "Machine 0500", "12 lines"),
        ("machine", "*", "150 of 12004 lines"),
        ("framework", "PyTorch", "150 of 1000 lines"),
        ("q", "0999", "1 line"),
        ("q", "", "150 of 1000 lines"),
        ("framework", "", "150 of 12004 lines"),
        ("view", "rigorous", "150 of 12004 lines"),
        ("view", "compatible", "150 of 12004 lines"),
    ]
    took: dict[tuple, list[float]] = {}
    with opened(chromium, made, "#tab=Model-0&machine=*") as page:
        for _ in range(3):
            for name, value, count in actions:
                took.setdefault((name, value), []).append(page.evaluate(FILTER, [name, value]))
                expect(page.locator('[data-table="cells-0"] .count')).to_have_text(count)
    best = {key: min(times) for key, times in took.items()}
    print({key: f"{statistics.median(times):.0f} ms" for key, times in took.items()})
    assert max(best.values()) < FILTERS_MS, best


def test_sixty_thousand_rows_are_all_in_the_page(made):
    text = made.read_text(encoding="utf-8")
    assert (
        sum(1 for line in text.splitlines() if line.startswith("<tr") and 'class="fw' in line) == 60_000 + 20
    )
