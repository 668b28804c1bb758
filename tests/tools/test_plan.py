"""The plan: what it says of a real dry run, and how it estimates durations."""

import subprocess

import pytest

import plan
from planning import reasons, words
from runner import REPOSITORY, RUNNER, environ

SNAKEFILE = """
import json

rule all:
    default_target: True
    input:
        expand("{model}.{row}.txt", model=["SmolVLA", "ResNet-50"], row=["eager", "compiled", "jax"]),
        "reference.txt", "export.txt", "inputs.txt"

rule benchmark:
    input: "{model}.bin"
    output: "{model}.{row}.txt"
    conda: "jax.yaml"
    params: cell=lambda wildcards: json.dumps({"row": wildcards.row, "threads": workflow.cores, "lane": "float32"})
    shell: "cp {input} {output}; : {params.cell:q}"

rule weights:
    output: "{model}.bin"
    shell: "sleep 1.2; echo {wildcards.model} > {output}"

rule reference:
    output: "reference.txt"
    params: tolerance=1
    shell: "date > {output}"

rule export:
    output: "export.txt"
    shell: "date > {output}"

rule inputs:
    input: "make_inputs.py"
    output: "inputs.txt"
    params: code="code arena:0a arena/measuring:1b", seed=1
    shell: "cp {input} {output}; : {params.code}"
"""
TABLE = "rule,model,row,seconds\nbenchmark,SmolVLA,,30\nbenchmark,,,90\n"
OPTIONS = ["--software-deployment-method", "conda", "--cores", "1"]


