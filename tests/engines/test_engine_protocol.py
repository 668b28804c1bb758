"""The engines in Rust time by the same protocol as Python: one scripted clock drives both."""

import json
import shutil
import subprocess
from dataclasses import asdict

import pytest

from arena.measuring.protocol import Limits, measure
from checkout import CARGO
from runner import REPOSITORY

SECOND = 10**9
WARMUP = {"min_iterations": 3, "min_seconds": 0.5, "max_seconds": 5.0, "window": 5, "tolerance": 0.05}
SAMPLING = {"min_iterations": 10, "min_seconds": 1.0, "max_seconds": 10.0}
LIMITS = {"warmup": WARMUP, "sampling": SAMPLING}
SCRIPTS = {
    "steady": [0.1],
    "fast": [0.0007],
    "slow": [2.5],
    "slower than any limit": [30.0],
    "never settles": [1.0, 1.2] * 40,
    "settles late": [2.0, 1.5, 1.2, 1.1, 1.05, 1.02, 1.01, 1.0],
    "an outlier among the samples": [0.1] * 8 + [7.0, 0.1],
    "on the edge of agreement": [1.0, 1.0, 1.0, 1.0, 1.05, 0.3],
    "takes no time": [0.0],
}


@pytest.fixture(scope="module")
def conformance(tmp_path_factory):
    """The program of the shared crate that reads a script and writes what the protocol recorded."""
    if shutil.which("cargo") is None:
        pytest.skip("no cargo here")
    target = CARGO["CARGO_TARGET_DIR"]
    command = ["cargo", "build", "--quiet", "--locked", "--package", "arena", "--target-dir", target]
    subprocess.run(command, cwd=REPOSITORY / "workflow" / "engines", check=True)
    return f"{target}/debug/conformance"


@pytest.mark.network  # the first build fetches crates
@pytest.mark.parametrize("name", SCRIPTS)
def test_rust_records_what_python_records(conformance, name):
    durations = [round(seconds * SECOND) for seconds in SCRIPTS[name]]
    limits = LIMITS
    if name == "takes no time":  # only the bound on the number of samples ends it
        limits = {"warmup": {**WARMUP, "min_seconds": 0.0}, "sampling": SAMPLING}
    script = json.dumps({"limits": limits, "durations_ns": durations})
    done = subprocess.run([conformance], input=script, capture_output=True, text=True, check=True)

    now, runs = 0, 0

    def run():
        nonlocal now, runs
        now += durations[min(runs, len(durations) - 1)]
        runs += 1
        return runs

    record = measure(run, Limits.from_config(limits), lambda: now)
    expected = {key: value for key, value in asdict(record).items() if key in json.loads(done.stdout)}
    assert len(expected) == 4
    assert json.loads(done.stdout) == expected
