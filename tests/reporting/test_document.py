"""The document: marks with their reasons and sources, and what its writers make of text."""

import pytest

import golden
import records
from platform_csv import analysis_of, good, own_csv
from published_csv import HEADER, write_csv
from reporting import analysis, columns, intake, standing, tables
from reporting.document import build
from reporting.document.reasons import listed
from reporting.document.types import Cell, Work, by_group, place
from reporting.quantities import TIMES
from reporting.writers.text_tables import aligned

INFERENCE = next(each for each in TIMES if each.column == "inference_ms")


def document(directory, rounds, verdicts, rows=("eager", "compiled"), published=()):
    own = analysis.read([analysis_of(own_csv(directory, rounds, verdicts, rows))])
    return build.report(own, list(published), {"Tiny": {}})


def reasons(report, number):
    return {
        each.quantity.column: (each.mark, each.why) for each in report.models[0].lines[number].all_figures
    }


def test_a_wrong_gradient_strikes_inference_and_says_so(tmp_path):
    objection = "training: gradient cosine 0.71 < 0.99 (w)"
    verdicts = [
        records.verdict_record("eager"),
        records.verdict_record("compiled", "different", reasons=[objection]),
    ]
    found = reasons(document(tmp_path, good("eager") + good("compiled", 10.0), verdicts), 1)
    assert found["training_ms"] == ("struck", f"wrong: {objection}")
    whole = f"wrong: {objection}; a row is judged as a whole, so all of it is struck"
    assert found["inference_ms"] == found["latency_ms"] == found["compile_s"] == ("struck", whole)
    assert found["loss"] == ("struck", whole)


def test_a_missing_figure_has_the_reason_of_its_task(tmp_path):
    rounds = good("eager") + good("compiled")
    for record in rounds[:3]:
        record["tasks"]["training"] = records.ended_task("unsupported", "no-training", "it only infers")
    rounds[4]["tasks"]["latency"] = records.ended_task("failed", "timeout", "900 s")
    verdicts = [records.verdict_record("eager"), records.verdict_record("compiled")]
    report = document(tmp_path, rounds, verdicts)
    assert reasons(report, 0)["training_ms"] == ("absent", "unsupported: no-training: it only infers")
    assert reasons(report, 1)["latency_ms"] == ("failed", "failed: timeout: 900 s")
    assert reasons(report, 1)["inference_ms"][0] in ("best", "plain")


def test_a_row_behind_the_first_says_by_how_much(tmp_path):
    verdicts = [records.verdict_record("eager"), records.verdict_record("compiled")]
    report = document(tmp_path, good("eager") + good("compiled", 20.0), verdicts)
    eager, compiled = report.models[0].lines
    assert compiled.figure("inference_ms").why == "first"
    low, high = (eager.row[f"inference_to_best{end}"] for end in ("_low", "_high"))
    assert 1.8 < low < high < 2.2
    ratio = eager.row["inference_to_best"]
    expected = f"{ratio:.2f} ({low:.2f}–{high:.2f}) times the time of PyTorch compiled"  # noqa: RUF001
    assert eager.figure("inference_ms").why == expected
    first = place(report.models[0].lines, INFERENCE)
    assert first.lines == (compiled,) and first.ahead == (ratio, low, high)


def test_a_figure_names_its_records_and_the_command_that_repeats_it(tmp_path):
    report = document(tmp_path, good("eager"), [records.verdict_record("eager")], ("eager",))
    for each in report.models[0].lines[0].all_figures:
        paths = [tmp_path / f"benchmarks/local/Tiny/eager/round-{number}.json" for number in (1, 2, 3)]
        assert each.source.files == tuple(map(str, paths))
        assert all(path.exists() for path in paths)
        assert each.source.command == "results/retry local/Tiny/eager"


