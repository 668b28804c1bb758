"""In which call a process was killed, from what Python wrote into its log."""

import signal
import subprocess
import sys

import pytest

from arena.measuring import faults

LIBRARY = (
    '  File "/home/me/.venv/lib/python3.13/site-packages/llama_cpp/_ctypes_extensions.py", line 70 in load\n'
)
CTYPES = '  File "/usr/lib/python3.13/ctypes/__init__.py", line 401 in __init__\n'
IMPORT = '  File "<frozen importlib._bootstrap>", line 488 in _call_with_frames_removed\n'
ADAPTER = '  File "/home/me/arena/workflow/scripts/frameworks/llamacpp/adapter.py", line 209 in _decode\n'
CURRENT = "Current thread 0x00007f01 [python] (most recent call first):\n"
OTHER = "Thread 0x00007f02 (most recent call first):\n"


def report(*lines):
    return (
        "loading\nFatal Python error: Illegal instruction\n\n"
        + "".join(lines)
        + "\nExtension modules: a (total: 1)\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (report(CURRENT, CTYPES, LIBRARY, IMPORT, ADAPTER), "load of llama_cpp"),
        (report(CURRENT, ADAPTER), "_decode of adapter.py"),
        (report(CURRENT, "  <no Python frame>\n", OTHER, IMPORT, ADAPTER), "_decode of adapter.py"),
        (report(OTHER, LIBRARY, CURRENT, ADAPTER), "load of llama_cpp"),
        (report(CURRENT, CTYPES), "__init__ of __init__.py"),
        (report(CURRENT, "  <no Python frame>\n"), None),
        (f'Traceback (most recent call last):\n{ADAPTER}RuntimeError: "Fatal"\n', None),
        ("", None),
    ],
)
def test_the_innermost_call_that_is_not_pythons_own(tmp_path, text, expected):
    log = tmp_path / "process.log"
    log.write_text(text)
    assert faults.call(log) == expected


def test_as_python_writes_it(tmp_path):
    code = (
        "import faulthandler, os\nfaulthandler.enable()\ndef kernel():\n  os.kill(os.getpid(), 4)\nkernel()\n"
    )
    (tmp_path / "engine.py").write_text(code)
    with open(tmp_path / "process.log", "wb") as log:
        log.write(b"\xff" * faults.READ)  # what cannot be text, and more than is read
        done = subprocess.run([sys.executable, tmp_path / "engine.py"], stderr=log, check=False)
    assert done.returncode == -signal.SIGILL
    assert faults.call(tmp_path / "process.log") == "kernel of engine.py"
