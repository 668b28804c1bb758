"""Quotas and limits of control groups: made-up ones of both versions, and a real one where root may make one."""

import contextlib
import os
import subprocess
import sys

import pytest

from arena.measuring import cgroups, machine
from runner import REPOSITORY

SCRIPTS = REPOSITORY / "workflow" / "scripts"


def tree(folder, own, files):
    """Groups' files below ``folder``/fs, by path, and what /proc says of the process's own."""
    root = folder / "fs"
    root.mkdir()
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    (folder / "own").write_text(own + "\n")
    return {"mounted": root, "own": folder / "own"}


def of_two(inner, outer):
    """Files of version 1's groups a/b and a, with these quotas in periods of 100 ms."""
    groups = {"cpu,cpuacct/a/b": inner, "cpu,cpuacct/a": outer}
    quotas = {f"{group}/cpu.cfs_quota_us": quota for group, quota in groups.items()}
    return quotas | {f"{group}/cpu.cfs_period_us": "100000" for group in groups}


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "200000 100000"}, 2.0),
        ("0::/a/b", {"a/b/cpu.max": "max 100000"}, None),
        ("0::/", {"cpu.max": "50000 100000"}, 0.5),  # as a container sees its own
        ("0::/../other", {"cpu.max": "100000 100000"}, 1.0),
        ("4:cpu,cpuacct:/a/b", of_two("-1", "300000"), 3.0),
        ("4:cpu:/docker/x", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "50000"}, 2.0),
        ("0::/a\n4:memory:/a", {"unified/a/cpu.max": "100000 100000"}, 1.0),
        ("12:cpuset:/a", {"cpuset/a/cpu.max": "1 1"}, None),
    ],
)  # fmt: skip
def test_the_strictest_quota_of_all_parents_counts(tmp_path, own, files, expected):
    assert cgroups.cpus(**tree(tmp_path, own, files)) == expected


def test_without_control_groups_there_is_no_limit(tmp_path):
    nothing = {"mounted": tmp_path / "fs", "own": tmp_path / "own"}
    assert cgroups.cpus(**nothing) is None and cgroups.memory(**nothing) == []


def test_memory_of_all_parents_counts_and_idle_files_are_free(tmp_path):
    files = {
        "a/b/memory.max": "max", "a/b/memory.current": "5",
        "a/memory.max": "1000", "a/memory.current": "700", "a/memory.stat": "anon 300\ninactive_file 400",
        "memory.max": "4000", "memory.current": "3000",
    }  # fmt: skip
    assert cgroups.memory(**tree(tmp_path, "0::/a/b", files)) == [(1000, 700), (4000, 1000)]


def test_memory_of_the_first_version_is_read_by_its_names(tmp_path):
    files = {
        "memory/a/memory.limit_in_bytes": "9223372036854771712", "memory/a/memory.usage_in_bytes": "5",
        "memory/memory.limit_in_bytes": "1000", "memory/memory.usage_in_bytes": "800",
        "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 300",
    }  # fmt: skip
    assert cgroups.memory(**tree(tmp_path, "3:memory:/a", files)) == [(1000, 500)]


def test_the_machine_s_memory_and_threads_are_what_the_groups_leave(monkeypatch):
    monkeypatch.setattr(cgroups, "memory", lambda: [(3_000_000, 2_000_000), (5_000_000, 1_000_000)])
    assert (machine.memory_bytes(), machine.available_bytes()) == (3_000_000, 1_000_000)
    assert machine.facts()["memory_bytes"] == 3_000_000
    monkeypatch.setattr(cgroups, "cpus", lambda: 1.5)
    assert machine.usable_threads(64) == 1


@contextlib.contextmanager
def real_group(controller, limits):
    """A new group of the system's own with ``limits`` and an inner one, into which a process is put."""
    roots = {1: cgroups.MOUNTED / controller, 2: cgroups.MOUNTED}
    version = 2 if (cgroups.MOUNTED / "cgroup.controllers").exists() else 1
    outer = roots[version] / f"arena-test-{os.getpid()}"
    try:
        outer.mkdir()
        if version == 2:
            (outer / "cgroup.subtree_control").write_text(f"+{controller}")
        (outer / "inner").mkdir()
        for name, value in limits[version].items():
            (outer / name).write_text(value)
    except OSError as error:
        for folder in (outer / "inner", outer):
            with contextlib.suppress(OSError):
                folder.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    try:
        yield outer / "inner"
    finally:
        (outer / "inner").rmdir()
        outer.rmdir()


@pytest.mark.linux
@pytest.mark.parametrize(
    ("controller", "limits", "asked", "expected"),
    [
        ("cpu", {1: {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "100000"}, 2: {"cpu.max": "100000 100000"}},
         "machine.usable_threads(64)", "1"),
        ("memory", {1: {"memory.limit_in_bytes": "536870912"}, 2: {"memory.max": "536870912"}},
         "machine.memory_bytes()", "536870912"),
    ],
)  # fmt: skip
def test_a_real_group_s_parent_bounds_a_process(controller, limits, asked, expected):
    with real_group(controller, limits) as group:
        code = (
            f"import os; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
            f"from arena.measuring import machine; print({asked})"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SCRIPTS, timeout=60
        )
    assert done.stdout.strip() == expected
