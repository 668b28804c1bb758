"""Rounds beyond the planned ones: who gets them, that they are kept, and what measuring one cell again repeats."""

import re
import subprocess

import pytest
import yaml

from arena.contract import decision
from checkout import END_TO_END, Checkout, copy, judging, measuring, snapshot
from runner import RUNNER, environ

pytestmark = [*END_TO_END, pytest.mark.exclusive]
MODEL = "ResNet-50"
CALM = [f"calm-{number}" for number in range(5)]  # enough cells for a prior
UNSTEADY, BROKEN = "unsteady", "broken"
ROWS = [*CALM, UNSTEADY, BROKEN]
PLANNED, MOST = 2, 4


def config(sleeps):
    """Rows that sleep for each round's seconds, and one that fails."""
    rows = {row: {"label": row, "options": {"sleeps_s": seconds}} for row, seconds in sleeps.items()}
    rows[BROKEN] = {"label": BROKEN, "options": {"fault": "error"}}
    sleepy = {"name": "Sleepy", "url": "https://example.org/sleepy", "license": "MIT", "env": "base"}
    sleepy |= {"adapter": "tests/support/adapters/faulty.py", "distribution": "numpy", "rows": rows}
    return {
        "run": {"models": [MODEL], "rows": ROWS, "baseline": CALM[0]},
        "protocol": {
            "rounds": PLANNED,
            # Between 0.05 and 0.09 s, a busy machine makes no difference of a tenth.
            "adaptive": {"target": 0.1, "max_rounds": MOST, "max_seconds": None},
            "tasks": ["inference"],
            "exclusive": True,
        },
        # It computes zeros, and wrong cells get no more rounds.
        "gate": {
            "float32": {"relative_l2": 2.0, "max_error": 2.0, "top1_agreement": 0.0, "loss_error": 100.0}
        },
        "frameworks": {"sleepy": sleepy},
        "accepted": [{"row": BROKEN, "model": MODEL, "code": "error", "why": "it is broken on purpose"}],
    }


SLEEPS = {row: [0.05] for row in CALM} | {UNSTEADY: [0.05, 0.09]}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Nothing is measured yet."""
    folder = tmp_path_factory.mktemp("adaptive")
    for place in ("root", "directory"):
        (folder / place).mkdir()
    root = copy(folder / "root")
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config(SLEEPS)))
    made = Checkout(root, folder / "directory", (root / "config/test.yaml", file))
    made.build_environments()
    return made


def plan_in_words(checkout):
    """What `make plan` prints."""
    command = [str(RUNNER / "python"), str(checkout.root / "workflow/tools/plan.py")]
    command += ["--", "results/report.md", "results/report.html", *checkout.command()[1:]]
    done = subprocess.run(command, cwd=checkout.root, env=environ(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def extra(text):
    """How many extra rounds a plan says there are at most; None if it says nothing of any."""
    found = re.search(r"Extra rounds, not in the table: at most (\d+) ", text)
    return found and int(found[1])


def decided(checkout):
    return decision.read(checkout.directory / "results/adaptive/local.json").cells


def counts(checkout):
    """Rounds of each row in the table."""
    return {row["row"]: int(row["rounds"]) for row in checkout.table()}


@pytest.fixture(scope="module")
def measured(checkout):
    before = plan_in_words(checkout)
    jobs = checkout.plan()
    done = checkout.run()
    assert done.returncode == 0, done.stdout
    return before, jobs


def test_the_plan_knows_the_planned_rounds_and_the_most_that_may_follow(measured):
    before, jobs = measured
    assert extra(before) == len(ROWS) * (MOST - PLANNED)
    planned = measuring([MODEL], ROWS, range(1, PLANNED + 1)) | judging([MODEL], ROWS)
    assert planned | {"decide_rounds"} <= jobs
    assert not measuring([MODEL], ROWS, range(PLANNED + 1, MOST + 1)) & jobs


def test_only_the_unsteady_cell_got_more_rounds(checkout, measured):
    got = {row: PLANNED for row in ROWS} | {UNSTEADY: MOST}
    assert {cell.removeprefix(f"{MODEL}/"): each.rounds for cell, each in decided(checkout).items()} == got
    assert counts(checkout) == got
    found = {(record.cell.row, record.round) for record in checkout.rounds()}
    assert found == {(row, n) for row, count in got.items() for n in range(1, count + 1)}
    assert "inference ± " in decided(checkout)[f"{MODEL}/{UNSTEADY}"].why
    assert decided(checkout)[f"{MODEL}/{BROKEN}"].why == "failed: no further rounds"
    # Its verdict is on all its rounds, and they come after every planned one.
    verdicts = sorted(
        path.name for path in checkout.directory.glob(f"results/validation/local/{MODEL}/{UNSTEADY}/*")
    )
    assert verdicts == [f"rounds-{MOST}.json"]
    order = [record.round for record in sorted(checkout.rounds(), key=lambda record: record.started)]
    assert order == sorted(order)
    assert {row["inference_samples"] != "" for row in checkout.table() if row["row"] != BROKEN} == {True}


def test_a_run_with_nothing_to_do_does_nothing(checkout, measured):
    before = snapshot(checkout.directory / "results")
    assert checkout.plan() == set()
    done = checkout.run()
    assert "Nothing to be done" in done.stdout
    assert snapshot(checkout.directory / "results") == before
    assert plan_in_words(checkout).startswith("Nothing to do")


def run_with(checkout, sleeps):
    """Run with other sleeps: (the jobs planned, the files of rounds and verdicts that were written)."""
    checkout.configs[1].write_text(yaml.safe_dump(config(SLEEPS | sleeps)))
    jobs, text = checkout.plan(), plan_in_words(checkout)
    results = checkout.directory / "results"
    before = {kind: snapshot(results / kind) for kind in ("benchmarks", "validation")}
    done = checkout.run()
    assert done.returncode == 0, done.stdout
    written = set()
    for kind, old in before.items():
        new = snapshot(results / kind)
        changed = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
        written |= {path for path in changed if path.endswith(".json")}
    assert checkout.plan() == set()
    return jobs, text, written


def files(row, *numbers):
    """What measuring the row's cell anew writes, so many rounds."""
    cell = f"local/{MODEL}/{row}"
    verdicts = {f"{cell}.json"} | {f"{cell}/rounds-{n}.json" for n in numbers[-1:] if n > PLANNED}
    return verdicts | {f"{cell}/round-{n}.json" for n in numbers}


