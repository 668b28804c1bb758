"""One measurement at a time on a machine; and the node of a cluster: what Slurm gave a job, and who else is on it."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

#: A name in the node's abstract socket namespace (unix(7)). Unlike a file it needs no directory that jobs
#: share, for Slurm may give each its own /tmp, and it goes with the process that holds it, however that ends.
LOCK = "\0arena-measuring"
ABSTRACT = sys.platform == "linux"


def whole(abstract: bool = ABSTRACT) -> list[str]:
    """The names that a measurement holds which takes the whole machine; for ``alone``."""
    return [LOCK, *(_of_cpu(number) for number in range(_configured()))] if abstract else [LOCK]


def part(card: str | None, cpus: Collection[int], abstract: bool = ABSTRACT) -> list[str]:
    """The names that a measurement on a card holds: those of the card (its UUID) and of the CPUs it may run on.

    Two that share neither may run at the same time: on a host of several cards, each with cores of its own. One that
    may run on every CPU, or whose card or CPUs are not known, takes the whole machine.
    """
    if not abstract or card is None or not cpus or len(cpus) >= _configured():
        return whole(abstract)
    return [f"{LOCK}-card-{card}", *map(_of_cpu, sorted(cpus))]


def _of_cpu(number: int) -> str:
    return f"{LOCK}-cpu-{number}"


def _configured() -> int:
    """CPUs of the machine, those that are offline and those of others included."""
    return os.sysconf("SC_NPROCESSORS_CONF")


@contextmanager
def alone(
    wanted: bool = True,
    names: Sequence[str] | None = None,
    interval_s: float = 0.5,
    abstract: bool = ABSTRACT,
) -> Iterator[float]:
    """Wait until no other process of this machine is in this block with one of ``names``, by default those of the
    whole machine; yields the seconds waited.

    Whose process it is does not matter on Linux; without abstract sockets it is a file of this user's. The names are
    taken in the order in which they are given and kept while the next is waited for: ``whole`` and ``part`` give all
    in one order, so that nobody waits in a circle, and who needs many gets them in time.
    With ``wanted`` false it waits for nobody.
    """
    if not wanted:
        yield 0.0
        return
    began, told = time.monotonic(), False
    with ExitStack() as held:
        for name in whole(abstract) if names is None else names:
            taken = held.enter_context(_socket_lock(name) if abstract else _file_lock(name))
            while not taken():
                if not told:
                    print(
                        "Another measurement runs on this machine; this one waits for its end",
                        file=sys.stderr,
                    )
                told = True
                time.sleep(interval_s)
        yield time.monotonic() - began


@contextmanager
def _socket_lock(name: str) -> Iterator[Callable[[], bool]]:
    """Whether the name could be had, as a function; given back at the end of the block."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as lock:

        def taken() -> bool:
            try:
                lock.bind(name)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                return False
            return True

        yield taken


@contextmanager
def _file_lock(name: str) -> Iterator[Callable[[], bool]]:
    """The same by a lock on a file, which the system takes back with its process."""
    path = _temporary() / f"{name.strip(chr(0))}-{os.getuid()}.lock"
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b") as lock:

        def taken() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        yield taken


def _temporary() -> Path:
    """This user's folder for temporary files, whatever TMPDIR says: all shells of a user have to mean the same."""
    if sys.platform == "darwin":
        asked = ["getconf", "DARWIN_USER_TEMP_DIR"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        if said:
            return Path(said)
    return Path("/tmp")


def allocation() -> dict[str, Any] | None:
    """What Slurm gave to this process, or None outside a job.

    ``cpus``: the CPUs on which it may run; ``pinned``: whether those are no more than Slurm gave, which is so
    where the site confines jobs to their CPUs; ``gpus``: the devices of its step, by the node's numbers.
    """
    environ = os.environ
    if "SLURM_JOB_ID" not in environ:
        return None
    cpus = sorted(os.sched_getaffinity(0))
    given = environ.get("SLURM_CPUS_ON_NODE") or environ.get("SLURM_CPUS_PER_TASK")
    return {
        "job": environ["SLURM_JOB_ID"],
        "name": environ.get("SLURMD_NODENAME"),
        "partition": environ.get("SLURM_JOB_PARTITION"),
        "cpus": cpus,
        "cpus_given": int(given) if given else None,
        "pinned": len(cpus) <= int(given) if given else None,
        "gpus": environ.get("SLURM_STEP_GPUS") or environ.get("CUDA_VISIBLE_DEVICES"),
    }


def other_jobs() -> int | None:
    """How many other jobs run on this node now; None outside a job, or where the node cannot ask Slurm."""
    job, name = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURMD_NODENAME")
    tool = shutil.which("squeue")
    if not (job and name and tool):
        return None
    command = [tool, "--noheader", "--states=RUNNING", f"--nodelist={name}", "--format=%A"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return None
    return len(set(answer.stdout.split()) - {job}) if answer.returncode == 0 else None


#: How the executor plugin names the jobs of a run: by a UUID, with a prefix if one is given.
RUN_NAME = re.compile(r"([A-Za-z0-9_-]+_)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


def leftover_jobs(directory: str | os.PathLike[str]) -> list[str]:
    """Ids of this user's jobs, waiting or running, that a Snakemake submitted from ``directory``.

    While Snakemake holds that directory's lock, they are those of a submitter that was killed. None without
    Slurm.
    Raises CalledProcessError if Slurm does not answer.
    """
    tool = shutil.which("squeue")
    if tool is None:
        return []
    command = [tool, "--noheader", f"--user={os.geteuid()}", "--format=%A|%j|%Z"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    jobs = [line.split("|", 2) for line in done.stdout.splitlines()]
    here = os.path.realpath(directory)
    return [job for job, name, place in jobs if RUN_NAME.match(name) and os.path.realpath(place) == here]


def cancel(jobs: list[str], patience_s: float = 120) -> None:
    """Cancel these jobs and wait until they have ended.

    Raises CalledProcessError if Slurm refuses, TimeoutError if they go on.
    """
    subprocess.run(["scancel", *jobs], check=True, timeout=60)
    deadline = time.monotonic() + patience_s
    listing = ["squeue", "--noheader", "--format=%A", f"--jobs={','.join(jobs)}"]
    while subprocess.run(listing, capture_output=True, text=True, timeout=60, check=False).stdout.strip():
        if time.monotonic() > deadline:
            raise TimeoutError(f"jobs {', '.join(jobs)} do not end; look at them with squeue")
        time.sleep(1)
