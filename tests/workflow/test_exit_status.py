"""What failed is not forgotten: every run and plan says so, until it is measured again or accepted."""

import json
import subprocess
from types import SimpleNamespace

import pytest
import yaml

from checkout import END_TO_END, SUMMARY, Checkout, copy, name, snapshot
from runner import RUNNER, environ

pytestmark = END_TO_END
MODEL = "ResNet-50"
ROWS = {  # row: its fault, and in which task
    "faulty-none": ("none", "inference"),
    "faulty-error": ("error", "inference"),
    "faulty-task": ("error", "latency"),
    "faulty-hang": ("hang", "inference"),
}
TIMEOUT_S = 20
CODES = {"faulty-error": "error", "faulty-task": "error", "faulty-hang": "timeout"}
CELL = "local/ResNet-50"
ASKED = {"settled", "report", "page"}  # the job of a run that only says what is failed


def config(folder, **changes):
    """The configuration, with ``changes`` of its top level; each fault strikes while a file of its row exists."""
    rows = {
        row: {
            "label": f"Faulty {row}",
            "options": {"fault": fault, "during": task, "while_exists": str(folder / row)},
        }
        for row, (fault, task) in ROWS.items()
    }
    faulty = {"name": "Faulty", "url": "https://example.org/faulty", "license": "MIT", "env": "base"}
    faulty |= {"adapter": "tests/support/adapters/faulty.py", "distribution": "numpy", "rows": rows}
    return {
        "run": {"models": [MODEL], "rows": list(ROWS), "baseline": "faulty-none"},
        "protocol": {"rounds": 1, "timeout_s": TIMEOUT_S, "tasks": ["inference", "latency"]},
        "frameworks": {"faulty": faulty},
    } | changes


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """A run with two failed cells and a failed task."""
    root = copy(tmp_path_factory.mktemp("exit-status"))
    folder = tmp_path_factory.mktemp("triggers")
    for row in CODES:
        (folder / row).touch()
    overlay = folder / "overlay.yaml"
    overlay.write_text(yaml.safe_dump(config(folder)))
    directory = folder / "directory"
    directory.mkdir()
    checkout = Checkout(root, directory, (root / "config/test.yaml", overlay))
    checkout.build_environments()
    return SimpleNamespace(checkout=checkout, folder=folder, overlay=overlay, first=checkout.run())


def benchmarks(checkout):
    return snapshot(checkout.directory / "results/benchmarks")


def lines_of(text):
    return {
        line.strip().partition(": ")[0] for line in text.splitlines() if line.strip().startswith(f"{CELL}/")
    }


def plan(checkout):
    """What `make plan` does."""
    command = [RUNNER / "python", checkout.root / "workflow/tools/plan.py", "--", *checkout.command()[1:]]
    return subprocess.run(
        list(map(str, command)), cwd=checkout.root, env=environ(), capture_output=True, text=True
    )


def accept(failed, *rows, **changes):
    """Accept these rows' failures from now on; or none."""
    entries = [{"row": row, "model": MODEL, "code": CODES[row], "why": "known"} | changes for row in rows]
    failed.overlay.write_text(yaml.safe_dump(config(failed.folder, accepted=entries)))


def test_a_run_with_failures_exits_with_an_error_again_and_again(failed):
    """A failed cell and a failed task in a cell that was measured; with nothing measured again."""
    measured = benchmarks(failed.checkout)
    for done in (failed.first, failed.checkout.run(), failed.checkout.run("--", "results/report.md")):
        assert done.returncode == 1, done.stdout
        assert "2 cell(s) failed and 1 task(s) of measured cells failed" in done.stdout
        told = done.stdout.split("2 cell(s) failed")[1]
        assert lines_of(told) == {
            f"{CELL}/faulty-error",
            f"{CELL}/faulty-task, latency",
            f"{CELL}/faulty-hang",
        }
        assert f"{CELL}/faulty-hang: timeout: no end after {TIMEOUT_S} s" in told
        assert f"`{failed.checkout.directory}/results/retry` measures all of it again" in told
        assert failed.checkout.plan() == ASKED
        assert failed.checkout.report().count("Try again:") == 3
    assert benchmarks(failed.checkout) == measured