@pytest.fixture
def workflow(tmp_path, monkeypatch):
    """A small workflow: 2 jobs that make weights, 6 that measure in an environment, and 3 others."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "jax.yaml").write_text("channels: [nodefaults]\ndependencies: [python=3.13]\n")
    (tmp_path / "make_inputs.py").write_text("")
    (tmp_path / "durations.csv").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command, **options):
    return subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=120, **options)


def planned(*arguments):
    """The plan as {first word of a line: rest of it}."""
    script = REPOSITORY / "workflow/tools/plan.py"
    done = run([RUNNER / "python", script, "--durations", "durations.csv", "--", *OPTIONS, *arguments])
    assert done.returncode == 0, done.stderr
    return {line.split(maxsplit=1)[0]: " ".join(line.split()[1:]) for line in done.stdout.splitlines()}


@pytest.mark.slow
def test_plan_of_a_real_workflow(workflow):
    """Of a fresh directory, of a complete one, and after each kind of change."""
    lines = planned()
    assert lines["weights"] == "2 ResNet-50, SmolVLA unknown new"
    # by the table: 30 s each for SmolVLA's three, 90 s for any other model's
    assert lines["benchmark"] == "6 ResNet-50, SmolVLA 3 rows 6 min new"
    assert lines["total"] == "11 6 min + 5 unknown"
    assert lines["rows:"] == "compiled, eager, jax"
    assert lines["environments"].endswith(": jax.yaml")
    assert lines["6"].startswith("of 11 durations were measured on another machine")
    assert lines["5"] == "job(s) of unknown duration are not in the total."
    assert "all" not in lines  # it only names the results
    assert not list(workflow.glob("*.bin"))

    run([RUNNER / "snakemake", *OPTIONS], check=True)
    assert planned() == {"Nothing": "to do: every result is up to date."}

    with (workflow / "jax.yaml").open("a") as stream:
        stream.write("# changed\n")
    (workflow / "make_inputs.py").write_text("changed\n")
    changed = SNAKEFILE.replace("tolerance=1", "tolerance=2").replace(
        'output: "export.txt"\n    shell: "date', 'output: "export.txt"\n    shell: "date -u'
    )
    (workflow / "Snakefile").write_text(changed)
    (workflow / "SmolVLA.jax.txt").unlink()
    lines = planned()
    assert lines["benchmark"].endswith("environment jax.yaml changed (5); new (1)")
    assert lines["inputs"].endswith("changed: make_inputs.py")
    assert lines["reference"].endswith("tolerance 1 → 2")
    assert lines["export"].endswith("the rule's command changed")
    assert "weights" not in lines
    assert "6" not in lines  # this directory's own durations come before the table's

    lines = planned("--forcerun", "weights")
    jobs, *_, seconds, unit, why = lines["weights"].split()
    assert (jobs, unit, why) == ("2", "s", "forced")
    assert 2 <= int(seconds) <= 20  # two jobs that slept for 1.2 s
    assert "follows from the steps above (5)" in lines["benchmark"]

    run([RUNNER / "snakemake", *OPTIONS], check=True)
    (workflow / "Snakefile").write_text(changed.replace("measuring:1b", "measuring:2c"))
    assert planned()["inputs"].endswith("changed: arena/measuring")
    (workflow / "Snakefile").write_text(
        changed.replace("measuring:1b", "measuring:2c").replace("seed=1", "seed=2")
    )
    assert planned()["inputs"].endswith("seed 1 → 2")

    told = planned("--cores", "2")
    assert told["benchmark"].endswith("threads 1 → 2")
    assert told["Measured"] == "again, because threads 1 → 2: every cell"
    assert told["Threads"].startswith("are protocol.threads; where that is auto, as many as cores are given")
    only = planned("--cores", "2", "--", "SmolVLA.jax.txt")
    assert only["benchmark"].startswith("1 SmolVLA jax") and only["benchmark"].endswith("threads 1 → 2")


def test_refusal_of_snakemake_is_passed_on(workflow):
    script = REPOSITORY / "workflow/tools/plan.py"
    done = run([RUNNER / "python", script, "--durations", "durations.csv", "--", *OPTIONS, "no-such-file"])
    assert done.returncode == 1
    assert "no-such-file" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "rule,model,seconds\n",
            ("['rule', 'model', 'seconds']", "expected ['rule', 'model', 'row', 'seconds']"),
        ),
        ("rule,model,row,seconds\nweights,,,fast\n", ("line 2", "'fast'", "a number")),
        ("rule,model,row,seconds\nweights,,,-1\n", ("line 2", "'-1'")),
        ("rule,model,row,seconds\nweights,,,nan\n", ("line 2", "'nan'")),
        ("rule,model,row,seconds\nweights,,\n", ("line 2", "None")),
        ("rule,model,row,seconds\na,,,1\na,,,2\n", ("line 3", "a, , ", "remove one")),
    ],
)
def test_bad_durations_are_refused(tmp_path, text, words):
    path = tmp_path / "durations.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"durations\.csv") as caught:
        plan.read_durations(path)
    for word in words:
        assert word in str(caught.value)


def test_no_durations_yet(tmp_path):
    assert plan.read_durations(tmp_path / "absent.csv") == {}


def job(rule, seconds=None, **wildcards):
    return {"rule": rule, "wildcards": wildcards, "reason": "", "env": None, "seconds": seconds}


def test_estimate_prefers_the_closest_source():
    past = [
        job("repeat", 4.0, model="m", row="r", n="2"),
        job("repeat", 8.0, model="m", row="r", n="3"),
        job("repeat", 9.0, model="m", row="other", n="2"),
        job("weights", None, model="m"),
    ]
    table = {
        ("repeat", "m", "r"): 100.0,
        ("repeat", "m", "new"): 50.0,
        ("repeat", "m", ""): 20.0,
        ("weights", "", ""): 3.0,
    }
    estimator = plan.Estimator(past, table)
    assert estimator.seconds(job("repeat", model="m", row="r", n="3")) == 8.0  # its own
    assert estimator.seconds(job("repeat", model="m", row="r", n="4")) == 6.0  # median of the cell's rounds
    assert estimator.from_table == 0
    assert estimator.seconds(job("repeat", model="m", row="new", n="2")) == 50.0
    assert estimator.seconds(job("repeat", model="m", row="newer", n="2")) == 20.0
    assert estimator.seconds(job("weights", model="m")) == 3.0
    assert estimator.seconds(job("export", model="m")) is None
    assert estimator.from_table == 3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ([], "0 s"),
        ([0.2], "1 s"),
        ([30.0, 29.0], "59 s"),
        ([59.7], "1 min"),
        ([3599.0], "1 h 0 min"),
        ([12000.0], "3 h 20 min"),
        ([None, None], "unknown"),
        ([60.0, None], "1 min + 1 unknown"),
    ],
)
def test_estimate_in_words(seconds, text):
    assert words.estimate(seconds) == text


def test_first_cause_is_named():
    reason = (
        "Input files updated by another job: a; Updated input files: w/x.py, y, z, u; Params have changed"
    )
    assert reasons.reason_in_words(reason, None) == "changed: w/x.py, y, z and 1 more"
    assert reasons.reason_in_words("A new reason", None) == "A new reason"


def cell_job(rule, row, seconds=None, reason="", **wildcards):
    return job(rule, seconds, platform="local", model="m", row=row, **wildcards) | {"reason": reason}


@pytest.mark.parametrize(
    ("reason", "count"),
    [
        ("Missing output files: results/adaptive/local.json", 6),  # every cell is decided on
        ("Params have changed since last execution: before: 0.02 now: 0.01", 6),
        ("Input files updated by another job: round-1.json", 2),  # the cell that is measured again
        ("Params have changed since last execution: before: 'code arena:1f' now: 'code arena:2e'", 2),
    ],
)
def test_extra_rounds_are_counted_for_the_cells_that_are_decided_on(reason, count):
    past = [cell_job("benchmark", row, 9.0) for row in ("a", "b", "c")]
    past += [cell_job("benchmark_repeat", row, 30.0, n="2") for row in ("a", "b", "c")]
    jobs = [cell_job("benchmark", "a"), cell_job("benchmark_repeat", "a", n="2")]
    jobs.append(job("decide_rounds", platform="local") | {"reason": reason})
    planned = plan.Plan(jobs, past, [], [], extra=2)
    minutes = {6: "3 min", 2: "1 min"}[count]
    line = next(line for line in plan.rendered(planned, {}).splitlines() if line.startswith("Extra rounds"))
    assert (
        line
        == f"Extra rounds, not in the table: at most {count} ({minutes}), decided by the spread measured."
    )


def test_extra_rounds_take_no_longer_than_they_may():
    jobs = [
        cell_job("benchmark", "a"),
        job("decide_rounds", platform="local") | {"reason": "Missing output files"},
    ]
    past = [cell_job("benchmark_repeat", "a", 30.0, n="2")]
    planned = plan.Plan(jobs, past, [], [], extra=2, extra_limit=45.0)
    line = next(line for line in plan.rendered(planned, {}).splitlines() if line.startswith("Extra rounds"))
    assert line.startswith("Extra rounds, not in the table: at most 2 (1 min) and 45 s, decided by")


def test_where_nothing_is_decided_a_plan_says_nothing_of_extra_rounds():
    jobs = [cell_job("benchmark", "a")]
    assert "Extra rounds" not in plan.rendered(plan.Plan(jobs, [], [], [], extra=2), {})
    deciding = job("decide_rounds", platform="local")
    assert "Extra rounds" not in plan.rendered(plan.Plan([*jobs, deciding], [], [], []), {})


def test_what_is_failed_is_part_of_the_plan():
    failed = ("Failed before: local/m/a: crashed: signal 11",)
    text = plan.rendered(plan.Plan([], [], [], [], failed=failed), {})
    assert text.splitlines() == ["Nothing to do: every result is up to date.", *failed]
    jobs = [job("benchmark", platform="local", model="m", row="a") | {"reason": "Forced execution"}]
    assert plan.rendered(plan.Plan(jobs, [], [], [], failed=failed), {}).splitlines()[-1] == failed[0]
