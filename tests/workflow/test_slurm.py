"""The workflow on a cluster: a real Slurm of two nodes, on which platforms with made-up GPUs are measured.

The frameworks are ONNX Runtime, which says that it does not compute on such GPUs, and one that sleeps and
computes zeros.
"""

import csv
import os
import subprocess
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml

from arena import files
from checkout import BUILDERS, CONDA_PREFIX, END_TO_END, append, copy
from checkout import Checkout as Local
from runner import RUNNER, environ
from slurm import Slurm, missing

CI = os.environ.get("CI") == "true"
MISSING = missing()
pytestmark = [
    *END_TO_END,
    pytest.mark.exclusive,
    pytest.mark.skipif(MISSING is not None and not CI, reason=f"no Slurm to test with: {MISSING}"),
]
MODEL = "ResNet-50"
ROWS = ["zeros", "onnxruntime"]
NODE = {"cpus": 1, "mem_mb": 1000}
PLATFORMS = [
    {
        "name": "fast",
        "accelerator": "vulkan",
        "cluster": NODE | {"partition": "one", "gres": "gpu:h100:1", "exclusive": False},
    },
    {
        "name": "slow",
        "accelerator": "vulkan",
        "cluster": NODE | {"partition": "two", "gres": "gpu:a100:1", "exclusive": True},
    },
    {"name": "epyc", "cluster": NODE | {"partition": "gpu", "constraint": "fast", "exclusive": False}},
]
NODES = {"fast": "n1", "slow": "n2", "epyc": "n1"}
UNABLE = {("fast", "onnxruntime"), ("slow", "onnxruntime")}  # declared, so that no process starts on a node
ZEROS = {
    "name": "Zeros", "url": "https://example.org/zeros", "license": "MIT", "env": "base",
    "adapter": "tests/support/adapters/faulty.py", "distribution": "numpy",
    "accelerators": {"cpu": {}, "cuda": {}, "vulkan": {}},
    "rows": {"zeros": {"label": "Zeros", "options": {"sleep_s": 0.2}}},
}  # fmt: skip
CONFIG = {
    "run": {"models": [MODEL], "rows": ROWS, "baseline": "zeros"},
    "protocol": {"rounds": 1, "threads": 1, "exclusive": True},
    "platforms": PLATFORMS,
    "frameworks": {"zeros": ZEROS},
}


