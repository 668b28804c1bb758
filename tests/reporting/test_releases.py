"""What a framework's release changed: found in one run and in two, with intervals, and told by text and page."""

import json

import pytest

import pages
import records
import report_text
from platform_csv import analysis_of, edit, good, own_csv
from reporting import analysis, export, releases

TITLE = "What the last releases changed"
DAYS = {("torch", "2.13.0"): "2026-07-08", ("torch", "2.15.0"): "2026-10-28"}


def run(directory, names, times, versions, verdicts=None):
    """A table of a run: ms and version by row."""
    rounds = [each for row in names for each in good(row, times[row], version=versions[row])]
    judged = [records.verdict_record(row, (verdicts or {}).get(row, "pass")) for row in names]
    return own_csv(directory, rounds, judged, names)


def rows(own):
    return analysis.read([analysis_of(own)])


@pytest.fixture
def together(tmp_path):
    """PyTorch 2.13 and 2.15 in one run: 2.15 takes three quarters of the time."""
    times, versions = (
        {"eager": 30.0, "eager-before": 40.0},
        {"eager": "2.15.0", "eager-before": "2.13.0+cu130"},
    )
    return run(tmp_path, ("eager", "eager-before"), times, versions)


@pytest.fixture
def apart(tmp_path):
    """Two runs of one directory: 40 ms with 2.13, then 40 ms with 2.15; the other row's version did not move."""
    names, times = ("eager", "compiled"), {"eager": 40.0, "compiled": 20.0}
    own = run(tmp_path, names, times, dict.fromkeys(names, "2.13.0"))
    kept = tmp_path / "history/local/20261101T120000Z-00000001.csv"
    kept.parent.mkdir(parents=True)
    kept.write_text(export.csv_text(rows(own)))
    return run(tmp_path, names, times, {"eager": "2.15.0", "compiled": "2.13.0"})


def find(own, before=(), elsewhere=()):
    return releases.find(rows(own), elsewhere, {"local": before}, {"pytorch": "torch[all]"}, DAYS)


def test_two_versions_of_one_run_are_compared_by_their_rounds(together):
    (found,) = find(together)
    assert (found.framework, found.old, found.new) == ("PyTorch eager", "2.13.0+cu130", "2.15.0")
    assert found.released == ("2026-07-08", "2026-10-28") and found.together
    (cell,) = found.cells
    assert cell.status == ("pass", "pass")
    table = {row["row"]: row for row in rows(together)}
    for name in ("inference", "latency", "training"):
        effect = cell.effect(f"{name}_ms")
        assert effect.kind == "faster"
        old = table["eager-before"]
        assert effect.ratio == pytest.approx(1 / old[f"{name}_to_best"])
        assert effect.low == pytest.approx(1 / old[f"{name}_to_best_high"])
        assert effect.low < 0.75 < effect.high < 0.8
    assert cell.effect("inference_peak_mb").ratio == pytest.approx(1)


def test_a_slower_release_is_slower(tmp_path):
    times, versions = {"eager": 40.0, "eager-before": 30.0}, {"eager": "2.15.0", "eager-before": "2.13.0"}
    (found,) = find(run(tmp_path, ("eager", "eager-before"), times, versions))
    effect = found.cells[0].effect("inference_ms")
    assert effect.kind == "slower" and 1.25 < effect.low < effect.ratio < effect.high < 1.42


def test_an_earlier_run_is_what_a_moved_version_is_compared_with(apart, tmp_path):
    before = [[row | {"row": row["row"]} for row in _kept(tmp_path)]]
    (found,) = find(apart, before)
    assert (found.framework, found.old, found.new, found.together) == (
        "PyTorch eager",
        "2.13.0",
        "2.15.0",
        False,
    )
    effect = found.cells[0].effect("inference_ms")
    assert effect.kind == "same" and effect.low < 1 < effect.high


def _kept(directory):
    from reporting import history

    (kept,) = history.earlier(directory / "history", "local")
    return kept


@pytest.mark.parametrize(
    "change", [{"threads": 64}, {"forward_flops": 1.0}, {"loss": 600.0}, {"version": "2.15.0"}]
)
def test_other_work_or_the_same_version_is_no_release(apart, tmp_path, change):
    assert find(apart, [[row | change for row in _kept(tmp_path) if row["row"] == "eager"]]) == []


def test_a_release_whose_results_are_wrong_has_its_verdict_and_no_ratio(tmp_path):
    names, versions = ("eager", "eager-before"), {"eager": "2.15.0", "eager-before": "2.13.0"}
    own = run(tmp_path, names, dict.fromkeys(names, 30.0), versions, {"eager": "different"})
    (found,) = find(own)
    assert found.cells[0].status == ("pass", "different")
    assert found.cells[0].effects == ()


def arguments(directory):
    days = directory / "releases.csv"
    lines = [",".join((*key, day)) for key, day in DAYS.items()]
    days.write_text("\n".join(["package,version,released", *lines]) + "\n")
    return ["--release-days", days, "--packages", json.dumps({"pytorch": "torch"})]


def test_text_and_page_say_the_same(together, tmp_path):
    edit(
        together,
        lambda found: [
            each.update(footprint_mb=100.0 if each["row"] == "eager" else 250.0) for each in found
        ],
    )
    more = arguments(tmp_path)
    text = report_text.page(tmp_path, together, more=more)
    title = "PyTorch eager 2.13.0+cu130 (released 2026-07-08) → 2.15.0 (released 2026-10-28)"
    assert f"**{title}**, on This machine, measured in one run, taking turns, 2026-11-22:" in text
    (line,) = report_text.table_lines(text, f"## {TITLE}", "\n## ")
    assert line[0] == "Tiny" and line[5:] == ["250 → 100", "pass"]
    assert all(cell.startswith("0.7") and cell.endswith(") faster") for cell in line[1:4])
    outline = pages.Outline(pages.render(tmp_path, together, more=more).read_text(encoding="utf-8"))
    (table,) = [each for caption, each in outline.tables.items() if caption.startswith(title)]
    assert table[1] == line


def test_published_comparisons_are_told_in_every_report(together, tmp_path):
    other = tmp_path / "own"
    own = run(
        other,
        ("eager", "compiled"),
        {"eager": 40.0, "compiled": 20.0},
        dict.fromkeys(("eager", "compiled"), "2.13.0"),
    )
    assert TITLE not in report_text.page(other, own)
    text = report_text.page(other, own, more=["--releases", together])
    assert "**PyTorch eager 2.13.0+cu130 → 2.15.0**" in text


def test_days_in_another_form_are_refused(tmp_path):
    (tmp_path / "days.csv").write_text("name,day\n")
    with pytest.raises(ValueError, match=r"days\.csv: expected the columns package, version, released"):
        releases.read_days(tmp_path / "days.csv")
