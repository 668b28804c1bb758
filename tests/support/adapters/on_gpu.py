"""A framework that says it computes on a GPU, for the tests; what it computes is zeros, on the CPU.

Options: ``holds``, bytes that it has the fake driver (tests/support/fake_nvml.c) see in its hands; ``counts``, bytes
of device memory that it claims by itself; ``raises``, bytes by which the card's memory in use rises.
"""

from __future__ import annotations

import os
import time

import numpy as np

from frameworks import base


class Adapter(base.Adapter):
    def describe(self):
        return {"version": "1.0", "backend": "CUDA", "device": "NVIDIA Fake", "threads": None}

    def load(self):
        state = os.environ.get("ARENA_FAKE_NVML", os.devnull)
        with open(state, "a", encoding="utf-8") as stream:
            if "holds" in self.job.cell.options:
                stream.write(f"process {os.getpid()} {self.job.cell.options['holds']}\n")
            if "raises" in self.job.cell.options:
                stream.write(f"used {1000 + self.job.cell.options['raises']}\n")

    def prepare(self, task):
        if task == "training":
            raise base.UnsupportedError("no-training", "made of zeros")
        shape = (self.job.task_inputs(task)["images"].shape[0], 16)

        def run():
            time.sleep(0.25)  # so that the watch, which looks each second, sees it
            return np.zeros(shape, np.float32)

        return run

    def fetch(self, task, result):
        return {"output": result}

    def device_ns(self):
        return 7_000

    def device_peak_bytes(self):
        return self.job.cell.options.get("counts")
