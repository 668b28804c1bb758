"""What the report is made of: reading CSVs, printing figures and text, choosing the best."""

import csv
import re

import pytest

from published_csv import ELEVEN, LINE, ORIGINAL, write_csv
from reporting import columns, comparison, quantities, tables
from reporting import markdown as md
from reporting.document import build
from reporting.groups import grouped

# Reading


def test_published_files_are_read_whole():
    rows = tables.read(ORIGINAL, columns.PUBLISHED_STATUSES)
    assert len(ORIGINAL) == 7
    assert len(rows) == 285
    assert {row["measured_by"] for row in rows} == {"kvark/inferena"}
    assert {row["model"] for row in rows} == {
        *("SmolLM2-135M", "SmolVLA", "StableDiffusion", "Whisper-tiny", "ResNet-50")
    }
    first = next(row for row in rows if row["platform"] == "Apple M3")
    assert (first["framework"], first["inference_ms"], first["compile_s"]) == ("PyTorch", 356.0, 0.0)
    assert sum(row["loss"] == float("inf") for row in rows) == 1


def test_published_figures_are_printed_as_published():
    for path in ORIGINAL:
        with open(path, encoding="utf-8", newline="") as stream:
            texts = list(csv.DictReader(stream))
        for text, row in zip(texts, tables.read([path], columns.PUBLISHED_STATUSES), strict=True):
            for name, form in comparison.FIGURES.items():
                assert text[name] == ("" if row[name] is None else form(row[name])), (path, row)
            if row["loss"] is not None:
                assert build.LOSS.form(row["loss"]) == text["loss"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["Desk,Tiny,PyTorch,1,CPU,fine,1,40,4,120,6"], "2: column 'status': 'fine'; expected pass, close"),
        (
            ["Desk,Tiny,PyTorch,1,CPU,pass,1,-40,4,120,6"],
            "2: column 'inference_ms': '-40'; expected a finite",
        ),
        ([LINE, "Desk,Tiny,JAX,1,CPU,pass,nan,4,4,1,6"], "3: column 'compile_s': 'nan'; expected a finite"),
        (["Desk,Tiny,PyTorch,1,CPU,pass,1,inf,4,120,6"], "2: column 'inference_ms': 'inf'"),
        (["Desk,Tiny,PyTorch,1,CPU,pass,1,∞,4,120,6"], "2: column 'inference_ms': '∞'"),
        (["Desk,Tiny,PyTorch,1,CPU,pass,1,1e999,4,120,6"], "2: column 'inference_ms': '1e999'"),
        (["Desk,Tiny,PyTorch,1,CPU,pass,1,4_0,4,120,6"], "2: column 'inference_ms': '4_0'"),
        (["Desk,Tiny,PyTorch,1,CPU,pass,1,40,4,fast,6"], "2: column 'training_ms': 'fast'"),
        (["Desk,,PyTorch,1,CPU,pass,1,40,4,120,6"], "2: column 'model': empty; expected a name"),
        ([LINE, LINE], "3: Desk / Tiny / PyTorch is also at .*:2; expected each cell once"),
        (["Desk,Tiny,PyTorch"], "2: 3 fields; expected 11"),
        (['Desk,"Tiny'], "not CSV"),
    ],
)
def test_bad_lines_are_refused_with_file_line_and_column(tmp_path, lines, words):
    path = write_csv(tmp_path / "bad.csv", *lines)
    with pytest.raises(ValueError, match=f"bad\\.csv:{words}" if words[0].isdigit() else words):
        tables.read([path], columns.PUBLISHED_STATUSES)


@pytest.mark.parametrize("missing", ELEVEN)
def test_a_missing_column_is_named(tmp_path, missing):
    header = ",".join(name for name in ELEVEN if name != missing)
    path = write_csv(tmp_path / "bad.csv", header=header)
    with pytest.raises(ValueError, match=f"bad\\.csv:1: no column '{missing}'; expected at least platform"):
        tables.read([path], columns.PUBLISHED_STATUSES)


def test_other_malformed_files_are_refused(tmp_path):
    twice = write_csv(tmp_path / "twice.csv", header=",".join((*ELEVEN, "loss")))
    with pytest.raises(ValueError, match=r"twice\.csv:1: column 'loss' occurs twice"):
        tables.read([twice], columns.OWN_STATUSES)
    latin = tmp_path / "latin.csv"
    latin.write_bytes((",".join(ELEVEN) + "\n" + LINE.replace("Desk", "Büro") + "\n").encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.csv: not UTF-8"):
        tables.read([latin], columns.OWN_STATUSES)
    flags = write_csv(tmp_path / "flags.csv", f"{LINE},maybe", header=",".join((*ELEVEN, "latency_noisy")))
    with pytest.raises(ValueError, match=r"flags\.csv:2: column 'latency_noisy': 'maybe'; expected true"):
        tables.read([flags], columns.OWN_STATUSES)
    packages = write_csv(tmp_path / "packages.csv", f"{LINE},[1]", header=",".join((*ELEVEN, "packages")))
    with pytest.raises(ValueError, match=r"packages\.csv:2: column 'packages'"):
        tables.read([packages], columns.OWN_STATUSES)


def test_line_numbers_count_line_breaks_inside_fields(tmp_path):
    path = write_csv(
        tmp_path / "long.csv",
        f'{LINE},"one\ntwo\nthree"',
        f"{LINE.replace('pass', 'fine')},",
        header=",".join((*ELEVEN, "log_tail")),
    )
    with pytest.raises(ValueError, match=r"long\.csv:5: column 'status'"):
        tables.read([path], columns.OWN_STATUSES)


def test_a_cell_in_two_files_is_refused_naming_both(tmp_path):
    paths = [write_csv(tmp_path / name, LINE) for name in ("a.csv", "b.csv")]
    with pytest.raises(ValueError, match=r"b\.csv:2: .*a\.csv:2"):
        tables.read(paths, columns.PUBLISHED_STATUSES)


def test_match_is_a_status_of_published_files_only(tmp_path):
    path = write_csv(tmp_path / "a.csv", LINE.replace("pass", "match"))
    assert tables.read([path], columns.PUBLISHED_STATUSES)[0]["status"] == "match"
    with pytest.raises(ValueError, match="'match'; expected pass, close, different, failed, unsupported"):
        tables.read([path], columns.OWN_STATUSES)


# Figures and text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.4, "1234"),
        (10.0, "10"),
        (9.96, "10"),
        (9.94, "9.9"),
        (0.84, "0.8"),
        (0.042, "0.042"),
        (3e-5, "0.000030"),
    ],
)
def test_milliseconds(value, text):
    assert md.milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (296.512, 4, "296.5"),
        (123456, 4, "123500"),
        (0.99951, 3, "1.000"),
        (1.024, 3, "1.02"),
        (0, 3, "0"),
        (-2.5, 2, "-2.5"),
    ],
)
def test_significant_digits(value, digits, text):
    assert md.significant(value, digits) == text


