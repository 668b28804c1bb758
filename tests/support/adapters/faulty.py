"""A framework that goes wrong in the way that its row's option ``fault`` names, for the tests.

``fault`` strikes in task ``during`` (default inference), while the file ``while_exists`` exists, if
that option is given. Without a fault it computes zeros of the right shape, which the gate must call
different. An inference takes ``sleep_s``, or what ``sleeps_s`` has for its round.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import faulthandler
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from frameworks import base

CLASSES = 16  # where the model's config names no number of its own


def stage() -> Path:
    """The directory in which this process leaves its results."""
    return Path(sys.argv[sys.argv.index("--job") + 1]).parent


class Adapter(base.Adapter):
    def describe(self):
        return {"version": "1.0", "backend": "CPU", "device": "cpu", "threads": self.job.cell.threads}

    def load(self):
        pass

    def prepare(self, task):
        if task == self.job.cell.options.get("during", "inference") and self.strikes():
            getattr(self, self.job.cell.options.get("fault", "none").replace("-", "_"))()
        if task == "training":
            raise base.UnsupportedError("no-training", "made of zeros")
        images = self.job.task_inputs(task)["images"]
        classes = self.job.cell.options.get("classes", CLASSES)
        shape = (images.shape[0], self.job.architecture().get("num_classes", classes))
        pause = self.job.cell.options.get("sleep_s", 0.0)
        if "sleeps_s" in self.job.cell.options:
            sleeps = self.job.cell.options["sleeps_s"]
            pause = sleeps[(self.job.round - 1) % len(sleeps)]

        def run():
            time.sleep(pause)
            return np.zeros(shape, np.float32)

        return run

    def fetch(self, task, result):
        return {"output": result}

    def strikes(self):
        trigger = self.job.cell.options.get("while_exists")
        return trigger is None or Path(trigger).exists()

    def none(self):
        pass

    def segfault(self):
        faulthandler.disable()
        os.kill(os.getpid(), signal.SIGSEGV)

    def null(self):
        """Read what is no memory, in a call of a library."""
        ctypes.string_at(1)

    def hang(self):
        time.sleep(3600)

    def error(self):
        raise RuntimeError("no kernel image | for `this` device\nsecond line")

    def memory(self):
        held = []
        while True:  # 64 MB at a time, touched, until the supervisor ends it
            held.append(np.ones(8_000_000))
            time.sleep(0.01)

    def garbage(self):
        """Scribble over every file of the stage directory and leave without a word."""
        for path in stage().iterdir():
            path.write_bytes(b"\x00\xffgarbage\n" * 1000)
        print("\x1b[31m\x00\xff garbage on the terminal", flush=True)
        os._exit(0)

    def forge(self):
        """Write a record with the keys of option ``forged`` in place of one's own, and leave without a word."""
        path = stage() / "result.json"
        record = json.loads(path.read_text()) | json.loads(self.job.cell.options["forged"])
        path.write_text(json.dumps(record))
        os._exit(0)

    def environ(self):
        """Leave the variables of this process in its cache."""
        (self.job.files.cache / "environ.json").write_text(json.dumps(dict(os.environ)))

    def family(self):
        """Start a process of one's own, leave both ids in the cache, and hang."""
        child = subprocess.Popen(["sleep", "3600"])
        (self.job.files.cache / "family").write_text(f"{os.getpid()} {child.pid}")
        self.hang()

    def pinned(self):
        """Confine the process to one core, as a library does that reads GOMP_CPU_AFFINITY."""
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    def fill(self):
        """Write to the cache until the disk is full, and tell that in a library's words; leave it so, or not."""
        path = self.job.files.cache / "kernels"
        try:
            with open(path, "wb") as stream:
                while True:
                    stream.write(b"x" * 100_000)
                    stream.flush()
        except OSError as error:
            if self.job.cell.options.get("tidy"):
                path.unlink()
            raise RuntimeError(f"kernel cache: {os.strerror(error.errno)}") from None

    def fill_and_die(self):
        """Fill the disk and die without a word."""
        with contextlib.suppress(RuntimeError):
            self.fill()
        self.segfault()

    def elsewhere(self):
        """Find no room in a place that is none of the arena's."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/dev/shm/semaphore")

    def large(self):
        """Compute more than the disk holds."""
        self.job.cell.options["classes"] = 300_000

    def tell(self):
        """Print what option ``secret`` says, and fail with it."""
        print("the environment:", self.job.cell.options["secret"], flush=True)
        raise RuntimeError(f"no access with {self.job.cell.options['secret']}")

    def strange(self):
        """Leave an outputs file of the ``header`` that is asked for, with ``size`` bytes of zeros."""
        header = self.job.cell.options["header"].encode()
        data = len(header).to_bytes(8, "little") + header + bytes(self.job.cell.options["size"])
        (stage() / "outputs.safetensors").write_bytes(data)
        os._exit(0)

    def odd_file(self):
        """Leave something else than a file of a record's size in the place of ``file``."""
        path = stage() / self.job.cell.options.get("file", "result.json")
        path.unlink(missing_ok=True)
        left = self.job.cell.options["left"]
        if left == "folder":
            path.mkdir()
        elif left == "pipe":
            os.mkfifo(path)
        elif left == "link":
            path.symlink_to(self.job.files.inputs)
        else:
            os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 65_000_000)
        os._exit(0)

    def half(self):
        """Leave half an outputs file behind and die."""
        header = b'{"inference.output":{"dtype":"F32"'
        (stage() / "outputs.safetensors").write_bytes((10**6).to_bytes(8, "little") + header)
        os._exit(0)

    def exit_status(self):
        os._exit(3)
