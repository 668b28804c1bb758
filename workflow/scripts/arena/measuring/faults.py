"""In which call a process was killed: Python's own report of a fatal signal, as the log has it.

``faulthandler`` writes it where the process is Python's and the signal is one of a fault (SIGILL, SIGSEGV, …). The
thread that was hit may be a library's own, without a frame of Python's; then it is Python's that waited for it.
"""

from __future__ import annotations

import re
from pathlib import Path

BEGIN = "Fatal Python error: "
THREAD = re.compile(r"^(?:Current thread|Thread) .*\(most recent call first\):$")
FRAME = re.compile(r'^  File "(?P<file>.+)", line \d+ in (?P<function>.+)$')
INSTALLED = re.compile(r"/site-packages/([^/]+)")
PYTHONS_OWN = re.compile(r"^<frozen |/lib/python3\.\d+t?/(?!site-packages/)")
READ = 2**18  # bytes from the log's end: a report is of a few thousand


def call(log: Path) -> str | None:
    """The call that did not come back, such as ``load_shared_library of llama_cpp``; None where the log has none.

    It is the innermost that is not of Python's own library: of the thread that was hit or else of the last that the
    report names, which is the first that there was.
    """
    with open(log, "rb") as stream:
        stream.seek(max(0, log.stat().st_size - READ))
        text = stream.read().decode("utf-8", errors="replace")
    _, found, report = text.rpartition(BEGIN)
    stacks: list[list[re.Match[str]]] = []
    for line in report.splitlines() if found else ():
        if THREAD.match(line):
            stacks.append([])
        elif stacks and (frame := FRAME.match(line)):
            stacks[-1].append(frame)
    stack = next(filter(None, [*stacks[:1], *reversed(stacks)]), None)
    if stack is None:
        return None
    frame = next((each for each in stack if not PYTHONS_OWN.search(each["file"])), stack[0])
    return f"{frame['function']} of {_module(frame['file'])}"


def _module(file: str) -> str:
    """The package that was installed, or else the file's name."""
    installed = INSTALLED.search(file)
    return installed[1].removesuffix(".py") if installed else file.rpartition("/")[2]
