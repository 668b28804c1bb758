"""Which rows a run of so many minutes has, and what it says of the others."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

import budget
import durations
import plan
from budget import Step
from runner import REPOSITORY, RUNNER, environ

ROWS = ["compiled", "eager", "onnx", "openvino", "jax"]
STEPS = [
    Step(frozenset(), 60.0),  # what every report needs
    Step(frozenset({"eager"}), 120.0, measures=True),
    Step(frozenset({"compiled"}), 600.0, measures=True),
    Step(frozenset({"onnx", "openvino"}), 120.0),  # one export for both
    Step(frozenset({"onnx"}), 60.0, measures=True),
    Step(frozenset({"openvino"}), 60.0, measures=True),
    Step(frozenset({"jax"}), 30.0, measures=True),
]
WHOLE = 1050.0


def chosen(minutes, extra_s=0.0, steps=STEPS):
    return budget.choose(ROWS, "eager", steps, extra_s, minutes)


@pytest.mark.parametrize(
    ("minutes", "taken", "seconds"),
    [
        (3, ["eager"], 180),
        (3.5, ["eager", "jax"], 210),  # the last of the run, because those before it do not fit
        (6, ["eager", "onnx"], 360),
        (7, ["eager", "onnx", "openvino"], 420),  # the second one has its export for nothing
        (7.5, ["eager", "onnx", "openvino", "jax"], 450),
        (13, ["compiled", "eager"], 780),
        (17.5, ROWS, WHOLE),
    ],
)
def test_rows_are_taken_in_the_runs_order_each_if_it_still_fits(minutes, taken, seconds):
    choice = chosen(minutes)
    assert (choice.taken, choice.seconds) == (taken, seconds)
    assert list(choice.left_out) == [row for row in ROWS if row not in taken]
    assert choice.whole == (taken == ROWS)


def test_the_reason_says_how_long_it_takes_and_what_was_asked():
    assert chosen(7).left_out["compiled"] == (
        "It takes about 10 min, and the run was to end within 7 minutes (`make report MINUTES=7`)."
    )
    assert "takes about 1 min," in chosen(7).left_out["jax"]


def test_extra_rounds_go_before_rows_do():
    choice = chosen(18, extra_s=200.0)
    assert (choice.taken, choice.whole, choice.seconds) == (ROWS, False, WHOLE)
    assert budget.overlay(choice)["protocol"] == {"adaptive": {"max_rounds": 0}}
    choice = chosen(21, extra_s=200.0)
    assert (choice.whole, choice.seconds) == (True, WHOLE + 200)
    assert budget.overlay(choice) == {"run": {"rows": ROWS}}


def test_a_row_of_unknown_duration_is_left_out_of_a_run_that_is_to_end():
    steps = [*STEPS, Step(frozenset({"jax"}), None, measures=True)]
    choice = chosen(60, steps=steps)
    assert "jax" not in choice.taken and "not known" in choice.left_out["jax"]
    assert chosen(60, steps=[*STEPS, Step(frozenset({"jax"}), None)]).taken == ROWS  # a verdict takes no time


def test_less_than_the_baseline_takes_is_refused():
    with pytest.raises(ValueError, match=r"MINUTES=2 is too little.*eager, takes about 3 min"):
        chosen(2)


TABLE = {
    ("benchmark", "m", "a"): 10.0,
    ("benchmark", "m", "b"): 20.0,
    ("benchmark", "m", "c"): 40.0,
    ("benchmark", "m", "new"): 100.0,
    ("export", "m", ""): 1.0,
    ("calibration", "", ""): 0.1,
}


def measured(*seconds):
    rows = zip("abc", seconds, strict=False)
    past = [{"rule": "export", "wildcards": {"model": "m"}, "env": None, "seconds": 50.0}]
    for row, each in rows:
        past.append(
            {"rule": "benchmark", "wildcards": {"model": "m", "row": row}, "env": None, "seconds": each}
        )
    return past


def test_the_table_is_scaled_by_what_was_measured_here(monkeypatch):
    """By the median of three cells or more; a slower disk says nothing of them."""
    monkeypatch.setattr(durations.calibration, "seconds", lambda: 0.15)
    new = {"rule": "benchmark", "wildcards": {"model": "m", "row": "new"}}
    assert durations.Estimator(measured(5.0, 12.0, 40.0), TABLE).seconds(new) == pytest.approx(60)
    assert durations.Estimator(measured(5.0, 12.0), TABLE).seconds(new) == pytest.approx(
        150
    )  # by calibration
    uncalibrated = {key: value for key, value in TABLE.items() if key[0] != "calibration"}
    assert durations.Estimator(measured(), uncalibrated).seconds(new) == 100


def test_a_calibration_is_the_same_twice():
    assert 0.01 < durations.calibration.seconds() < 5
    assert durations.calibration.seconds() == durations.calibration.seconds()


SNAKEFILE = """
RUN = {"rows": ["eager", "jax", "slow"], "baseline": "eager"} | config.get("run", {})
logger.info("rows", extra={"arena_rows": RUN["rows"], "arena_baseline": RUN["baseline"]})

