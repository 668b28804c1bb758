"""How MAX's threads are set: the process is confined to as many CPUs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from frameworks.max import threads as max_threads

ROOT = Path(__file__).resolve().parents[2]


def topology(directory: Path, cores: list[list[int]]) -> Path:
    """Linux's directory of CPUs, as it would be with these ``cores``."""
    for core in cores:
        for cpu in core:
            (directory / f"cpu{cpu}" / "topology").mkdir(parents=True)
            text = ",".join(map(str, core)) + "\n"
            (directory / f"cpu{cpu}" / "topology" / "thread_siblings_list").write_text(text)
    return directory


@pytest.mark.parametrize(
    ("cores", "allowed", "threads", "expected"),
    [
        ([[0, 1], [2, 3]], [0, 1, 2, 3], 2, {0, 2}),  # neighbours share a core
        ([[0, 2], [1, 3]], [0, 1, 2, 3], 2, {0, 1}),  # halves share their cores
        ([[0, 1], [2, 3]], [0, 1, 2, 3], 3, {0, 1, 2}),  # a second of a core, once each has one
        ([[0, 1], [2, 3]], [1, 3], 2, {1, 3}),  # only what the process may use
        ([], [4, 5, 6], 2, {4, 5}),  # no topology to read
    ],
)
def test_every_core_before_a_second_thread_of_any(tmp_path, cores, allowed, threads, expected):
    assert max_threads.choose(allowed, threads, topology(tmp_path, cores)) == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_confined_process_sees_that_many_cpus():
    code = "import os; from frameworks.max import threads as m; m.confine(1); print(len(os.sched_getaffinity(0)))"
    path = {"PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, env=os.environ | path, capture_output=True, text=True, check=True)
    assert found.stdout == "1\n"


def test_workers_are_counted_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(max_threads, "TASKS", tmp_path)
    assert max_threads.workers() is None
    for task, name in enumerate(["python", "🔥 Thread0", "🔥 Thread1", "python"]):
        (tmp_path / str(task)).mkdir()
        (tmp_path / str(task) / "comm").write_text(f"{name}\n", encoding="utf-8")
    assert max_threads.workers() == 2
