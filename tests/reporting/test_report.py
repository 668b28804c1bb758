"""The rendered page, from CSVs of this run and published ones."""

import csv
import re

import jinja2
import pytest

import records
from platform_csv import analysis_of, edit, good, own_csv
from published_csv import ELEVEN, LINE, PUBLISHED, write_csv
from report_text import TEMPLATE, details, page, table_lines
from reporting import analysis
from reporting.document import build, inputs
from reporting.writers import markdown


@pytest.fixture
def mixed(tmp_path):
    """Four rows: fast, tied with it, close, failed."""
    rounds = [
        *good("eager"),
        *good("compiled", 40.1),
        *good("onnx", 10.0),
        records.failed("jax", code="crashed"),
    ]
    verdicts = [
        records.verdict_record("eager"),
        records.verdict_record("compiled"),
        records.verdict_record("onnx", "close"),
        records.verdict_record("jax", None),
    ]
    return own_csv(tmp_path, rounds, verdicts, ("eager", "compiled", "onnx", "jax"))


@pytest.fixture
def other(tmp_path):
    """A published table of one row."""
    line = f"{LINE.replace('pass', 'match')},kvark/inferena,2026-04"
    header = ",".join((*ELEVEN, "measured_by", "date"))
    return write_csv(tmp_path / "other.csv", line, header=header)


def test_main_table_shows_this_run_then_the_published_machines(tmp_path, mixed, other):
    text = details(tmp_path, mixed, [other])
    found = table_lines(text, "\n## Tiny\n")
    assert [cells[0] for cells in found] == ["This machine", "", "", "", "Desk †"]
    assert (
        "† Measured elsewhere, by kvark/inferena, other.csv (2026-04, 8 months before this run), claimed by"
        in text
    )
    eager, compiled, onnx, jax, published = found
    assert eager[1] == "PyTorch eager 2.13.0 (CPU)"
    assert re.fullmatch(r"\*\*\d\d\*\*", eager[3])
    assert re.fullmatch(r"\*\*\d\d\*\*", compiled[3])  # 0.25 % slower: tied
    assert (onnx[1], onnx[3]) == ("ONNX Runtime 2.13.0 (CPU) ≈", re.sub(r"\D", "", onnx[3]))
    assert jax[2:] == ["✗", "✗", "✗", "✗", ""]
    assert published[2:] == ["**1.50**", "**40**", "**4.0**", "**120**", "6.01"]


def test_the_report_has_this_run_s_rows_and_a_line_for_each_machine_elsewhere(tmp_path, mixed, other):
    text = page(tmp_path, mixed, [other])
    summary = table_lines(text, "## Fastest per model")
    assert re.fullmatch(r"tie: PyTorch (eager|compiled) \d\d, PyTorch (eager|compiled) \d\d", summary[0][2])
    names = [cells[0] for cells in table_lines(text, "\n## Tiny\n")]
    assert names == [
        "PyTorch eager 2.13.0 (CPU)",
        "PyTorch compiled 2.13.0 (CPU)",
        "ONNX Runtime 2.13.0 (CPU) ≈",
        "JAX (CPU)",
    ]
    firsts = (
        "compile PyTorch 1.50 s; inference PyTorch 40 ms; latency PyTorch 4.0 ms; training PyTorch 120 ms"
    )
    assert f"\n- Desk †: {firsts}; 1 of 1 ranked.\n" in text
    assert (
        "† Measured elsewhere, by kvark/inferena, other.csv (2026-04, 8 months before this run), claimed by"
        in text
    )


def test_reasons_stand_under_the_table_with_the_command(tmp_path, mixed):
    text = page(tmp_path, mixed)
    assert (
        "- ONNX Runtime: close, so not ranked: inference: relative L2 3.1e-2 &gt; 1e-4; a row is judged as a whole, so"
        " none of it is ranked. Again: `results/retry local/Tiny/onnx`.\n"
    ) in text
    assert "- JAX: failed: crashed: no end after 900 s. Again: `results/retry local/Tiny/jax`.\n" in text