rule all:
    default_target: True
    input: expand("{model}.{row}.ok", model=["a", "b"], row=RUN["rows"]), "report"

rule report:
    input: expand("{model}.{row}.ok", model=["a", "b"], row=RUN["rows"])
    output: "report"
    shell: "touch {output}"

rule validate:
    input: "{model}.{row}.bench", "{model}.reference"
    output: "{model}.{row}.ok"
    shell: "touch {output}"

rule reference:
    output: "{model}.reference"
    shell: "touch {output}"

rule benchmark:
    input: lambda w: ["{model}.export"] if w.row == "jax" else [] if w.row == "eager" else ["engine"]
    output: "{model}.{row}.bench"
    conda: lambda w: "eager.yaml" if w.row == "eager" else "other.yaml"
    shell: "touch {output}"

rule export:
    output: "{model}.export"
    shell: "touch {output}"

rule build_engine:
    output: "engine"
    shell: "touch {output}"
"""
DURATIONS = """rule,model,row,seconds
benchmark,,eager,60
benchmark,,jax,60
benchmark,,slow,60
build_engine,,,600
export,,,30
environment,,eager,20
environment,,other,20
report,,,10
reference,,,5
validate,,,0
"""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--cores", "2", "all"], ["--configfile", "/b.yaml", "--cores", "2", "all"]),
        (
            ["--configfile", "a.yaml", "c.yaml", "--cores", "2"],
            ["--configfile", "a.yaml", "c.yaml", "/b.yaml", "--cores", "2"],
        ),
    ],
)
def test_the_overlay_comes_after_the_users_own(arguments, expected):
    assert plan.laid_over(arguments, Path("/b.yaml")) == expected


def run(command):
    return subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=120, check=False)


def test_a_dry_run_tells_which_rows_need_what(tmp_path, monkeypatch):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    for name in ("eager", "other"):
        (tmp_path / f"{name}.yaml").write_text(
            f"channels: [nodefaults]\ndependencies: [python=3.11, {name}]\n"
        )
    (tmp_path / "durations.csv").write_text(DURATIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", environ()["PATH"])
    monkeypatch.setattr(plan.sys, "executable", str(RUNNER / "python"))
    monkeypatch.setattr(plan.library, "SNAKEMAKE", [str(RUNNER / "python"), *plan.library.SNAKEMAKE[1:]])
    options = ["--software-deployment-method", "conda", "--cores", "1"]
    table = plan.read_durations(tmp_path / "durations.csv")
    found = plan.steps(plan.dry_run(options), table)
    needed = sorted((sorted(step.rows), step.seconds) for step in found if step.seconds)
    assert needed == [
        ([], 10),
        (["eager"], 20),
        *[(["eager"], 60)] * 2,
        *[(["eager", "jax", "slow"], 5)] * 2,
        *[(["jax"], 30)] * 2,
        *[(["jax"], 60)] * 2,
        (["jax", "slow"], 20),
        *[(["slow"], 60)] * 2,
        (["slow"], 600),
    ]

    script = REPOSITORY / "workflow" / "tools" / "plan.py"
    command = [RUNNER / "python", script, "--durations", "durations.csv", "--minutes", "7"]
    done = run([*command, "--overlay", "results/budget.yaml", "--", *options])
    assert done.returncode == 0, done.stderr
    assert re.search(r"^benchmark +4 +a, b +eager, jax +4 min +new$", done.stdout, re.MULTILINE), done.stdout
    assert "Within 7 minutes: eager, jax; about 6 min, environments too." in done.stdout
    assert "Left out, slow: It takes about 12 min" in done.stdout
    written = yaml.safe_load((tmp_path / "results" / "budget.yaml").read_text())
    assert written["run"]["rows"] == ["eager", "jax"] and list(written["run"]["left_out"]) == ["slow"]

    done = run([*command[:-1], "1", "--", *options])
    assert done.returncode == 1 and "MINUTES=1 is too little" in done.stderr and not done.stdout
    done = run([*command[:-1], "-1", "--", *options])
    assert done.returncode == 2 and "-1: expected a number above 0" in done.stderr
