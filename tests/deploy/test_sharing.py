"""How processes share the tests: what has one group runs in one of them, with the pytest and pytest-xdist pinned."""

import re
import subprocess
import sys

GROUPED = """
import pytest

@pytest.mark.parametrize("n", range(4))
def test_it(n):
    pass
"""
# As tests/conftest.py does it.
CONFTEST = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.xdist_group("one"))
"""


def test_a_group_stays_in_one_process(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for name in ("a", "b"):
        (tmp_path / f"test_{name}.py").write_text(GROUPED)
    command = [sys.executable, "-m", "pytest", "-v", "--numprocesses", "2", "--dist", "loadgroup"]
    here = ["-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
    done = subprocess.run([*command, *here], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    ran = re.findall(r"^\[(gw\d)\].* PASSED", done.stdout, re.MULTILINE)
    assert len(ran) == 8 and len(set(ran)) == 1, done.stdout