def test_details_hold_intervals_ratios_costs_and_verdicts(tmp_path, mixed):
    text = details(tmp_path, mixed)
    inference = table_lines(text, "Inference, in milliseconds", "\nLatency,")
    with open(mixed, encoding="utf-8", newline="") as stream:
        eager = next(csv.DictReader(stream))
    assert [cells[0] for cells in inference] == ["PyTorch eager", "PyTorch compiled", "ONNX Runtime ≈"]
    assert inference[0][1] == f"{float(eager['inference_ms']):.2f}"
    assert inference[0][5] == "3 × 12"  # noqa: RUF001
    assert re.fullmatch(r"0\.48 \([\d.]+\)", inference[0][6])
    ratio = re.fullmatch(r"([\d.]+) \(([\d.]+)–([\d.]+)\)", inference[2][7])  # noqa: RUF001
    point, low, high = map(float, ratio.groups())
    assert low <= point <= high
    assert point == pytest.approx(0.25, abs=0.02)
    assert inference[2][8] == "—"  # close: not ranked
    assert "Ratio to PyTorch eager" in text
    costs = table_lines(text, "Before the first result", "\nAgainst")
    assert costs[0][1:] == [
        "2.50",
        "1.04",
        "2.50",
        "2.50",
        "3.00",
        "0.20",
        "5.50",
        "3.25",
        "600",
        "1500",
        "900",
    ]
    verdicts = table_lines(text, "Against the float64 reference", "\n#")
    assert verdicts[0][1:5] == ["pass", "3.1e-07", "2.0e-06", "100 %"]
    assert verdicts[0][-1] == "1.0e-08"
    assert "Noise floor (relative L2 of plain float32 PyTorch): 2.9e-07." in text
    assert "\n- ONNX Runtime: close: inference: relative L2 3.1e-2 &gt; 1e-4\n" in text
    assert "[Tiny model](https://example.org/tiny). Weights: seeded (seed 7).\n" in text


@pytest.fixture
def lanes(tmp_path):
    """The baseline, another framework in float32, and that one in bfloat16: twice as fast, and inexact."""
    rounds = good("eager") + good("jax", 30.0) + good("onnx", 15.0, lane="bfloat16", framework="jax")
    figures = {"relative_l2": 1.7e-2, "top1_agreement": 0.984, "mean_kl": 1.4e-4, "loss_change": 2.3e-3}
    half = records.verdict_record("onnx")
    half["parts"]["inference"] |= figures
    verdicts = [records.verdict_record("eager"), records.verdict_record("jax"), half]
    names = ("eager", "jax", "onnx")
    return own_csv(tmp_path, rounds, verdicts, names, float32_rows={"onnx": "jax"})


def test_reduced_precision_has_tables_of_its_own(tmp_path, lanes):
    text = details(tmp_path, lanes)
    strict = table_lines(text, "\n## Tiny\n")
    assert [line[1] for line in strict] == ["PyTorch eager 2.13.0 (CPU)", "JAX 2.13.0 (CPU)"]
    assert "**" not in strict[0][3] and strict[1][3] == "**30**"  # though bfloat16 is faster
    (main,) = table_lines(text, "### Tiny in reduced precision", "What it gains")
    assert main[1] == "ONNX Runtime 2.13.0, bfloat16 (CPU)" and main[3] == "**15**"
    (line,) = table_lines(text, "What it gains")
    assert line[1:4] == ["ONNX Runtime", "bfloat16", "15"]
    assert [float(cell.split(" ")[0]) for cell in line[4:6]] == pytest.approx([0.5, 0.375], rel=0.05)
    assert line[6:] == ["1.7e-02", "+2.3e-03", "1.4e-04", "98.4 %", "pass"]
    short = page(tmp_path, lanes)
    assert "Rows of **reduced precision**" in short
    (main,) = table_lines(short, "### Tiny in reduced precision")
    assert main[0] == "ONNX Runtime 2.13.0, bfloat16 (CPU)" and main[2] == "**15**"
    assert [line[:2] for line in table_lines(short, "## Fastest per model")] == [
        ["Tiny", "float32"],
        ["Tiny", "bfloat16"],
    ]


def test_a_run_in_float32_says_nothing_of_other_lanes(tmp_path, mixed):
    assert "educed precision" not in page(tmp_path, mixed)


def test_what_a_framework_costs_to_have_spans_its_models(tmp_path):
    first, second = ([records.round_record("eager", n, model) for n in (1, 2)] for model in ("Tiny", "Big"))
    for record in second:
        record["cold_start_s"] *= 3
        record["load_s"] = 4.0
    verdicts = [records.verdict_record("eager", model=model) for model in ("Tiny", "Big")]
    own = own_csv(tmp_path, first + second, verdicts, ("eager",), ("Tiny", "Big"))
    command = {"Tiny": {}, "Big": {}}
    text = markdown.render(build.report(analysis.read([analysis_of(own)]), [], command), TEMPLATE)
    (line,) = table_lines(text, "## What it costs to have")
    expected = ["900", "2.50", "0.20–4.00", "5.50–16.50", "4.00–12.00", "600"]  # noqa: RUF001
    assert line == ["PyTorch eager", *expected]


def test_notes_about_frameworks_are_printed(tmp_path, mixed):
    assert "\n- MAX: its licence is its own.\n" in page(
        tmp_path, mixed, notes=["MAX: its licence\nis its own."]
    )


