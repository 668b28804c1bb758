"""A framework that generates by the clock, for the tests: its speed is known, and so are its tokens.

Options: ``prefill_s`` and ``token_s`` seconds of sleep, ``tokens`` to be returned, ``reach``: an address to
which it tries to connect while it loads, as some frameworks do to count their users, ``own_s``.
"""

from __future__ import annotations

import contextlib
import socket
import time

import numpy as np

from frameworks import base


class Adapter(base.Adapter):
    def __init__(self, job):
        super().__init__(job)
        self.own_s = job.cell.options.get("own_s", self.own_s)

    def describe(self):
        return {"version": "1.0", "backend": "CPU", "device": "cpu", "threads": self.job.cell.threads}

    def load(self):
        for address in self.job.cell.options.get("reach", []):
            with contextlib.suppress(OSError):
                socket.create_connection((address, 80), timeout=1).close()

    def prepare(self, task):
        if task == "training":
            raise base.UnsupportedError("no-training", "made of sleep")
        if task == "decode":
            return self.generate
        shape = (1, *self.job.task_inputs(task)["input_ids"].shape[1:], 8)
        return lambda: np.zeros(shape, np.float32)

    def generate(self):
        begin = time.perf_counter_ns()
        time.sleep(self.job.cell.options["prefill_s"])
        first = time.perf_counter_ns() - begin
        for _ in range(self.job.cell.decode_tokens - 1):
            time.sleep(self.job.cell.options["token_s"])
        return base.Generation(self.job.cell.options["tokens"], first)

    def fetch(self, task, result):
        if task == "decode":
            return {"tokens": np.array(result.tokens, np.int64)}
        return {"output": result}
