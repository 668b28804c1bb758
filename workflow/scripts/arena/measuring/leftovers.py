"""What a run that was killed outright has left running in its directory.

While Snakemake holds that directory's lock, no process there is anybody's but an earlier run's. A supervisor that
goes on would write the files that this run is about to write; a measuring process would take the processor from it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import psutil

SUPERVISOR = "benchmark.py"
PATIENCE_S = 10.0


def end(directory: Path) -> list[str]:
    """End this user's supervisors and measuring processes of ``directory``, and what they started.

    Returns what was ended, in words. Supervisors go first and are asked, so that they end what they watch; what
    does not go in ten seconds is killed.
    """
    here = directory.resolve()
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = [
        (process, what) for process in psutil.process_iter() if process.pid not in ours
        if (what := _left(process, here))
    ]  # fmt: skip
    supervisors = [process for process, what in found if what.startswith(SUPERVISOR)]
    for process in supervisors:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(supervisors, timeout=PATIENCE_S)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    measuring = [process for process, _ in found if process not in supervisors]
    for process in measuring:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # a measuring process leads its own group
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs([*stubborn, *measuring], timeout=PATIENCE_S)
    return [f"{what} (process {process.pid})" for process, what in found]


def _left(process: psutil.Process, here: Path) -> str | None:
    """What of a run in ``here`` this process is; None if nothing."""
    try:
        if process.uids().real != os.getuid():
            return None
        words = process.cmdline()
        if not {"--job", "--files"} & set(words):
            return None
        place = Path(process.cwd()).resolve()
    except (psutil.Error, OSError):
        return None
    results = here / "results" / "benchmarks"
    job = _argument(words, "--job")
    if job and (place / job).is_relative_to(results):
        return f"a measurement of {(place / job).parent.parent.relative_to(results)}"
    if any(Path(word).name == SUPERVISOR for word in words[:3]):
        result = place / _result(_argument(words, "--files") or "")
        if result.is_relative_to(results):
            return f"{SUPERVISOR} of {result.parent.relative_to(results)}"
    return None


def _result(described: str) -> str:
    """Where a supervisor writes, by the JSON of its files; what cannot be read names no place of a run."""
    try:
        return str(json.loads(described)["result"])
    except (ValueError, TypeError, KeyError):
        return os.devnull


def _argument(words: list[str], flag: str) -> str | None:
    """The word after ``flag``."""
    with contextlib.suppress(ValueError, IndexError):
        return words[words.index(flag) + 1]
    return None