def test_attempts_to_reach_a_network_are_said(tmp_path):
    rounds = good("eager", network_attempts=3) + good("compiled", offline=False, network_attempts=None)
    verdicts = [records.verdict_record("eager"), records.verdict_record("compiled")]
    text = page(tmp_path, own_csv(tmp_path, rounds, verdicts))
    assert "- Caution: PyTorch eager tried 3 times to reach a network.\n" in text
    assert dict(table_lines(text, "### This machine\n"))["Cut off from the network"] == "yes, no"


def test_failures_have_reason_command_and_log(tmp_path, mixed):
    text = page(tmp_path, mixed)
    section = text.split("## Failed\n\n", 1)[1].split("\n## ", 1)[0]
    reason = "Tiny: JAX on This machine: crashed: no end after 900 s"
    line, empty, all_of_it = section.split("\n", 2)
    assert (line, empty) == (f"- {reason}. Try again: `results/retry local/Tiny/jax`.", "")
    assert all_of_it.startswith(
        "`make retry`, or `results/retry` where the run was not in the checkout, measures all"
    )
    assert "## Unsupported\n\nNone." in text
    log = (tmp_path / "details.md").read_text().split("### Tiny: JAX on This machine", 1)[1]
    assert "```text\nline 20\n" in log
    assert "line 39\n```" in log


def test_wrong_results_are_struck_through_and_unsupported_ones_listed(tmp_path):
    rounds = good("eager") + good("compiled", 1.0) + [records.unsupported("onnx"), *good("jax", 50.0)]
    for record in rounds[-3:]:
        record["tasks"]["training"] = records.ended_task("unsupported", "no-training", "it only infers")
    verdicts = [
        records.verdict_record("eager"),
        records.verdict_record("compiled", "different"),
        records.verdict_record("onnx", None),
        records.verdict_record("jax"),
    ]
    text = page(tmp_path, own_csv(tmp_path, rounds, verdicts, ("eager", "compiled", "onnx", "jax")))
    eager, compiled, onnx, jax = table_lines(text, "\n## Tiny\n")
    assert all(re.fullmatch("~~.*~~", cell) for cell in compiled[1:])
    assert all(re.fullmatch(r"\*\*.*\*\*", cell) for cell in eager[2:5])
    assert onnx[1:] == ["—", "—", "—", "—", ""]
    assert jax[4] == "—"
    assert table_lines(text, "## Unsupported") == [
        ["ONNX Runtime", "This machine", "Tiny", "all", "unsupported-model: no U-Net here"],
        ["JAX", "This machine", "Tiny", "training", "no-training: it only infers"],
    ]
    assert "## Failed\n\nNone." in text


def test_caveats_are_the_models_and_the_measurements(tmp_path):
    first = records.round_record("eager", 1, threads_reported=4)
    first["conditions"]["disturbance"] |= {"steal": 0.05, "load_before": 9.0}
    first["tasks"]["latency"]["samples_ns"] = [8 * 10**6] * 6 + [4 * 10**6] * 6
    first["tasks"]["training"]["samples_ns"] = [10**6, 2 * 10**6, 3 * 10**6]
    verdicts = [records.verdict_record("eager"), records.verdict_record("compiled")]
    own = own_csv(tmp_path, [first, records.round_record("compiled")], verdicts)
    text = page(tmp_path, own, caption={"caveats": ["Runs  without\na `cache`."]})
    assert "\n\n- Runs without a `cache`.\n" in text
    cautions = re.findall("- Caution: (.*)", text)
    assert cautions[:3] == [
        "latency: noisy: PyTorch eager.",
        "latency: still getting faster while timed: PyTorch eager.",
        "training: noisy: PyTorch eager.",
    ]
    assert cautions[3].startswith("one process per cell: nothing is known")
    assert "5 % of the CPU time" in cautions[4]
    assert cautions[5] == "PyTorch eager was given 2 threads and reports 4."
    (line,) = [
        line
        for line in (tmp_path / "details.md").read_text().splitlines()
        if "| noisy, still falling, one process |" in line
    ]
    figures = [cell.strip() for cell in line.split(" | ")]
    assert figures[2] == "—" and re.fullmatch(r"[\d.]+", figures[6])  # no interval, a ratio without one


def test_a_quiet_run_has_no_cautions(tmp_path, mixed):
    assert "Caution" not in page(tmp_path, mixed)


def test_machine_facts_and_versions_are_at_the_end(tmp_path, mixed):
    text = page(tmp_path, mixed)
    facts = dict(table_lines(text, "### This machine\n"))
    assert facts["CPU"] == r"Xeon \| &lt;Gold&gt;"
    assert facts["CPU, by its numbers"] == "family 6, model 143, stepping 8"
    assert facts["Memory (GB)"] == "8"
    assert facts["Arena commit"] == "abc123"
    assert facts["Measured"] == "2026-11-22"
    packages = (tmp_path / "details.md").read_text().split("\n## Packages\n", 1)[1]
    assert "- PyTorch eager 2.13.0 (CPU): numpy 2.4.6, torch 2.13.0\n" in packages


