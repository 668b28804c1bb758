"""What the benchmark of the workflow keeps of a run, and that the plan can read it."""

import base64
import json
import os

import pytest

import bench_workflow
import durations


@pytest.fixture
def clone(tmp_path):
    """A directory after a run: an environment that took 40 s, a build of 300 s, a cell's round of 7 s."""
    conda = tmp_path / ".snakemake" / "conda"
    conda.mkdir(parents=True)
    (tmp_path / "envs").mkdir()
    for path in (tmp_path / "envs" / "jax.yaml", conda / "1a_.yaml"):
        path.write_text("dependencies: [jax]\n")
    (tmp_path / "envs" / "mlx.yaml").write_text("dependencies: [mlx]\n")
    (conda / "1a_.env_setup_done").touch()
    os.utime(conda / "1a_.yaml", (1000, 1000))
    os.utime(conda / "1a_.env_setup_done", (1040, 1040))
    records = tmp_path / ".snakemake" / "metadata"
    records.mkdir()
    ran = {
        "results/engines/local/candle/program": ("build_engine", 2000, 2300),
        "results/engines/local/candle/build.json": ("build_engine", 2000, 2299),
        "results/benchmarks/local/ResNet-50/candle/round-1.json": ("benchmark", 2400, 2407),
    }
    for output, (rule, start, end) in ran.items():
        name = base64.b64encode(output.encode()).decode()
        record = {"rule": rule, "shellcmd": rule, "starttime": start, "endtime": end}
        (records / name).write_text(json.dumps(record))
    return tmp_path


def test_durations_of_a_run_are_a_table_for_the_plan(clone, monkeypatch):
    monkeypatch.setattr(bench_workflow.calibration, "seconds", lambda: 0.12345)
    table = clone / "durations.csv"
    bench_workflow.write_durations(table, bench_workflow.jobs(clone), bench_workflow.environments(clone))
    assert durations.read_durations(table) == {
        ("benchmark", "ResNet-50", "candle"): 7.0,
        ("build_engine", "", "candle"): 300.0,
        ("calibration", "", ""): 0.1235,
        ("environment", "", "jax"): 40.0,
    }
    estimator = durations.Estimator([], durations.read_durations(table))
    build = {"rule": "build_engine", "wildcards": {"platform": "local", "engine": "candle"}}
    assert estimator.seconds(build) == pytest.approx(300, rel=0.01)
    assert estimator.seconds(durations.environment_job("envs/jax.yaml")) == pytest.approx(40, rel=0.01)
    assert estimator.seconds(durations.environment_job("envs/mlx.yaml")) is None
