"""Processes that must not outlive the one that started them: what is measured, exported, compiled.

Needs the standard library only: exporters' and engines' environments have no more.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: It reads the group's number, then waits for the pipe's other end to close, which the kernel does for a process
#: that is killed outright too. A shell is on every system, needs a millisecond and no time of the processor's.
SCRIPT = 'read group || exit; read end; kill -s KILL -- "-$group"'


@dataclass(frozen=True)
class Watchdog:
    """Ends a group of processes as soon as this process is gone."""

    pipe: int

    def guard(self, group: int) -> None:
        """From now on, this group of processes dies with this process."""
        os.write(self.pipe, b"%d\n" % group)


@contextlib.contextmanager
def watchdog() -> Iterator[Watchdog]:
    """A watchdog, whose own process is in no terminal's reach; at the end of the block it does nothing more."""
    reading, writing = os.pipe()  # neither is inherited by what this process starts
    try:
        dog = subprocess.Popen(
            ["/bin/sh", "-c", SCRIPT],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )
    finally:
        os.close(reading)
    try:
        yield Watchdog(writing)
    finally:
        dog.kill()
        dog.wait()
        os.close(writing)


def run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command with these variables to its end, in a group that ends with this process; its exit status, negative
    for a signal.
    """
    with watchdog() as dog:
        process = subprocess.Popen(command, env=environ, process_group=0)
        dog.guard(process.pid)
        try:
            return process.wait()
        finally:
            end(process)


def end(process: subprocess.Popen[Any]) -> None:
    """Kill a process that leads its group, and the group: descendants too, also those that outlive it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
