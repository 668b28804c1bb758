"""When something fails: what is recorded and shown, that nothing else is lost, and how to go on."""

import hashlib
import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml

from arena.contract.round import Order
from arena.measuring import machine
from checkout import END_TO_END, Checkout, append, copy, snapshot
from runner import environ

pytestmark = [*END_TO_END, pytest.mark.exclusive]
MODEL = "ResNet-50"
SEED = 20261121
HEALTHY = ["pytorch-eager", "onnxruntime"]
FAULTS = {  # reason code, what the detail says
    "segfault": ("crashed", "killed by SIGSEGV during inference"),
    "hang": ("timeout", "no end after 30 s"),
    "error": ("error", "RuntimeError: no kernel image | for `this` device second line"),
    "memory": ("out-of-memory", "the limit is 3000 MB"),
    "garbage": ("bad-result", "unreadable result"),
    "half": ("bad-result", "safetensors"),
    "exit_status": ("bad-result", "exit status 3"),
}


def overlay(run, faults, trigger, **protocol):
    """A config for the miniature with the rows ``{row id: fault}`` of a framework that fails."""
    rows = {
        row: {"label": f"Faulty {fault}", "options": {"fault": fault, "while_exists": str(trigger)}}
        for row, fault in faults.items()
    }
    faulty = {"name": "Faulty", "url": "https://example.org/faulty", "license": "MIT", "env": "base"}
    faulty |= {
        "adapter": "tests/support/adapters/faulty.py",
        "distribution": "numpy",
        "rows": rows,
    }
    return {"run": {"models": [MODEL]} | run, "protocol": protocol, "frameworks": {"faulty": faulty}}


def checkout_with(root, directory, config):
    """The checkout ``root``, to run ``config`` in a new ``directory``."""
    directory.mkdir()
    file = directory.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(config))
    return Checkout(root, directory, (root / "config/test.yaml", file))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return copy(tmp_path_factory.mktemp("failures"))


@pytest.fixture(scope="module")
def failed(root, tmp_path_factory):
    """A run in which one row fails in each way, for as long as the file ``trigger`` exists."""
    folder = tmp_path_factory.mktemp("faults")
    trigger = folder / "trigger"
    trigger.touch()
    rows = {f"faulty-{fault}": fault for fault in FAULTS}
    limits = {"timeout_s": 30, "memory_limit_mb": 3000}
    config = overlay({"rows": [*HEALTHY, *rows]}, rows, trigger, **limits, exclusive=True, threads="auto")
    checkout = checkout_with(root, folder / "directory", config)
    checkout.build_environments()
    run = checkout.run()
    table = {row["row"]: row for row in checkout.table()}
    return SimpleNamespace(
        checkout=checkout,
        run=run,
        trigger=trigger,
        table=table,
        rounds=checkout.rounds(),
        report=checkout.report(),
        details=checkout.details(),
    )


def test_the_run_says_that_cells_failed(failed):
    assert failed.run.returncode == 1
    said = f"{len(FAULTS)} cell(s) failed; results/report.md says why and how to try again:"
    assert said in failed.run.stdout
    told = failed.run.stdout.split(said)[1]
    for fault, (code, detail) in FAULTS.items():
        line = next(line for line in told.splitlines() if f"local/{MODEL}/faulty-{fault}:" in line)
        assert f": {code}: " in line and detail in line
    for row in HEALTHY:
        assert f"/{row}" not in told


def test_cells_are_measured_in_the_recorded_order(failed):
    """Every round 1 before any round 2, shuffled within a round, and nothing before all is prepared."""
    rounds = failed.rounds
    assert len(rounds) == 2 * len(failed.table)
    for record in rounds:
        text = f"{SEED}:{record.round}:local:{MODEL}:{record.cell.row}"
        key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:3], "big")
        assert record.order == Order(seed=SEED, key=key)
        assert record.cell.threads == machine.usable_threads(failed.checkout.cores)
    # One cell at a time, so that they end in the order in which they start.
    order = [(record.round, -record.order.key) for record in rounds]
    assert order == sorted(order)

    begin = datetime.fromisoformat(min(record.started for record in rounds)).timestamp()
    folders = [failed.checkout.directory / "results" / kind / MODEL for kind in ("models", "exports")]
    prepared = [path for folder in folders for path in folder.rglob("*.*") if path.is_file()]
    assert {"model.safetensors", "reference.json", "model.onnx"} <= {path.name for path in prepared}
    assert [path.name for path in prepared if path.stat().st_mtime > begin + 1] == []


