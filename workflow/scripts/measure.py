"""Measure one cell once, in this process. The supervisor (benchmark.py) starts it and judges how it ends.

Everything it needs stands in the job file; the results it writes step by step, so that a crash
in training does not take the inference figures with it. By hand:

    python measure.py --job job.json        (benchmark.py --keep-job writes such a file)
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from arena import files, tensors
from arena.judging import losses
from arena.measuring import gpu, machine, nvml
from arena.measuring.protocol import Limits, measure
from frameworks.base import Adapter, Generation, Job, UnsupportedError

OWN_PEAK = ("decode", "training")  # the other tasks' peak is counted as that of inference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--job", type=Path, required=True, help="JSON file that describes the cell")
    spec = files.read_json(parser.parse_args().job)
    Cell(spec).run()


class Cell:
    """One cell's measurement; ``record`` is what the supervisor reads."""

    def __init__(self, spec: dict[str, Any]):
        self.spec = spec
        self.limits = Limits.from_config(spec["protocol"])
        self.outputs: dict[str, np.ndarray] = {}
        self.record: dict[str, Any] = {"status": "ok", "reason": None, "stage": "import", "tasks": {}}

    def run(self) -> None:
        """Measure every task that the job asks for; failures are recorded, never raised."""
        try:
            adapter = self.start()
        except Exception as error:
            self.record |= outcome(error)
            self.save()
            return
        for task in self.spec["tasks"]:
            self.stage(task)
            try:
                self.record["tasks"][task] = {"status": "ok", "reason": None} | self.measure(adapter, task)
            except Exception as error:
                self.record["tasks"][task] = outcome(error)
                if task == "inference":  # nothing else means anything without it
                    self.record |= outcome(error)
                    break
        self.record["threads_reported"] = adapter.describe().get("threads")
        self.stage("done")

    def start(self) -> Adapter:
        """Import the framework, build its adapter, load the weights."""
        self.save()
        begin = time.perf_counter()
        module = import_file(Path(self.spec["adapter"]))
        self.record["import_s"] = time.perf_counter() - begin

        self.stage("load")
        paths = {key: Path(self.spec[key]) for key in ("weights", "config", "inputs", "cache")}
        exports = {
            key: Path(self.spec[key]) if self.spec[key] else None for key in ("export", "decode_export")
        }
        names = ("definition", "loss", "lane", "accelerator", "threads", "decode_tokens", "options")
        interface = {"interface": self.spec.get("interface", self.spec["accelerator"])}
        adapter = module.Adapter(
            Job(**paths, **exports, **interface, **{name: self.spec[name] for name in names})
        )
        self.record |= {key: adapter.describe().get(key) for key in ("version", "backend", "device")}
        machine.reset_peak()
        self.record["memory"] = {"baseline_bytes": machine.resident_bytes()}
        begin = time.perf_counter()
        adapter.load()
        self.record["load_s"] = time.perf_counter() - begin
        return adapter

    def measure(self, adapter: Adapter, task: str) -> dict[str, Any]:
        """Compile and time one task, then fetch and store what it computed."""
        if task in OWN_PEAK:
            machine.reset_peak()
        begin = time.perf_counter()
        run = adapter.prepare(task)
        run()
        compile_s = time.perf_counter() - begin
        if task == "inference":
            self.record["first_output_monotonic_s"] = time.monotonic() - adapter.own_s
        print(f"{task}: first result after {compile_s:.2f} s", flush=True)

        first_token_ns: list[int] = []
        device_ns: list[int | None] = []
        timing = measure(
            observed(run, first_token_ns) if task == "decode" else run,
            self.limits,
            note=lambda: device_ns.append(adapter.device_ns()),
        )
        peak = machine.peak_bytes()
        key = f"{task if task in OWN_PEAK else 'inference'}_peak_bytes"
        self.record["memory"][key] = max(peak, self.record["memory"].get(key, 0))
        self.record["memory"][f"device_{task}_peak_bytes"] = adapter.device_peak_bytes()
        middle = sorted(timing.samples_ns)[len(timing.samples_ns) // 2] / 1e6
        print(f"{task}: {len(timing.samples_ns)} samples, median {middle:.3f} ms", flush=True)

        self.keep(task, adapter.fetch(task, timing.result))
        figures = {
            "compile_s": compile_s,
            "warmup_ns": timing.warmup_ns,
            "steady": timing.steady,
            "samples_ns": timing.samples_ns,
        }
        if device_ns[-1] is not None:
            figures["device_ns"] = device_ns[-len(timing.samples_ns) :]
        if task == "inference" and self.spec["protocol"].get("energy_seconds"):
            figures["energy"] = self.energy(run)
        if task == "decode":
            figures["first_token_ns"] = first_token_ns[-len(timing.samples_ns) :]
            figures["prompt_tokens"] = int(adapter.job.task_inputs("decode")["input_ids"].size)
            figures["new_tokens"] = self.spec["decode_tokens"]
        return figures

    def energy(self, run: Callable[[], Any]) -> dict[str, Any] | None:
        """Energy of further, untimed iterations, where the protocol asks and the GPU counts it."""
        card = nvml.open_gpu() if self.spec["accelerator"] == "cuda" else None
        return gpu.energy(run, card, self.spec["protocol"]["energy_seconds"]) if card else None

    def keep(self, task: str, fetched: dict[str, np.ndarray]) -> None:
        """Write the outputs; put the loss on the record, from the framework's own outputs."""
        if task == "training":
            self.record["training_loss"] = finite(fetched["loss"])
            if self.spec["gradients"]:
                tensors.save(self.spec["gradients"], tensors.select(fetched, "gradient."))
            return
        name = "tokens" if task == "decode" else "output"
        self.outputs[f"{task}.{name}"] = fetched[name]
        tensors.save(self.spec["outputs"], self.outputs)
        if task == "inference":
            target = tensors.load(self.spec["inputs"])["target"]
            try:
                self.record["loss"] = finite(losses.loss(self.spec["loss"], fetched["output"], target))
            except (ValueError, IndexError) as error:  # a wrong shape: the gate will say so in full
                print(f"loss not computed: {error}", flush=True)
                self.record["loss"] = None

    def stage(self, name: str) -> None:
        """Put on the record what is being done, so that a crash can be told apart."""
        inference = self.record["tasks"].get("inference", {})
        self.record["compile_s"] = inference.get("compile_s")
        self.record["network_attempts"] = machine.unroutable_packets() if self.spec["offline"] else None
        self.record["stage"] = name
        self.save()

    def save(self) -> None:
        files.write_json(self.spec["result"], self.record)


def observed(run: Callable[[], Generation], first_token_ns: list[int]) -> Callable[[], Generation]:
    """``run``, which also notes each generation's time to its first token."""

    def generate() -> Generation:
        result = run()
        first_token_ns.append(result.first_token_ns)
        return result

    return generate


def import_file(path: Path) -> ModuleType:
    """Import an adapter by its path, so that one may also live outside this checkout."""
    spec = importlib.util.spec_from_file_location(f"frameworks.{path.parent.name}.{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def finite(value: Any) -> float | None:
    """``value`` as a float, None if it is not finite (JSON has no NaN; the gate judges the outputs)."""
    number = float(value)
    return number if np.isfinite(number) else None


def outcome(error: Exception) -> dict[str, Any]:
    """Status and reason code of an exception; its traceback goes to the log."""
    if isinstance(error, UnsupportedError):
        return {"status": "unsupported", "reason": {"code": error.code, "detail": error.why}}
    traceback.print_exc(file=sys.stdout)
    if isinstance(error, tensors.TensorNameError):
        code = "missing-tensor"
    elif isinstance(error, ModuleNotFoundError):
        code = "not-installed"
    elif isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__:
        code = "out-of-memory"
    else:
        code = "error"
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return {"status": "failed", "reason": {"code": code, "detail": text[:500]}}


if __name__ == "__main__":
    main()