def test_published_figures_name_their_table_and_each_of_several(tmp_path):
    lines = ["Desk,Tiny,PyTorch,1,CPU,match,1,40,4,120,6.01", "Desk,Tiny,JAX,1,CPU,failed,,,,,"]
    paths = [write_csv(tmp_path / f"{name}.csv", line) for name, line in zip("ab", lines, strict=True)]
    rows = intake.published(paths)
    assert [row["records"] for row in rows] == [[str(path)] for path in paths]
    report = document(tmp_path, good("eager"), [records.verdict_record("eager")], ("eager",), rows)
    _, pytorch, jax = report.models[0].lines
    assert pytorch.source.files == (str(paths[0]),) and pytorch.source.command is None
    assert jax.figure("inference_ms").why == "failed; its source does not say why"
    # A machine belongs to its file.
    assert [len(group) for group in by_group(report.models[0].lines)] == [1, 1, 1]
    assert (pytorch.machine, jax.machine) == ("Desk (a.csv)", "Desk (b.csv)")


def test_a_line_s_facts_have_their_types_whatever_its_table_lacks(tmp_path):
    header = f"{HEADER},batch,sequence,forward_flops,scale_of,inference_energy_j"
    lines = [
        "Desk,Tiny,JAX,,,match,1,40,4,120,6.01,8,128,2e9,Small,1.5",
        "Desk,Tiny,X,1,CPU,failed,,,,,,,,,,",
    ]
    path = write_csv(tmp_path / "a.csv", *lines, header=header)
    report = document(
        tmp_path, good("eager"), [records.verdict_record("eager")], ("eager",), intake.published([path])
    )
    mine, full, bare = report.models[0].lines
    assert (mine.cell.platform_id, mine.cell.row, mine.cell.table, mine.cell.status) == (
        "local",
        "eager",
        "",
        "pass",
    )
    assert full.cell == Cell("Tiny", "JAX", "", "", "match", "", "", "a.csv", standing.CLAIMED)
    assert full.work == Work("Small", 2e9, 8, 128, None, 1.5) and type(full.work.batch) is int
    assert bare.work == Work(None, None, None, None, None, None) and bare.cell.version == "1"


def test_a_printed_zero_is_never_first_and_keeps_the_place_from_the_others(tmp_path):
    rows = intake.published([golden.PUBLISHED])
    report = document(tmp_path, good("eager"), [records.verdict_record("eager")], ("eager",), rows)
    desk = [line for line in report.models[0].lines if not line.own]
    assert [line.figure("compile_s").mark for line in desk] == ["plain", "plain", "plain", "struck", "failed"]
    assert desk[0].figure("compile_s").why == "a printed 0.00 is no time"
    assert desk[1].figure("compile_s").why == "nobody is first: a printed zero is the smallest, and no time"


def test_csv_and_analysis_say_the_same(tmp_path):
    golden.written(tmp_path)
    read = tables.read([tmp_path / "local.csv"], columns.OWN_STATUSES)
    analysed = analysis.read([tmp_path / "local.json"])
    assert len(read) == len(golden.ROWS)
    assert read == [{name: row[name] for name in columns.NAMES} for row in analysed]


@pytest.mark.parametrize(
    ("names", "text"), [(["A"], "A"), (["A", "B"], "A and B"), (["A", "B", "C"], "A, B and C")]
)
def test_names_are_listed_as_in_a_sentence(names, text):
    assert listed(names) == text


def test_tables_are_aligned_as_their_rule_asks():
    text = "| a | b | c |\n|---|---:|:---:|\n| word | 1 | x |\n| ä̈ | 100 | **漢字** |\n"
    assert aligned(text).splitlines() == [
        "| a    |   b |    c     |",
        "| ---- | --: | :------: |",
        "| word |   1 |    x     |",
        "| ä̈    | 100 | **漢字** |",
    ]


def test_what_is_no_table_of_ours_stays_as_it_is():
    text = "```text\n| a | bb |\n|---|---|\n| ccc | d |\n```\n| a | b |\nno rule follows\n"
    assert aligned(text) == text
    assert aligned("| a \\| b |\n|---|\n") == "| a \\| b |\n| ------ |\n"