def test_each_failure_has_its_reason_and_costs_its_own_cell(failed):
    assert list(failed.table) == [*HEALTHY, *(f"faulty-{fault}" for fault in FAULTS)]
    for fault, (code, detail) in FAULTS.items():
        row = failed.table[f"faulty-{fault}"]
        assert (row["status"], row["reason_code"]) == ("failed", code), fault
        assert detail in row["reason_detail"], fault
        assert row["inference_ms"] == row["compile_s"] == row["loss"] == "", fault
    for row in map(failed.table.get, HEALTHY):
        assert row["status"] == "pass"
        assert float(row["inference_ms"]) > 0 and float(row["inference_ratio"]) > 0


def test_the_report_says_why_and_how_to_try_again(failed):
    for fault, (code, _) in FAULTS.items():
        assert f": {code}: " in line_of(failed.report, fault)
        assert retry(failed.report, fault).endswith(f"results/retry local/{MODEL}/faulty-{fault}")
    assert "Traceback (most recent call last):" in log(failed.details, "error")
    assert "garbage on the terminal" in log(failed.details, "garbage")
    table = failed.report.split(f"\n## {MODEL}\n")[1].split("†")[0]  # up to the published machines
    crossed = [line for line in table.splitlines() if "✗" in line]
    assert len(crossed) == len(FAULTS) and all("Faulty" in line for line in crossed)


def named(fault):
    """The cell in a regular expression, its name as Markdown has it."""
    return rf"{MODEL}: Faulty {re.escape(fault.replace('_', chr(92) + '_'))} on "


def line_of(report, fault):
    """The report's line on a failed cell."""
    return re.search(rf"^- {named(fault)}.*$", report.split("\n## Failed\n")[1], re.MULTILINE)[0]


def log(details, fault):
    """What the details have of a failed cell's log."""
    heading = re.search(rf"\n### {named(fault)}.*\n", details)
    return details[heading.end() :].split("\n##")[0]


def retry(report, fault):
    """The command that the report gives to try a cell again."""
    return re.search(r"Try again: (`+)(.*)\1\.$", line_of(report, fault))[2]


def own(row):
    """A row's figures but its intervals, ranks and seconds worth it, which all cells of the machine tell together."""
    return {
        name: value for name, value in row.items() if not re.search("_(low|high|first|to_best|worth)", name)
    }


def test_the_command_of_the_report_measures_that_cell_again(failed, tmp_path):
    """As printed, from any folder, once the cause is gone: the cell is measured, and its zeros are struck."""
    checkout = failed.checkout
    results = checkout.directory / "results"
    before = snapshot(results / "benchmarks")
    failed.trigger.unlink()
    command = retry(failed.report, "segfault")
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=environ(), capture_output=True, text=True)
    assert done.returncode == 1, done.stderr  # the other cells' failures stand
    assert f"{len(FAULTS) - 1} cell(s) failed" in done.stderr
    after = snapshot(results / "benchmarks")
    written = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    files = [f"round-{n}.{suffix}" for n in (1, 2) for suffix in ("json", "safetensors")]
    cell = {f"local/{MODEL}/faulty-segfault/{file}" for file in ["gradients.safetensors", *files]}
    assert {path for path in written if "/cache/" not in path} == cell

    table = {row["row"]: row for row in checkout.table()}
    row = table.pop("faulty-segfault")
    assert (row["status"], row["reason_code"], row["rounds"]) == ("different", "", "2")
    assert float(row["relative_l2"]) == 1.0  # the error of zeros is the reference itself
    others = {name: old for name, old in failed.table.items() if name != "faulty-segfault"}
    assert {name: own(row) for name, row in table.items()} == {name: own(row) for name, row in others.items()}
    report = checkout.report()
    line = next(line for line in report.splitlines() if line.startswith("| Faulty segfault"))
    assert "✗" not in line and re.search(r"~~[\d.]+~~", line)
    assert not re.search(named("segfault"), report) and not re.search(named("segfault"), checkout.details())


