"""Tables of earlier runs: kept once for each state, found again, and compared."""

import os
import subprocess
import sys

import pytest

from published_csv import LINE, write_csv
from reporting import history
from runner import REPOSITORY


def write(results, text, seconds, platform="local"):
    table = results / f"platforms/{platform}.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(text)
    os.utime(table, (seconds, seconds))


def test_each_state_of_a_table_is_kept_once_under_its_own_date(tmp_path):
    write(tmp_path, "first", 0)
    write(tmp_path, "other", 86400, "cluster")
    names = [str(path.relative_to(tmp_path)) for path in history.keep(tmp_path)]
    assert [name[:-12] for name in names] == [
        "history/cluster/19700102T000000Z-",
        "history/local/19700101T000000Z-",
    ]
    assert history.keep(tmp_path) == []
    write(tmp_path, "first", 3600)  # made again, and equal
    assert history.keep(tmp_path) == []
    write(tmp_path, "second", 7200)
    [kept] = history.keep(tmp_path)
    assert kept.read_text() == "second" and kept.name.startswith("19700101T020000Z-")


def test_the_latest_other_table_is_what_the_present_one_is_compared_with(tmp_path):
    assert history.latest_other(tmp_path, "local") is None
    for number, text in enumerate(("first", "second", "third")):
        write(tmp_path, text, 3600 * number)
        history.keep(tmp_path)
    assert history.latest_other(tmp_path, "local").read_text() == "second"
    write(tmp_path, "fourth", 9000)
    assert history.latest_other(tmp_path, "local").read_text() == "third"


def test_the_newest_tables_are_read_in_the_order_of_their_names(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "MOST", 3)
    for number in (2, 3, 1):
        write_csv(kept(tmp_path, number), LINE.replace("40", f"{number}"))
    assert [rows[0]["inference_ms"] for rows in history.earlier(tmp_path, "local")] == [2, 3]
    assert history.earlier(tmp_path, "other") == []


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "20261101T120000Z-0000000a.csv",
            "platform\n",
            r"a\.csv:1: no column 'model'.*; move the table elsewhere",
        ),
        ("mine.csv", "platform\n", r"mine\.csv: expected a name such as .*; move it elsewhere"),
    ],
)
def test_what_is_no_table_of_a_run_is_refused_by_its_path(tmp_path, name, text, says):
    kept(tmp_path, 1)
    (tmp_path / "local" / name).write_text(text)
    with pytest.raises(ValueError, match=says):
        history.earlier(tmp_path, "local")


def kept(folder, number):
    """A path of the name that a run gives."""
    (folder / "local").mkdir(exist_ok=True)
    return folder / "local" / f"2026110{number}T120000Z-0000000{number}.csv"


def test_nothing_is_kept_of_no_run(tmp_path):
    assert history.keep(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    done = subprocess.run(
        [sys.executable, REPOSITORY / "workflow/tools/since.py", "--results", tmp_path], capture_output=True
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"platforms holds no table; `make report` writes one" in done.stderr


def test_the_tables_are_those_of_the_directory_that_snakemake_is_given(tmp_path):
    command = [sys.executable, REPOSITORY / "workflow/tools/since.py", "--directory", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and f"{tmp_path}/results/platforms holds no table" in done.stderr
