"""The Makefile's forms: what `make` hands on to Snakemake and to the tools."""

import os
import subprocess

import pytest

from runner import REPOSITORY

TARGETS = "results/report.md results/report.html"
AWAY = f"--directory /data/mine --conda-prefix {REPOSITORY}/.snakemake/conda"


def told(*words, **environment):
    """The commands that `make` would run, with the set-up left out."""
    command = ["make", "--dry-run", "--assume-old=setup", *words]
    # `make test` hands its own options on, by which this one would say that it enters a directory.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=own | environment, capture_output=True, text=True, check=True
    )
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("target", "program"),
    [
        ("report", "snakemake"),
        ("plan", "python workflow/tools/plan.py --"),
        ("changed", "python workflow/tools/changed.py --"),
    ],
)
def test_a_run_its_plan_and_its_changes_take_the_same_settings(target, program):
    assert told(target) == [f"{program} --cores all {TARGETS}"]
    given = ["CONFIG=my.yaml other.yaml", "DIRECTORY=/data/mine", "CORES=4"]
    assert told(target, *given) == [f"{program} --configfile my.yaml other.yaml {AWAY} --cores 4 {TARGETS}"]


def test_since_and_try_take_them_too():
    assert told("since", "DIRECTORY=/data/mine") == ["python workflow/tools/since.py --directory /data/mine"]
    (line,) = told("try", "ROW=jax", "MODEL=ResNet-50", "CONFIG=my.yaml")
    assert line == "python workflow/tools/try_cell.py --row jax --model ResNet-50 --configfile my.yaml --"


def test_a_variable_of_the_shell_chooses_no_configuration():
    assert told("report", CONFIG="/etc/other.conf", DIRECTORY="/", ARGS="-n") == [
        f"snakemake --cores all {TARGETS}"
    ]
