"""Two tables, or two runs, compared: what is said and what the exit status is."""

import csv
import json
import re
import subprocess
import sys

import pytest

import compare
from pages import mixed, published_row, write_rows
from published_csv import ORIGINAL
from reporting import changes, tables
from reporting.columns import OWN_STATUSES, PUBLISHED_STATUSES, TASKS
from runner import REPOSITORY


def run(*arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["compare.py", *map(str, arguments)])
        return compare.main()


def edited(path, target, *edits):
    """A copy of a CSV; ``edits`` are (row number, changes)."""
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for number, values in edits:
        rows[number] |= values
    return write_rows(target, *rows)


@pytest.fixture
def old(tmp_path):
    return mixed(tmp_path / "old")


def test_a_table_against_itself_has_no_changes(old, capsys):
    assert run(old, old) == 0
    assert "9 same." in capsys.readouterr().out


def test_slower_and_faster_have_their_interval_and_slower_is_an_error(tmp_path, old, capsys):
    new = mixed(tmp_path / "new", eager=80.0, compiled=20.0)
    assert run(old, new) == 1
    text = capsys.readouterr().out
    slower, faster = (text.split(f"## {title}\n")[1].split("\n## ")[0] for title in ("Slower", "Faster"))
    assert slower.count("| PyTorch eager |") == 3 and faster.count("| PyTorch compiled |") == 3
    line = next(line for line in slower.splitlines() if "inference" in line)
    ratio, low, high = map(float, re.search(r"\| ([\d.]+) \| ([\d.]+)–([\d.]+) \(95 %, from", line).groups())  # noqa: RUF001
    assert 1.8 < low < ratio < high < 2.2
    assert run(new, mixed(tmp_path / "fast", eager=40.0, compiled=10.0)) == 0


def test_results_directories_bring_their_tables(tmp_path, capsys):
    for name, milliseconds in (("old", 40.0), ("new", 80.0)):
        mixed(tmp_path / name, eager=milliseconds)
        (tmp_path / name / "platforms").mkdir()
        (tmp_path / name / "local.csv").rename(tmp_path / name / "platforms/local.csv")
    out = tmp_path / "changes.md"
    assert run(tmp_path / "old", tmp_path / "new", "--out", out) == 1
    text = out.read_text(encoding="utf-8")
    assert "(95 %, from the two intervals)" in text and capsys.readouterr().out == ""
    assert text.count("| PyTorch eager |") == 3


def test_a_small_difference_counts_by_the_threshold(tmp_path, old):
    new = mixed(tmp_path / "new", eager=44.0)
    assert run(old, new, "--threshold", "1.05") == 1
    assert run(old, new, "--threshold", "1.3") == 0


def test_broken_fixed_new_and_gone_cells(tmp_path, old, capsys):
    gone = {name: "" for name in ("compile_s", "inference_ms", "latency_ms", "training_ms")}
    broken = edited(old, tmp_path / "broken.csv", (0, gone | {"status": "failed", "verdict": ""}))
    assert run(old, broken) == 1
    assert "| This machine | Tiny | PyTorch eager | status | pass | failed |" in capsys.readouterr().out
    assert run(broken, old) == 0
    assert "## Fixed" in capsys.readouterr().out
    other = edited(old, tmp_path / "other.csv", (3, {"row": "jax2", "framework": "JAX 2"}))
    assert run(old, other) == 0
    text = capsys.readouterr().out
    assert "## New cells" in text and "## Cells that are gone" in text


def test_a_task_that_no_longer_runs_is_broken(tmp_path, old):
    new = edited(old, tmp_path / "new.csv", (0, {"training_ms": "", "training_status": "failed"}))
    before, after = tables.read([old], OWN_STATUSES), tables.read([new], OWN_STATUSES)
    (change,) = [each for each in changes.compare(before, after) if each.kind == changes.BROKE]
    assert (change.column, change.old, change.new) == ("training_ms", "ok", "failed")


def test_figures_without_intervals_are_listed_and_not_judged(tmp_path, capsys):
    old = write_rows(tmp_path / "a.csv", published_row())
    new = write_rows(tmp_path / "b.csv", published_row(inference_ms="400"))
    assert run(old, new) == 0
    text = capsys.readouterr().out
    assert "## Without an interval, so not judged" in text and "| 10.0 | — |" in text


def test_machines_are_matched_by_name_where_there_are_several():
    rows = tables.read(ORIGINAL, PUBLISHED_STATUSES)
    found = changes.compare(rows, rows[::-1])
    assert {(change.kind, change.ratio) for change in found} == {(changes.UNSURE, 1.0)}
    times = [row[f"{task}_ms"] for row in rows if row["status"] == "match" for task in TASKS]
    assert len(found) == sum(map(bool, times))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.csv", "absent.csv"], "No such file"),
        (["bad.csv", "bad.csv"], "bad.csv:2: column 'status': 'fine'"),
        ([".", "."], "no platforms/*.csv"),
        (["bad.csv", "bad.csv", "--threshold", "0.5"], "expected 1 or more"),
    ],
)
def test_what_cannot_be_read_exits_with_two(tmp_path, arguments, words):
    write_rows(tmp_path / "bad.csv", published_row(status="fine"))
    script = REPOSITORY / "workflow/tools/compare.py"
    done = subprocess.run([sys.executable, script, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and words in done.stderr and done.stdout == ""


def test_versions_that_differ_are_told_once_for_all_cells(tmp_path, old, capsys):
    def packages(jax, numpy):
        return json.dumps({"jax": jax, "jaxlib": jax, "numpy": numpy})

    first = edited(
        old, tmp_path / "first.csv", *((n, {"packages": packages("0.10.2", "2.4.5")}) for n in (0, 1))
    )
    second = edited(
        old, tmp_path / "second.csv", *((n, {"packages": packages("0.10.3", "2.4.5")}) for n in (0, 1))
    )
    second = edited(
        second, tmp_path / "third.csv", *((n, {"kernel": "Linux 7", "version": "9.9"}) for n in range(4))
    )
    run(first, second)
    lines = capsys.readouterr().out.split("## Versions\n\n")[1].split("\n\n")[0].splitlines()
    rows = tables.read([second], OWN_STATUSES)
    names = [row["framework"] for row in rows[:2]]
    assert lines[:2] == [
        f"- jax 0.10.2 → 0.10.3 ({', '.join(names)})",
        f"- jaxlib 0.10.2 → 0.10.3 ({', '.join(names)})",
    ]
    assert any(
        line.startswith("- kernel ") and line.endswith("→ Linux 7 (every framework)") for line in lines
    )
    assert [line for line in lines if line.endswith(f"→ 9.9 ({names[0]})")] == [
        f"- {names[0]} 2.13.0 → 9.9 ({names[0]})"
    ]
    assert not any("numpy" in line for line in lines)
    run(second, second)
    assert "## Versions" not in capsys.readouterr().out
