"""profiles/host: no environments, the Python that runs Snakemake, and a dash for what it cannot import."""

import os
import subprocess
import sys

import pytest

from arena import tensors
from arena.measuring import packages
from runner import REPOSITORY, RUNNER, environ

# Our packages for the runner's Python, which has Snakemake alone; and no `python` of anybody's on the PATH.
SITE = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
PATH = "/usr/bin:/bin"


def snakemake(directory, *arguments, **variables):
    """Snakemake with the host's profile in ``directory``; what it printed."""
    command = [RUNNER / "python", "-m", "snakemake", "--snakefile", REPOSITORY / "Snakefile"]
    command += ["--workflow-profile", REPOSITORY / "profiles/host", "--directory", directory, "--cores", "1"]
    command += ["--configfile", REPOSITORY / "config/test.yaml", *arguments]
    environment = environ(**variables) | {"PATH": PATH}
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("distribution", "on_cuda", "absent"),
    [("no-such-framework", "none-either", True), ("pandas", "none-either", False), ("none", "pandas", False)],
)
def test_a_framework_that_is_not_there_is_no_failure(tmp_path, distribution, on_cuda, absent):
    """It is there under whichever of its names."""
    cell = "results/benchmarks/local/ResNet-50/onnxruntime/round-1.json"
    cuda = f"{{cuda: {{distribution: {on_cuda}}}}}"
    config = f"frameworks={{onnxruntime: {{distribution: {distribution}, accelerators: {cuda}}}}}"
    printed = snakemake(tmp_path, "--config", config, "--dry-run", "--printshellcmds", "--", cell)
    assert "workflow/scripts/benchmark.py" in printed
    assert ("not installed here" in printed) is absent
    assert (
        "--exporter frameworks.onnxruntime.export " in printed
    ) is not absent  # nor is anything exported for it


def test_rules_run_in_the_python_that_runs_snakemake(tmp_path):
    inputs = "results/models/ResNet-50/inputs.safetensors"
    snakemake(tmp_path, "--", inputs, PYTHONPATH=SITE)
    assert tensors.load(tmp_path / inputs)["latency.images"].shape == (1, 3, 32, 32)


def test_a_failed_cell_is_tried_again_without_environments(tmp_path):
    snakemake(tmp_path, "--", "results/models/ResNet-50/inputs.safetensors", PYTHONPATH=SITE)
    program = tmp_path / "results/retry"
    assert f"--workflow-profile {REPOSITORY / 'profiles/host'}" in program.read_text(encoding="utf-8")
    done = subprocess.run([program], cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "Nothing has failed here.\n")
    for words in (["local/ResNet-50/no-such-row"], ["../models", "1", "2"]):
        done = subprocess.run([program, *words], cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "usage: " in done.stderr, words


def test_installed_knows_extras_and_absence():
    assert packages.installed("numpy") and packages.installed("numpy[anything]")
    assert not packages.installed("no-such-framework")
