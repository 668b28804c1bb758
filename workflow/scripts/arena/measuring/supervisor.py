"""Run a measuring process as a child, so that however it ends, there is a result to record."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

import psutil

from arena.measuring import machine, watchdog

POLL_SECONDS = 0.2  # 20 µs of reading /proc each, so nothing that a measurement would notice
TREE_EVERY = 10  # polls between two looks at the whole process tree, which cost milliseconds
RUNNER = "snakemake"
DEPTH = 4  # from a supervisor up to its Snakemake there is one shell, or two
#: What tells this process to stop: a lost terminal and a quit key too.
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class AbandonedError(Exception):
    """The Snakemake that wanted the measurement is gone: nobody reads what would be recorded."""


@dataclass(frozen=True)
class Ending:
    """How the child ended. ``code`` is None if it ended by itself with exit status 0."""

    code: str | None
    detail: str
    seconds: float
    spawned: float = 0.0  # when it was started, by time.monotonic()
    pid: int = 0  # its process id, and its session's
    exit_status: int | None = None  # as subprocess has it


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: IO[bytes],
    timeout_s: float,
    memory_limit_bytes: int,
) -> Ending:
    """Run ``command`` to its end, its output going to ``log``.

    It is killed, with all its descendants, after ``timeout_s`` or once it holds more memory than
    ``memory_limit_bytes`` (before the kernel would pick a victim by itself). If this process is
    told to stop, the child goes first; if it is killed outright, the child goes with it. Raises
    AbandonedError if the Snakemake that started this process is gone.
    """
    kills_before = machine.conditions()["oom_kills"]
    runner = _runner()
    with watchdog.watchdog() as dog, _forwarded_signals():
        begin = time.monotonic()
        child = subprocess.Popen(
            list(command), env=dict(environment), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        stopped: tuple[str, str] | None = None
        try:
            dog.guard(child.pid)
            polls = 0
            while child.poll() is None:
                if _gone(runner):
                    raise AbandonedError(f"Snakemake (process {runner and runner.pid}) is gone")
                polls += 1
                held = _held_bytes(child.pid, tree=polls % TREE_EVERY == 0)
                if held > memory_limit_bytes:
                    stopped = (
                        "out-of-memory",
                        f"held {held / 1e6:.0f} MB, the limit is {memory_limit_bytes / 1e6:.0f} MB",
                    )
                elif time.monotonic() - begin > timeout_s:
                    stopped = ("timeout", f"no end after {timeout_s:g} s")
                if stopped:
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(POLL_SECONDS)
        finally:
            watchdog.end(child)
        seconds = time.monotonic() - begin
    return Ending(
        *(stopped or _cause(child.returncode, kills_before)), seconds, begin, child.pid, child.returncode
    )


def isolation() -> list[str]:
    """The command that starts another one in a network namespace of its own, which has no route anywhere.

    Empty where this system does not let an ordinary user do that. The process keeps its user and its id.
    """
    unshare = ["unshare", "--user", "--map-current-user", "--net", "--"]
    try:
        tried = subprocess.run([*unshare, "true"], capture_output=True, check=False)
    except OSError:  # no such program: not Linux
        return []
    return unshare if tried.returncode == 0 else []


def _runner() -> psutil.Process | None:
    """The Snakemake that has started this process; None where somebody started it by hand."""
    with contextlib.suppress(psutil.Error):
        for parent in psutil.Process().parents()[:DEPTH]:
            with contextlib.suppress(psutil.Error):
                if RUNNER in (Path(word).name for word in parent.cmdline()[:3]):  # python -m snakemake, too
                    return parent
    return None


def _gone(process: psutil.Process | None) -> bool:
    """Whether a process that there was has ended."""
    try:
        return process is not None and (not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _cause(status: int, kills_before: int | None) -> tuple[str | None, str]:
    if status == 0:
        return None, ""
    if status > 0:
        return "bad-result", f"exit status {status}"
    name = signal.Signals(-status).name
    kills = machine.conditions()["oom_kills"]
    if -status == signal.SIGKILL and None not in (kills, kills_before) and kills > kills_before:
        return "out-of-memory", "killed by the kernel for want of memory"
    return "crashed", f"killed by {name}"


def _held_bytes(pid: int, tree: bool) -> int:
    """Resident bytes of the child, now and then with its descendants; 0 once it is gone."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)] if tree else [process]
    except psutil.NoSuchProcess:
        return 0
    held = 0
    for member in family:
        with contextlib.suppress(psutil.Error):
            held += member.memory_info().rss
    return held


@contextlib.contextmanager
def _forwarded_signals() -> Iterator[None]:
    """Turn what tells us to stop into an exception, so that ``finally`` ends the child before us.

    What whoever started us has us ignore, as nohup does with SIGHUP, stays ignored.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    heeded = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def tail(log: Path, lines: int = 20, limit: int = 4000) -> str:
    """The last lines of a log, at most ``limit`` characters, undecodable bytes replaced."""
    with open(log, "rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - 4 * limit))
        text = stream.read().decode("utf-8", errors="replace")
    return "\n".join(text.splitlines()[-lines:])[-limit:]