@dataclass(frozen=True)
class Cluster(Local):
    """A checkout whose jobs go to Slurm, by the project's profile but for the names of partitions."""

    slurm: Slurm | None = None

    def command(self, *arguments: str | Path) -> list[str]:
        """A call of Snakemake as the profile has it; this Slurm keeps no accounts, and is quick."""
        words = [
            RUNNER / "snakemake",
            "--profile",
            self.root / "profiles/slurm",
            "--directory",
            self.directory,
        ]
        words += ["--conda-prefix", CONDA_PREFIX, "--configfile", *self.configs, "--slurm-no-account"]
        words += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1"]
        words += ["--default-resources", "slurm_partition=gpu", "mem_mb=500", "runtime=30"]
        return [str(word) for word in [*words, "--latency-wait", "5", *arguments]]

    def start(self) -> subprocess.Popen:
        log = open(self.directory.with_suffix(".log"), "a")  # noqa: SIM115
        return subprocess.Popen(
            self.command(), cwd=self.root, env=environ(**self.environment), stdout=log, stderr=log
        )

    def measuring(self) -> list[dict[str, str]]:
        return [job for job in self.slurm.jobs() if job["comment"].startswith("rule_benchmark")]

    def running(self) -> list[dict[str, str]]:
        return [job for job in self.measuring() if job["state"] == "RUNNING"]

    def table(self, platform: str = "local") -> list[dict[str, str]]:
        path = self.directory / f"results/platforms/{platform}.csv"
        with open(path, newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    def wait(self, ready, seconds=240):
        """The first truthy answer of ``ready``."""
        deadline = time.monotonic() + seconds
        while not (found := ready()):
            assert time.monotonic() < deadline, self.directory.with_suffix(".log").read_text()[-5000:]
            time.sleep(0.3)
        return found


def in_task(cluster, platform, row):
    """Id of the job that measures this cell, once its process has reached a task; else None."""
    cell = cluster.directory / f"results/benchmarks/{platform}/{MODEL}/{row}"
    for path in cell.glob(".measuring-*/result.json"):
        if '"stage": "inference"' in path.read_text():
            comment = f"rule_benchmark_wildcards_{platform}_{MODEL}_{row}"
            jobs = [job for job in cluster.running() if job["comment"] == comment]
            return jobs[-1]["id"] if jobs else None
    return None


def supervisors(cluster, platform, row):
    """Processes of benchmark.py for this cell."""
    own = f'"platform": "{platform}", "model": "{MODEL}", "row": "{row}"'  # at the head of its cell
    found = psutil.process_iter(["cmdline"])
    return [
        process
        for process in found
        if any(own in word for word in process.info["cmdline"] or [])
        and "--cell" in process.info["cmdline"]
        and process.info["cmdline"][0].endswith("python")
        and str(cluster.root) in " ".join(process.info["cmdline"])
    ]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    assert MISSING is None, MISSING  # not skipped: this is CI
    folder = tmp_path_factory.mktemp("cluster")
    for name in ("root", "directory"):
        (folder / name).mkdir()
    copy(folder / "root")
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    with Slurm(folder / "slurm").up() as running:
        environment = {**running.environ, "PATH": os.pathsep.join([str(RUNNER), running.environ["PATH"]])}
        configs = (folder / "root/config/test.yaml", config)
        cluster = Cluster(folder / "root", folder / "directory", configs, 2, environment, running)
        cluster.build_environments()
        yield cluster


@pytest.fixture(scope="module")
def measured(cluster):
    """A run in which one measuring job is cancelled, then dies, then succeeds."""
    run = cluster.start()
    cancelled = cluster.wait(lambda: in_task(cluster, "slow", "zeros"))
    cluster.slurm.ask("scancel", cancelled)
    cluster.wait(lambda: not supervisors(cluster, "slow", "zeros"))
    cluster.wait(lambda: supervisors(cluster, "slow", "zeros"))
    failed = cluster.wait(lambda: in_task(cluster, "slow", "zeros"))
    for process in supervisors(cluster, "slow", "zeros"):
        process.kill()
    assert run.wait(timeout=400) in (0, 1)
    log = cluster.directory.with_suffix(".log").read_text()
    records = {(r.cell.platform, r.cell.row): r for r in cluster.rounds()}
    jobs = {job["id"]: job for job in cluster.slurm.jobs()}
    return SimpleNamespace(cancelled=cancelled, failed=failed, log=log, records=records, jobs=jobs)


def test_cells_ran_on_their_platforms_nodes_with_what_they_were_given(measured):
    assert set(measured.records) == {(platform, row) for platform in NODES for row in ROWS}
    for where in measured.records.keys() - UNABLE:
        (platform, row), record = where, measured.records[where]
        given = record.node.allocation
        job = measured.jobs[given.job]
        assert job["comment"] == f"rule_benchmark_wildcards_{platform}_{MODEL}_{row}", where
        assert job["state"] == "COMPLETED", where
        assert job["node"] == given.name == NODES[platform], where
        assert record.node.use == ("exclusive" if platform == "slow" else "shared"), where
        assert record.cell.threads == 1, where
        if platform == "epyc":
            assert given.gpus is None and job["gres"] == "N/A", where
        else:
            assert given.gpus in {"fast": ("0", "1"), "slow": ("0", "2")}[platform], where
            assert (
                job["gres"].removeprefix("gres:") == f"gpu:{ {'fast': 'h100', 'slow': 'a100'}[platform] }:1"
            )
    assert measured.records["epyc", "onnxruntime"].status == "ok"


def test_a_framework_without_the_accelerator_has_a_reason_and_no_process(measured):
    for where in UNABLE:
        record = measured.records[where]
        assert record.status == "unsupported" and record.node is None
        assert record.reason.code == "no-device" and "vulkan" in record.reason.detail


def test_measurements_did_not_overlap(measured):
    """Exclusive jobs have the node, Slurm's word; on a shared one, no two measuring processes at a time."""
    ended = [job for job in measured.jobs.values() if job["node"]]
    for job in ended:
        if "_slow_" in job["comment"] and job["comment"].startswith("rule_benchmark"):
            assert job["exclusive"] == "NO"
            assert [other["id"] for other in ended if other is not job and overlap(job, other)] == []
    spans = sorted(
        (record.node.monotonic_s, (platform, row))
        for (platform, row), record in measured.records.items()
        if NODES[platform] == "n1" and (platform, row) not in UNABLE
    )
    assert len(spans) == 3
    for (early, one), (late, two) in pairwise(spans):
        assert early[1] <= late[0], (one, two)


def overlap(one, other):
    return one["node"] == other["node"] and one["start"] < other["end"] and other["start"] < one["end"]


def test_lost_jobs_are_submitted_again(measured):
    comment = f"rule_benchmark_wildcards_slow_{MODEL}_zeros"
    states = [job["state"] for job in measured.jobs.values() if job["comment"] == comment]
    assert states == ["CANCELLED", "FAILED", "COMPLETED"]
    assert measured.jobs[measured.cancelled]["state"] == "CANCELLED"
    assert measured.jobs[measured.failed]["state"] == "FAILED"
    assert measured.records["slow", "zeros"].status == "ok"
    others = [job for job in measured.jobs.values() if job["comment"] != comment]
    assert {job["state"] for job in others} == {"COMPLETED"}
    assert len({job["comment"] for job in others}) == len(others)


def test_the_tables_say_how_the_nodes_were(cluster, measured):
    for platform in NODES:
        for row in cluster.table(platform):
            if (platform, row["row"]) in UNABLE:
                assert row["node"] == row["slurm_jobs"] == ""
                continue
            assert row["node"] == NODES[platform]
            assert row["node_shared"] == str(platform != "slow").lower()
            assert row["condition"] in ("clean", "noisy", "invalid")
            assert (row["condition_reasons"] == "") == (row["condition"] == "clean")
            assert row["slurm_jobs"] == measured.records[platform, row["row"]].node.allocation.job
    report = cluster.report()
    assert all(f"| {platform} " in report for platform in NODES) or report.count("Zeros") >= len(NODES)


def test_nothing_is_left_to_do(cluster, measured):
    assert cluster.plan() == set()


def test_another_version_of_an_environment_submits_its_own_jobs(cluster, measured):
    with cluster.edited("envs/onnxruntime.yaml", append("# a comment\n")):
        plan = cluster.plan()
    cell = f"{MODEL} onnxruntime"
    assert plan == {f"benchmark {cell}", f"validate {cell}", "platform", "report", "page"}
    assert cluster.plan() == set()


def test_an_engine_is_built_on_a_node_of_its_platform(cluster, measured, tmp_path):
    """With the processor that will run it, but without the GPU that the platform's measuring jobs hold."""
    (tmp_path / "engine.yaml").write_text(yaml.safe_dump({"run": {"rows": [*ROWS, "candle"]}}))
    engine = replace(
        cluster,
        configs=(*cluster.configs, tmp_path / "engine.yaml"),
        environment=cluster.environment | BUILDERS,
    )
    records = {name: f"results/engines/{name}/candle/build.json" for name in ("slow", "epyc")}
    engine.build_environments(*records.values())
    done = engine.run("--", *records.values())
    assert done.returncode == 0, done.stdout
    built = {job["comment"]: job for job in cluster.slurm.jobs() if "build_engine" in job["comment"]}
    for platform, record in records.items():
        job = built.pop(f"rule_build_engine_wildcards_{platform}_candle")
        assert (job["state"], job["node"], job["gres"]) == ("COMPLETED", NODES[platform], "N/A")
        assert files.read_json(cluster.directory / record)["status"] == "ok"
    assert built == {}


def test_a_killed_submitter_is_started_again_where_it_was(cluster, measured):
    """It asks for a second round. What it left in the queue is cancelled, and what is there stays."""
    before = {path: path.stat().st_mtime_ns for path in cluster.directory.rglob("round-1.json")}
    config = yaml.safe_load(cluster.configs[1].read_text())
    config["protocol"]["rounds"] = 2
    cluster.configs[1].write_text(yaml.safe_dump(config))
    run = cluster.start()
    cluster.wait(lambda: any(job["id"] not in measured.jobs for job in cluster.running()))
    for process in [*psutil.Process(run.pid).children(recursive=True), psutil.Process(run.pid)]:
        process.kill()
    run.wait()
    orphans = {job["id"] for job in cluster.running()}
    assert orphans
    assert cluster.run("--unlock").returncode == 0
    refused = cluster.run()
    assert refused.returncode == 1
    assert "still in the queue and are cancelled now: " in refused.stdout, refused.stdout
    assert cluster.slurm.queue() == ""
    done = cluster.run()
    assert done.returncode in (0, 1), done.stdout
    states = {job["id"]: job["state"] for job in cluster.measuring()}
    assert {states[job] for job in orphans} <= {"CANCELLED", "COMPLETED"}
    assert {record.round for record in cluster.rounds()} == {1, 2}
    assert len(cluster.rounds()) == 2 * len(NODES) * len(ROWS)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert cluster.plan() == set()
    kept = sorted(path.parent.name for path in cluster.directory.glob("results/history/*/*.csv"))
    assert kept == sorted(NODES)


def test_a_cell_that_varies_gets_a_round_more_on_its_node(cluster, tmp_path):
    """The decision is made where Snakemake runs, and the round is a job like any other."""
    directory = tmp_path / "directory"
    directory.mkdir()
    options = {"options": {"sleeps_s": [0.05, 0.1]}}
    overlay = {
        "run": {"rows": ["zeros"]},
        "platforms": [PLATFORMS[2]],
        "protocol": {"rounds": 2, "adaptive": {"target": 0.1, "max_rounds": 3, "max_seconds": None}},
        "frameworks": {"zeros": {"rows": {"zeros": options}}},
        # Zeros are wrong, and wrong cells get no more rounds.
        "gate": {
            "float32": {"relative_l2": 2.0, "max_error": 2.0, "top1_agreement": 0.0, "loss_error": 100.0}
        },
    }
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(CONFIG | {"platforms": [PLATFORMS[2]]}))
    (tmp_path / "adaptive.yaml").write_text(yaml.safe_dump(overlay))
    configs = (cluster.configs[0], tmp_path / "overlay.yaml", tmp_path / "adaptive.yaml")
    own = replace(cluster, directory=directory, configs=configs)
    before = {job["id"] for job in cluster.slurm.jobs()}
    done = own.run()
    assert done.returncode == 0, done.stdout
    jobs = [job for job in cluster.measuring() if job["id"] not in before]
    wanted = [f"rule_benchmark_wildcards_epyc_{MODEL}_zeros"]
    wanted += [f"rule_benchmark_repeat_wildcards_epyc_{MODEL}_zeros_{n}" for n in (2, 3)]
    assert sorted(job["comment"] for job in jobs) == sorted(wanted)
    assert {job["state"] for job in jobs} == {"COMPLETED"}
    assert [row["rounds"] for row in own.table("epyc")] == ["3"]
    assert own.plan() == set()