def test_a_plan_says_what_is_failed_and_exits_with_an_error(failed):
    done = plan(failed.checkout)
    assert done.returncode == 1, done.stderr
    assert "Nothing to do: every result is up to date." in done.stdout
    for row, code in CODES.items():
        assert any(
            line.startswith(f"Failed before: {CELL}/{row}") and f": {code}: " in line
            for line in done.stdout.splitlines()
        )


def test_what_is_accepted_makes_no_run_fail(failed):
    """Accepted by row, model, code, and platform and task where they are given; nothing else is."""
    checkout = failed.checkout
    try:
        accept(failed, "faulty-error", "faulty-task")
        done = checkout.run()
        assert done.returncode == 1 and "1 cell(s) failed; results" in done.stdout
        assert lines_of(done.stdout.split("1 cell(s) failed")[1]) == {f"{CELL}/faulty-hang"}

        accept(failed, *CODES, platform="local")
        done = checkout.run()
        assert done.returncode == 0, done.stdout
        assert f"Failed, and accepted (known): {CELL}/faulty-hang" in done.stdout
        assert checkout.plan() == set()
        assert plan(checkout).returncode == 0
        assert "Nothing to be done" in checkout.run().stdout

        accept(failed, *CODES, task="latency")
        done = checkout.run()
        assert done.returncode == 1 and "2 cell(s) failed; results" in done.stdout
        accept(failed, *CODES, code="crashed")
        assert "2 cell(s) failed and 1 task(s)" in checkout.run().stdout
    finally:
        accept(failed)
    assert checkout.run().returncode == 1


def test_a_raised_limit_measures_again_what_it_had_ended_and_no_other(failed):
    checkout = failed.checkout
    hang = {
        name("benchmark", model=MODEL, row="faulty-hang"),
        name("validate", model=MODEL, row="faulty-hang"),
    }
    text = failed.overlay.read_text()
    try:
        for seconds, more in ((TIMEOUT_S - 1, set()), (TIMEOUT_S + 1, hang | SUMMARY)):
            changed = config(failed.folder)
            changed["protocol"]["timeout_s"] = seconds
            failed.overlay.write_text(yaml.safe_dump(changed))
            assert checkout.plan() == ASKED | more
        before = benchmarks(checkout)
        done = checkout.run()
        assert f"Measured again, because timeout_s is {TIMEOUT_S + 1}" in done.stdout
        assert f"no end after {TIMEOUT_S + 1} s" in done.stdout.split("2 cell(s) failed")[1]
        after = benchmarks(checkout)
        written = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        assert {path.split("/")[2] for path in written} == {"faulty-hang"}
        assert checkout.plan() == ASKED  # it was ended by the limit of now
    finally:
        failed.overlay.write_text(text)


def test_retry_measures_all_that_failed_and_writes_every_report(failed):
    """Last, because the failures are gone then."""
    checkout, results = failed.checkout, failed.checkout.directory / "results"
    before = benchmarks(checkout)
    dates = {
        file: (results / file).stat().st_mtime_ns for file in ("report.md", "report.html", "report.json")
    }
    for row in CODES:
        (failed.folder / row).unlink()
    done = subprocess.run([results / "retry"], cwd="/", env=environ(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = benchmarks(checkout)
    written = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert {path.split("/")[2] for path in written} == set(CODES)
    assert all((results / file).stat().st_mtime_ns > date for file, date in dates.items())
    assert json.loads((results / "failures/local.json").read_text())["failures"] == []
    assert "Try again" not in checkout.report()
    again = subprocess.run([results / "retry"], cwd="/", env=environ(), capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (0, "Nothing has failed here.\n")
    assert checkout.plan() == set() and checkout.run().returncode == 0


def test_another_path_to_the_same_checkout_measures_nothing_again(failed, tmp_path):
    """After everything was measured; a link to the checkout, and one to the directory."""
    checkout = failed.checkout
    assert checkout.plan() == set()
    (tmp_path / "root").symlink_to(checkout.root)
    (tmp_path / "directory").symlink_to(checkout.directory)
    linked = Checkout(tmp_path / "root", tmp_path / "directory", checkout.configs)
    assert linked.plan("--snakefile", tmp_path / "root" / "Snakefile") == set()
