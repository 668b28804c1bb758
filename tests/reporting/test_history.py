"""Tables of earlier runs: kept once for each state, found again, and compared."""

import os
import subprocess
import sys

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


def test_nothing_is_kept_of_no_run(tmp_path):
    assert history.keep(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    done = subprocess.run(
        [sys.executable, REPOSITORY / "workflow/tools/since.py", "--results", tmp_path], capture_output=True
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"platforms holds no table; `make report` writes one" in done.stderr
