"""A real Slurm on this machine: a controller and two nodes on the loopback interface, for tests.

Node ``n1`` has two GPUs of type h100, ``n2`` one of type a100; the devices are made up, what Slurm does with
them is real. Needs root, to make devices and start jobs, and Debian's slurmctld, slurmd, slurm-client, munge.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scancel", "srun")
MARKS = ("SLURM_", "SBATCH_", "SRUN_")
CONF = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={root}/munge.sock
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={controller}
SrunPortRange={first}-{last}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={root}/log/jobcomp.txt
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_min_interval=100000,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=300
KillWait=2
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={one} CPUs=4 RealMemory=32000 Feature=fast \\
    Gres=gpu:h100:2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={two} CPUs=4 RealMemory=32000 Gres=gpu:a100:1
PartitionName=gpu Nodes=n1,n2 Default=YES MaxTime=120 State=UP
PartitionName=one Nodes=n1 MaxTime=120 State=UP
PartitionName=two Nodes=n2 MaxTime=120 State=UP
"""
# Character devices: of a plain file Slurm tells a job nothing, and a bare count drains the node.
GRES = """
NodeName=n1 Name=gpu Type=h100 File={root}/dev/gpu[0-1]
NodeName=n2 Name=gpu Type=a100 File={root}/dev/gpu2
"""
# The plugin's job step removes SLURM_CONF, which on a cluster lies where Slurm looks anyway.
SRUN = """#!/bin/sh
SLURM_CONF={root}/slurm.conf exec {srun} "$@"
"""
# Snakemake asks for a job's state ever less often, by ten seconds a time: a test would mostly sleep.
IMPATIENT = """
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
RemoteExecutor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, seconds: None)
"""


def missing() -> str | None:
    """Why Slurm cannot be started here, or None if it can."""
    absent = [program for program in PROGRAMS if not shutil.which(program, path=search_path())]
    if absent:
        return f"no {', '.join(absent)}: install slurmctld, slurmd, slurm-client and munge"
    return None if os.geteuid() == 0 else "only root can start a Slurm"


def search_path() -> str:
    """PATH with the folders of daemons."""
    return os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])


class Slurm:
    """A running Slurm, and the environment in which its commands work."""

    def __init__(self, root: Path):
        self.root = root
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith(MARKS)}
        self.environ |= {"SLURM_CONF": str(root / "slurm.conf")}
        self.environ |= {"PATH": os.pathsep.join([str(root / "bin"), search_path()])}
        self.environ |= {"PYTHONPATH": str(root / "python")}

    def ask(self, *command: str) -> str:
        """What a command of Slurm says. Raises CalledProcessError if it fails."""
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=True)
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """Every job that Slurm still remembers (``MinJobAge``), in the order of submission.

        Keys: ``id``, ``state``, ``node``, ``start`` and ``end`` (local time, ISO 8601), ``comment`` (the rule
        and its wildcards), ``gres``, ``exclusive`` (OverSubscribe: NO is a whole node).
        """
        fields = {"id": "JobID", "state": "State", "node": "NodeList", "start": "StartTime", "end": "EndTime"}
        fields |= {"comment": "Comment", "gres": "tres-per-node", "exclusive": "OverSubscribe"}
        form = ",".join(f"{name}:|" for name in fields.values())
        lines = self.ask("squeue", "--noheader", "--states=all", "--sort=i", f"--Format={form}").splitlines()
        return [dict(zip(fields, line.split("|"), strict=False)) for line in lines]

    def start(self, *command: str) -> subprocess.Popen:
        log = open(self.root / "log" / f"{Path(command[0]).name}{len(self.running)}.log", "w")  # noqa: SIM115
        path = shutil.which(command[0], path=search_path())
        process = subprocess.Popen([path, *command[1:]], env=self.environ, stdout=log, stderr=log)
        self.running.append(process)
        return process

    running: list[subprocess.Popen]

    @contextmanager
    def up(self) -> Iterator["Slurm"]:
        """Write the files, start the daemons, wait until both nodes are idle; stop everything at the end."""
        self.running = []
        self.write()
        try:
            key, sock = self.root / "munge.key", self.root / "munge.sock"
            log = self.root / "log/munged.log"
            pid, seed = self.root / "munged.pid", self.root / "munge.seed"
            self.start(
                "munged", "-F", "--force", f"--key-file={key}", f"--socket={sock}", f"--log-file={log}",
                f"--pid-file={pid}", f"--seed-file={seed}",
            )  # fmt: skip
            self.wait(sock.exists)
            self.start("slurmctld", "-D", "-c", "-f", str(self.root / "slurm.conf"))
            for name in ("n1", "n2"):
                self.start("slurmd", "-D", "-N", name, "-f", str(self.root / "slurm.conf"))
            self.wait(lambda: self.states() == {"n1": "idle", "n2": "idle"})
            yield self
        finally:
            self.stop()

    def states(self) -> dict[str, str]:
        done = subprocess.run(
            ["sinfo", "-hN", "-p", "gpu", "-o", "%N %t"], env=self.environ, capture_output=True, text=True
        )
        return dict(line.split() for line in done.stdout.splitlines())

    def wait(self, ready, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            dead = [process.args for process in self.running if process.poll() is not None]
            assert not dead and time.monotonic() < deadline, (dead, self.logs())
            time.sleep(0.1)

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in self.root.glob("log/*.log"))

    def stop(self) -> None:
        if len(self.running) > 2:
            subprocess.run(["scancel", "-u", "root"], env=self.environ, capture_output=True)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and self.queue():
                time.sleep(0.2)
        for process in reversed(self.running):
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for process in filter(self.started, psutil.process_iter()):
            with suppress(psutil.NoSuchProcess):
                process.kill()  # a cancelled job that does not heed SIGTERM outlives the daemons

    def started(self, process: psutil.Process) -> bool:
        """Whether it comes from this Slurm: its environment names the folder."""
        try:
            return any(str(self.root) in value for value in process.environ().values())
        except psutil.Error:  # it has ended, or is the kernel's
            return False

    def queue(self) -> str:
        done = subprocess.run(["squeue", "-h"], env=self.environ, capture_output=True, text=True)
        return done.stdout

    def write(self) -> None:
        for folder in ("state", "spool/n1", "spool/n2", "log", "dev", "bin", "python"):
            (self.root / folder).mkdir(parents=True)
        self.root.chmod(0o755)
        controller, one, two, first = free_ports()
        values = {"root": self.root, "host": socket.gethostname().split(".")[0]}
        values |= {"controller": controller, "one": one, "two": two, "first": first, "last": first + 99}
        (self.root / "slurm.conf").write_text(CONF.format(**values))
        (self.root / "gres.conf").write_text(GRES.format(**values))
        (self.root / "python/sitecustomize.py").write_text(IMPATIENT)
        (self.root / "munge.key").write_bytes(os.urandom(128))
        (self.root / "munge.key").chmod(0o400)
        for number in range(3):
            os.mknod(self.root / f"dev/gpu{number}", 0o20666, os.makedev(1, 3))
        srun = self.root / "bin/srun"
        srun.write_text(SRUN.format(root=self.root, srun=shutil.which("srun", path=search_path())))
        srun.chmod(0o755)


def free_ports() -> tuple[int, int, int, int]:
    """Ports for the controller and two nodes, and the first of a hundred for job steps."""
    sockets = [socket.socket() for _ in range(3)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    first = 20000 + os.getpid() % 100 * 100
    return (*ports, first)