def test_a_strangers_text_stays_text(tmp_path, mixed):
    evil = '"Desk|<img src=x>\n## Owned `x`",Tiny,"**best**",1,"[x](https://evil)",match,1,1,1,1,1'
    text = details(tmp_path, mixed, [write_csv(tmp_path / "evil.csv", evil)])
    last = table_lines(text, "\n## Tiny\n")[-1]
    assert len(last) == 7
    assert last[0] == r"Desk\|&lt;img src=x&gt; \#\# Owned \`x\` †"
    assert last[1] == r"\*\*best\*\* 1 (\[x\](https\://evil))"
    assert "by a source that the file does not name" in text


def test_every_table_line_has_the_cells_of_its_header(tmp_path, mixed):
    text = page(tmp_path, mixed, PUBLISHED)
    for each in (text, (tmp_path / "details.md").read_text()):
        shape = None
        for line in each.splitlines():
            bars = re.finditer(r"(?<!\\)\|", line) if line.startswith("|") else ()
            found = [bar.start() for bar in bars]
            assert not found or shape in (None, found), line  # every bar below the one above it
            shape = found or None
            assert line == line.rstrip() or not found


def test_published_models_that_did_not_run_are_named(tmp_path, mixed):
    text = page(tmp_path, mixed, PUBLISHED)
    assert "are not shown: ResNet-50, SmolLM2-135M, SmolVLA, StableDiffusion, Whisper-tiny." in text


def test_our_own_csv_can_be_published_elsewhere(tmp_path, mixed):
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_text(mixed.read_text().replace("This machine", "Their machine"))
    text = details(tmp_path, mixed, [elsewhere])
    found = table_lines(text, "\n## Tiny\n")
    assert [cells[0] for cells in found if cells[0]] == ["This machine", "Their machine †"]
    assert [cells[1:] for cells in found[:4]] == [cells[1:] for cells in found[4:]]
    assert "by arena, elsewhere.csv (2026-11-22, no older than this run), claimed by its source" in text


def refusal(directory, own, **options):
    with pytest.raises(SystemExit) as refused:
        page(directory, own, **options)
    assert not (directory / "report.md").exists()
    return str(refused.value)


def test_incomplete_input_of_this_run_is_refused(tmp_path, mixed):
    assert "No such file" in refusal(tmp_path, tmp_path / "absent.csv")
    place = re.escape(f"{analysis_of(mixed)}: local / Tiny / eager: column")
    for change, words in (
        (lambda row: row.pop("commit"), r"\(s\): no commit; delete the file and collect"),
        (lambda row: row.update(colour="red"), r"\(s\): unknown colour"),
        (
            lambda row: row.update(inference_ms="40"),
            " 'inference_ms': '40'; expected a finite number, or null",
        ),
        (lambda row: row.update(rounds=True), " 'rounds': True; expected a finite number"),
        (
            lambda row: row.update(latency_noisy="true"),
            " 'latency_noisy': 'true'; expected true, false or null",
        ),
        (
            lambda row: row.update(status="match"),
            " 'status': 'match'; expected pass, close, different, failed",
        ),
        (lambda row: row.update(model=""), " 'model': ''; expected text"),
        (lambda row: row.update(packages=["torch"]), " 'packages': .*; expected an object of versions"),
        (lambda row: row.update(records="round-1.json"), " 'records': .*; expected a list of paths"),
    ):
        before = analysis_of(mixed).read_bytes()
        edit(mixed, lambda rows, change=change: change(rows[0]))
        said = refusal(tmp_path, mixed).replace("local /  / eager", "local / Tiny / eager")
        assert re.search(place + words, said), said
        analysis_of(mixed).write_bytes(before)
    edit(mixed, lambda rows: rows.append(rows[0]))
    assert "local / Tiny / eager is also in" in refusal(tmp_path, mixed)
    edit(mixed, lambda rows: rows.clear())
    assert "no analysis of schema 1 with rows" in refusal(tmp_path, mixed)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"Tiny": 3}'])
def test_bad_captions_are_refused(text):
    with pytest.raises(ValueError, match=r"--captions: (not JSON|no object for model 'Tiny')"):
        inputs.parse_captions(text, [{"model": "Tiny"}])


def test_a_template_that_asks_for_an_unknown_name_is_an_error(tmp_path, mixed):
    template = tmp_path / "t.j2"
    template.write_text("{{ nothing_of_that_name }}")
    report = build.report(analysis.read([analysis_of(mixed)]), [], {"Tiny": {}})
    with pytest.raises(jinja2.UndefinedError, match="nothing_of_that_name"):
        markdown.render(report, template)
