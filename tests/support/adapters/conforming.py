"""workflow/engines/arena/src/bin/conformance.rs in Python: it computes by rule, and takes its time by the clock.

Options: ``fault``: ``load`` fails to load, ``nan`` has a loss that is none, ``text`` predicts none; ``unsupported``: a
task that it cannot do;
``device_ns``, ``device_bytes``: what it says of its device.
"""

from __future__ import annotations

import time

import numpy as np

from frameworks import base


class Adapter(base.Adapter):
    def describe(self):
        threads = self.job.cell.threads
        return {"version": None, "backend": "by rule", "device": "none", "threads": threads}

    def load(self):
        if self.job.cell.options.get("fault") == "load":
            raise RuntimeError("asked   to\nfail")

    def prepare(self, task):
        if self.job.cell.options.get("unsupported") == task:
            raise base.UnsupportedError("unsupported-model", "not by this rule")

        if self.job.cell.options.get("fault") == "text" and not isinstance(self.job, base.Job):
            raise RuntimeError("no other text than its own")

        def run():
            begin = time.perf_counter_ns()
            time.sleep(0.001)
            first_token_ns = time.perf_counter_ns() - begin
            time.sleep(0.001)
            size = next(iter(self.job.task_inputs(task).values())).size
            values = (np.arange(size * 4, dtype=np.float32) / 8).reshape(-1, 4)
            return base.Generation(values, first_token_ns) if task == "decode" else values

        return run

    def fetch(self, task, result):
        if task == "training":
            fault = self.job.cell.options.get("fault")
            return {"loss": np.float64("nan" if fault == "nan" else 0.5), "gradient.weight": result}
        if task == "decode":
            return {"tokens": np.arange(self.job.cell.decode_tokens)}
        return {"output": result}

    def device_ns(self):
        return self.job.cell.options.get("device_ns")

    def device_peak_bytes(self):
        return self.job.cell.options.get("device_bytes")