def test_a_corrupt_published_table_is_refused_with_its_line(failed):
    checkout = failed.checkout
    measured = snapshot(checkout.directory / "results/benchmarks")
    file = "report/published/apple-m3.csv"
    lines = len((checkout.root / file).read_text(encoding="utf-8").splitlines())
    with checkout.edited(file, append("Apple M3,ResNet-50,MLX\n")):
        done = checkout.run()
    assert done.returncode == 1
    assert f"{checkout.root / file}:{lines + 1}: 3 fields; expected 13, as in the header" in done.stdout
    assert checkout.plan() == {"settled", "report", "page"}  # it was refused before any job, and is gone
    assert snapshot(checkout.directory / "results/benchmarks") == measured


def test_a_misspelt_key_is_refused_before_any_job(root, tmp_path):
    checkout = checkout_with(root, tmp_path / "directory", {"run": {"model": [MODEL]}})
    done = checkout.run()
    assert done.returncode == 1
    assert "run.model" in done.stdout and "(did you mean models?)" in done.stdout
    assert not (checkout.directory / "results").exists()


def test_a_killed_run_leaves_nothing_half_read(root, tmp_path):
    """Everything is killed while a cell is measured, as when a machine loses power."""
    trigger = tmp_path / "trigger"
    trigger.touch()
    faults = {"faulty-hang": "hang", "faulty-none": "none"}
    rows = {"rows": list(faults), "baseline": "faulty-none"}
    checkout = checkout_with(root, tmp_path / "directory", overlay(rows, faults, trigger))
    cell = checkout.directory / f"results/benchmarks/local/{MODEL}/faulty-hang"
    kill_while_measuring(checkout, cell)
    assert not (cell / "round-1.json").exists()
    (cell / "round-1.safetensors").write_bytes(b"half a file")  # as by a kill at the very end

    trigger.unlink()
    refused = checkout.run()
    assert refused.returncode == 1 and "--unlock" in refused.stdout
    assert checkout.run("--unlock").returncode == 0
    done = checkout.run()
    assert done.returncode == 0, done.stdout
    assert [(row["row"], row["status"]) for row in checkout.table()] == [(row, "different") for row in faults]
    assert list(checkout.directory.rglob(".measuring-*")) == []
    assert checkout.plan() == set()


def test_a_run_whose_snakemake_is_killed_measures_no_further(root, tmp_path):
    """Killed outright, it can tell nobody. What is left running all the same, the next run ends."""
    trigger = tmp_path / "trigger"
    trigger.touch()
    rows = {"rows": ["faulty-hang"], "baseline": "faulty-hang"}
    config = overlay(rows, {"faulty-hang": "hang"}, trigger, rounds=1)
    checkout = checkout_with(root, tmp_path / "directory", config)
    cell = checkout.directory / f"results/benchmarks/local/{MODEL}/faulty-hang"
    kill_while_measuring(checkout, cell, whole=False)
    assert not (cell / "round-1.json").exists()
    assert checkout.run("--unlock").returncode == 0

    trigger.unlink()
    job = f"results/benchmarks/local/{MODEL}/faulty-hang/.measuring-x/job.json"
    code = "import time; time.sleep(3600)"
    left = subprocess.Popen(
        [sys.executable, "-c", code, "--job", job], cwd=checkout.directory, start_new_session=True
    )
    record = f"results/benchmarks/local/{MODEL}/faulty-hang/round-1.json"
    beside = checkout.run("--nolock", "--", record)  # it may be another run's, which is alive
    assert beside.returncode == 0 and left.poll() is None, beside.stdout

    done = checkout.run()
    assert done.returncode == 0, done.stdout
    what = f"a measurement of local/{MODEL}/faulty-hang (process {left.pid})"
    assert f"Ended what an earlier run here had left running: {what}" in done.stdout
    assert left.wait(10) != 0


def kill_while_measuring(checkout, cell, whole=True):
    """Start a run, and end it and all its processes while ``cell`` is in its inference; or Snakemake alone."""
    checkout.build_environments()
    with open(checkout.directory.with_suffix(".log"), "w+") as log:
        run = subprocess.Popen(
            checkout.command(), cwd=checkout.root, env=environ(), stdout=log, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + 300
            while not in_inference(cell):
                assert time.monotonic() < deadline, Path(log.name).read_text()
                time.sleep(0.1)
        finally:
            family = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
            for process in family if whole else family[:1]:
                process.kill()
            run.wait()
    _, alive = psutil.wait_procs(family[1:], timeout=10)
    assert len(family) >= 3 and alive == []  # Snakemake, the supervisor and the measuring process at least


def in_inference(cell):
    records = [path.read_text() for path in cell.glob(".measuring-*/result.json")]
    return any('"stage": "inference"' in record for record in records)
