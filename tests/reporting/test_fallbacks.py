"""A row that was measured without a part of its framework is marked, and a line says which part and why."""

import re

import records
from pages import render
from platform_csv import collected, good, own_csv
from report_text import page, table_lines

WITHOUT = "without AMX tiles: a trial ended with SIGILL"
VERDICTS = [records.verdict_record("eager"), records.verdict_record("compiled")]


def rounds():
    return [*good("eager"), *good("compiled", 41.0, fallback=WITHOUT)]


def test_the_table_says_what_the_rounds_do(tmp_path):
    rows = collected(tmp_path, rounds(), VERDICTS)
    assert [rows[name]["fallback"] for name in ("eager", "compiled")] == ["", WITHOUT]


def test_the_report_marks_the_row_and_says_why(tmp_path):
    text = page(tmp_path, own_csv(tmp_path, rounds(), VERDICTS))
    frameworks = [line[0] for line in table_lines(text, "Weights: seeded", before="\n-")]
    assert [name.endswith(" ▿") for name in frameworks] == [False, True]
    assert f"\n- ▿ PyTorch compiled: measured {WITHOUT}.\n" in text


def test_the_page_marks_it_too(tmp_path):
    text = render(tmp_path, own_csv(tmp_path, rounds(), VERDICTS)).read_text(encoding="utf-8")
    marked = re.findall(r"<t[dh] class=\"fw[^>]*>.*?</small>", text)
    assert [f'<abbr title="Measured {WITHOUT}">▿</abbr>' in each for each in marked] == [False, True]


def test_without_one_there_is_no_mark(tmp_path):
    text = page(tmp_path, own_csv(tmp_path, [*good("eager"), *good("compiled", 41.0)], VERDICTS))
    assert "▿" not in text