@pytest.mark.parametrize("value", [1e-9, 4e-4, 0.004, 0.04, 0.4])
def test_no_positive_time_is_printed_as_zero(value):
    assert float(md.milliseconds(value)) > 0
    assert float(md.seconds(value)) > 0


def test_text_is_escaped_once_and_on_one_line():
    evil = "a|b `c` *d*\n# e\r\n<script>alert(1)</script>\x1b[31m \u202e[x](https://evil) ~~y~~ $z$ & \\"
    text = md.escaped(evil)
    assert "\n" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not re.search(r"(?<!\\)[|`*\[\]~$#]", text)
    assert "<" not in text
    assert r"https\://evil" in text
    assert text.endswith(r"&amp; \\")
    assert md.escaped(text) is text


def test_code_and_blocks_cannot_be_left():
    assert md.code("a `b` c") == "``a `b` c``"
    assert md.code("`b`") == "`` `b` ``"
    assert md.block("x\n````\n\x1b[0my\tz") == "`````text\nx\n````\n[0my\tz\n`````"


def test_links_are_plain_addresses_only():
    assert md.link("a]b", "https://example.org/x") == r"[a\]b](https://example.org/x)"
    assert md.link("a", "javascript:alert(1)") == "a"
    assert md.link("a", "https://example.org/) [x](y") == "a"


# The best


def row(framework, status="match", **figures):
    empty = dict.fromkeys((*comparison.FIGURES, "loss", "version", "backend"))
    return empty | {"platform": "P", "framework": framework, "status": status} | figures


def names(rows):
    return [each["framework"] for each in rows]


def test_best_of_published_rows_is_the_smallest_match_and_never_zero():
    rows = [
        row("A", compile_s=0.0, inference_ms=5.0),
        row("B", compile_s=2.0, inference_ms=4.0),
        row("C", "different", compile_s=0.1, inference_ms=1.0),
        row("D", compile_s=2.0, inference_ms=None),
        row("E", "failed"),
    ]
    assert names(comparison.best(rows, "compile_s")) == ["B", "D"]
    assert names(comparison.best(rows, "inference_ms")) == ["B"]
    assert comparison.best(rows, "training_ms") == []


def test_best_of_own_rows_is_every_row_tied_with_the_fastest():
    rows = [
        row("slow", "pass", latency_ms=2.0, latency_to_best_low=1.8),
        row("tied", "pass", latency_ms=1.1, latency_to_best_low=0.97),
        row("fast", "pass", latency_ms=1.0, latency_to_best_low=1.0),
        row("close", "close", latency_ms=0.5, latency_to_best_low=None),
    ]
    assert names(comparison.best(rows, "latency_ms")) == ["fast", "tied"]


def test_who_is_first_was_decided_once_where_the_csv_says_so():
    rows = [
        row("slow", "pass", latency_ms=1.03, latency_to_best_low=1.01, latency_first=False),
        row("near", "pass", latency_ms=1.01, latency_to_best_low=1.005, latency_first=True),
        row("fast", "pass", latency_ms=1.0, latency_to_best_low=1.0, latency_first=True),
        row("close", "close", latency_ms=0.5, latency_first=None),
    ]
    assert names(comparison.best(rows, "latency_ms")) == ["fast", "near"]
    rates = [
        row("low", "pass", prefill_tokens_per_s=9.0, prefill_tokens_per_s_first=False),
        row("tied", "pass", prefill_tokens_per_s=9.9, prefill_tokens_per_s_first=True),
        row("high", "pass", prefill_tokens_per_s=10.0, prefill_tokens_per_s_first=True),
    ]
    assert names(quantities.best(rates, quantities.RATES[0])) == ["high", "tied"]


def test_machines_and_lanes_have_their_own_best():
    rows = [
        row("A", inference_ms=5.0),
        row("B", inference_ms=6.0),
        row("A", inference_ms=9.0) | {"platform": "Q"},
        row("A half", "pass", inference_ms=1.0) | {"lane": "float16"},
    ]
    groups = grouped([], [each | {"model": "Tiny"} for each in rows])
    lines = [
        line
        for group in groups
        for line in build.lines(group, quantities.TIMES, {("claimed", None, None): "†"}, {})
    ]
    found = [
        (line.machine, line.lane, line.row["framework"], line.figure("inference_ms").mark) for line in lines
    ]
    assert found == [
        ("P", "", "A", "best"),
        ("P", "", "B", "plain"),
        ("Q", "", "A", "best"),
        ("P", "float16", "A half", "best"),
    ]