def test_measuring_one_cell_again_repeats_no_other_and_keeps_its_extra_rounds(checkout, measured):
    jobs, text, written = run_with(checkout, {"calm-1": [0.06]})
    planned = measuring([MODEL], ["calm-1"], range(1, PLANNED + 1))
    assert jobs == planned | judging([MODEL], ["calm-1"]) | {"decide_rounds"}
    assert extra(text) == MOST - PLANNED
    assert written == files("calm-1", 1, 2)
    assert counts(checkout) == {row: PLANNED for row in ROWS} | {UNSTEADY: MOST}


def test_a_cell_that_has_become_unsteady_gets_more_and_one_that_is_calm_again_does_not(checkout, measured):
    _, _, written = run_with(checkout, {"calm-1": [0.06, 0.11]})
    assert written == files("calm-1", 1, 2, 3, 4)
    assert counts(checkout) == {row: PLANNED for row in ROWS} | {UNSTEADY: MOST, "calm-1": MOST}
    _, _, written = run_with(checkout, {})
    assert written == files("calm-1", 1, 2)
    assert counts(checkout) == {row: PLANNED for row in ROWS} | {UNSTEADY: MOST}


def test_rows_that_a_run_without_extra_rounds_left_out_are_measured_by_one_with_them(checkout, tmp_path):
    """As after `make report MINUTES=8`: tables are there, and no decision on their cells."""
    wanted = config(SLEEPS)
    wanted["protocol"]["adaptive"]["max_rounds"] = PLANNED
    wanted["run"]["rows"] = CALM[:1]
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(wanted))
    few = Checkout(checkout.root, tmp_path / "directory", (checkout.root / "config/test.yaml", file))
    few.directory.mkdir()
    few.build_environments()
    done = few.run()
    assert done.returncode == 0, done.stdout
    file.write_text(yaml.safe_dump(config(SLEEPS)))
    missing = ROWS[1:]
    assert few.plan() >= measuring([MODEL], missing, range(1, PLANNED + 1)) | {"decide_rounds"}
