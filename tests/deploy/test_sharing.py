"""How processes share the tests: what has one group runs in one of them, with the pytest and pytest-xdist pinned.

And how they share the environments that they build.
"""

import re
import shutil
import subprocess
import sys
import time

import pytest

import checkout
from checkout import BUILDS, Checkout, beside, building
from runner import REPOSITORY
from turns import take_turns

# By tests/conftest.py itself; of what takes minutes to make, only the name.
TESTS = """
import pytest

@pytest.fixture
def miniature():
    pass

@pytest.fixture
def trained_checkpoint():
    pass

@pytest.mark.parametrize("n", range(3))
def test_fast(n):
    pass

@pytest.mark.slow
@pytest.mark.parametrize("n", range(3))
def test_slow(n):
    pass

@pytest.mark.network
@pytest.mark.parametrize("n", range(3))
def test_network(n):
    pass

@pytest.mark.network
@pytest.mark.exclusive
@pytest.mark.parametrize("n", range(3))
def test_exclusive(n):
    pass

@pytest.mark.parametrize("n", range(3))
def test_miniature(miniature, n):
    pass

@pytest.mark.parametrize("n", range(3))
def test_trained(trained_checkpoint, n):
    pass
"""


def ran(folder, *options):
    """The tests in the order in which they passed: (file, name, group, process), without xdist the last two empty."""
    if not (folder / "tests").exists():
        (folder / "tests").mkdir()
        shutil.copy(REPOSITORY / "tests/conftest.py", folder / "tests")
        (folder / "pyproject.toml").write_text(
            (REPOSITORY / "pyproject.toml")
            .read_text()
            .replace('"workflow/', f'"{REPOSITORY}/workflow/')
            .replace('"tests/support"', f'"{REPOSITORY}/tests/support"')
        )
        for name in "ab":
            (folder / f"tests/test_{name}.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    line = r"^(?:\[(gw\d)\].* PASSED )?tests/test_(\w)\.py::test_(\w+)\[\d\](?:@(.*?))? *(?:PASSED.*)?$"
    found = re.findall(line, done.stdout, re.MULTILINE)
    return [(file, name, group, process) for process, file, name, group in found if process or not group]


SHARED = ("--numprocesses", "2", "--dist", "loadgroup", "--no-loadscope-reorder")


def test_a_group_stays_in_one_process(tmp_path):
    found = ran(tmp_path, *SHARED)
    assert len(found) == 2 * 6 * 3
    groups = {(file, name): group for file, name, group, _ in found}
    for file in "ab":
        where = f"tests/test_{file}.py"
        assert groups[file, "fast"] == where
        assert groups[file, "slow"] == f"{where}, slow"
        assert groups[file, "network"] == f"{where}, network"
        assert groups[file, "exclusive"] == "exclusive"  # two would wait for each other
        assert groups[file, "miniature"] == "miniature"  # it would be made once more in another process
        assert groups[file, "trained"] == "trained_checkpoint"
    assert len(set(groups.values())) == 3 + 2 * 3
    processes = {group: {process for *_, found, process in found if found == group} for *_, group, _ in found}
    assert {group: len(names) for group, names in processes.items() if len(names) != 1} == {}
    assert set.union(*processes.values()) == {"gw0", "gw1"}
    # The longest begins first, and the other process has something else meanwhile.
    assert processes["miniature"] != processes["tests/test_a.py, slow"]


def test_one_process_runs_the_fast_tests_first(tmp_path):
    names = [name for _, name, _, _ in ran(tmp_path, "-n", "0")]
    kinds = ["fast", "slow", "network", "exclusive", "miniature", "trained"]
    assert names == [name for name in kinds for _ in range(2 * 3)]


def build(prefix, spans):
    with building(prefix):
        begin = time.monotonic()
        time.sleep(0.2)
        spans.put((begin, time.monotonic()))


def test_two_processes_never_build_environments_at_once(tmp_path):
    assert take_turns(build, tmp_path / "new/prefix")


def test_a_run_that_builds_an_environment_unasked_is_refused(tmp_path, monkeypatch):
    snakemake = tmp_path / "snakemake"
    snakemake.write_text(f"#!/bin/sh\necho '{BUILDS} envs/jax.yaml...'\n")
    snakemake.chmod(0o755)
    monkeypatch.setattr(checkout, "RUNNER", tmp_path)
    monkeypatch.setattr(checkout, "CONDA_PREFIX", tmp_path / "prefix")
    made = Checkout(tmp_path, tmp_path, (tmp_path / "test.yaml",))
    made.build_environments()
    with pytest.raises(AssertionError, match=r"build_environments\(\) is missing before this"):
        made.run()


def test_environments_built_beside_the_miniature_are_none_of_its_files():
    old, new = "0" * 32 + "_", "f" * 32 + "_"
    before = {f"{old}.yaml", f"{old}/bin/python"}
    stray = {f"{old}/lib/cache.pyc", f"{old}.lock", "jit.so", f"{new[:-1]}.so"}
    built = {f"{new}.yaml", f"{new}.env_setup_done", f"{new}/bin/python"}
    assert beside(before, before | stray | built) == built
