"""Measure one cell once, in this process. The supervisor (benchmark.py) starts it and judges how it ends.

Everything it needs stands in the job file; the results it writes step by step, so that a crash
in training does not take the inference figures with it. By hand:

    python measure.py --job job.json        (benchmark.py --keep-job writes such a file)
"""

# ruff: noqa: E402 -- what the records cost is timed, so their imports stand behind the clock

from __future__ import annotations

import argparse
import dataclasses
import faulthandler
import importlib.util
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from arena import storage, tensors

BEGIN = time.perf_counter()
from arena.contract import codec
from arena.contract.cell import Reason, TaskName
from arena.contract.measured import Energy, Measured, Memory, Quality, Task

RECORDS_S = time.perf_counter() - BEGIN  # which no user's program would spend

from arena.judging import losses, quality
from arena.measuring import gpu, machine, nvml
from arena.measuring.protocol import measure
from frameworks import promises
from frameworks.base import Adapter, FailedError, Generation, Job, UnsupportedError

OWN_PEAK = ("decode", "training")  # the other tasks' peak is counted as that of inference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--job", type=Path, required=True, help="JSON file: job.schema.json describes it")
    args = parser.parse_args()
    faulthandler.enable()  # a crash then says in the log in which call
    begin = time.perf_counter()
    try:
        job = codec.read(Job, args.job)
    except (OSError, codec.ContractError) as error:
        sys.exit(f"measure.py: {error}")
    try:
        Measurement(job, RECORDS_S + time.perf_counter() - begin).run()
    except OSError as error:
        if not storage.fault(error, job.files.cache, job.files.result.parent):
            raise
        with suppress(OSError):  # the log may lie on the same disk
            print(f"measure.py: {error}", flush=True)
        os._exit(storage.EXIT)  # a framework's own way out may end with another status


class Measurement:
    """One round of one cell; ``record`` is what the supervisor reads.

    ``own_s`` are seconds of this process that no user's program would spend; no part of the cold start.
    """

    def __init__(self, job: Job, own_s: float = 0.0):
        self.job, self.own_s = job, own_s
        self.outputs: dict[str, np.ndarray] = {}
        self.record = Measured(status="ok", stage="import")
        self.cpus = machine.own_cpus()

    def run(self) -> None:
        """Measure every task that the job asks for; failures are recorded, never raised.

        Raises StorageError where a disk is full or broken, which is no failure of the framework's.
        """
        try:
            adapter = self.start()
        except Exception as error:
            self.note(**self.outcome(error))
            self.save()
            return
        for task in self.job.cell.protocol.tasks:
            self.stage(task)
            try:
                self.note_task(task, self.measure(adapter, task))
            except Exception as error:
                ended = self.outcome(error)
                self.note_task(task, Task(**ended))
                if task == "inference":  # nothing else means anything without it
                    self.note(**ended)
                    break
        if self.job.cell.predicts and self.job.round == 1 and self.record.status == "ok":
            self.stage("quality")
            try:
                self.note(quality=self.predict(adapter))
            except Exception as error:
                self.note(quality=Quality(**self.outcome(error)))
        try:
            self.note(threads_reported=promises.description(adapter.describe()).get("threads"))
        except Exception as error:
            self.note(**self.outcome(error))
        self.stage("done")

    def start(self) -> Adapter:
        """Import the framework, build its adapter, load the weights."""
        self.save()
        begin = time.perf_counter()
        module = import_file(self.job.files.adapter)
        self.note(import_s=time.perf_counter() - begin)

        self.stage("load")
        adapter = promises.adapter_of(module, self.job.files.adapter)(self.job)
        about = promises.description(adapter.describe())
        self.note(**{key: about.get(key) for key in ("version", "backend", "device", "fallback")})
        machine.reset_peak()
        self.note(memory=Memory(baseline_bytes=machine.resident_bytes()))
        begin = time.perf_counter()
        adapter.load()
        self.note(load_s=time.perf_counter() - begin)
        return adapter

    def measure(self, adapter: Adapter, task: TaskName) -> Task:
        """Compile and time one task, then fetch and store what it computed."""
        if task in OWN_PEAK:
            machine.reset_peak()
        begin = time.perf_counter()
        run = promises.iteration(adapter.prepare(task), task)
        run()
        compile_s = time.perf_counter() - begin
        if task == "inference":
            self.note(first_output_monotonic_s=time.monotonic() - self.own_s - adapter.own_s)
        print(f"{task}: first result after {compile_s:.2f} s", flush=True)
        refuse_confinement(self.job.cell.threads, self.cpus)
        adapter.verify(task)

        first_token_ns: list[int] = []
        device_ns: list[int | None] = []
        timing = measure(
            observed(run, first_token_ns) if task == "decode" else run,
            self.job.cell.protocol,
            note=lambda: device_ns.append(adapter.device_ns()),
        )
        self.note_memory(task, adapter)
        count = len(timing.samples_ns)
        middle = sorted(timing.samples_ns)[count // 2] / 1e6
        print(f"{task}: {count} samples, median {middle:.3f} ms", flush=True)

        self.keep(task, promises.fetched(adapter.fetch(task, timing.result), task))
        figures: dict[str, Any] = {}
        if task == "inference":
            figures["energy"] = self.energy(run)
        if task == "decode":
            figures["first_token_ns"] = first_token_ns[-count:]
            figures["prompt_tokens"] = int(self.job.task_inputs("decode")["input_ids"].size)
            figures["new_tokens"] = self.job.cell.decode_tokens
        return Task(
            status="ok",
            compile_s=compile_s,
            warmup_ns=timing.warmup_ns,
            steady=timing.steady,
            samples_ns=timing.samples_ns,
            device_ns=None if device_ns[-1] is None else device_ns[-count:],
            **figures,
        )

    def predict(self, adapter: Adapter) -> Quality:
        """Predict the workload's text in windows of the inference input's shape, untimed; store what was predicted."""
        begin = time.perf_counter()
        text = tensors.select(tensors.load(self.job.files.inputs), "quality.")
        found = quality.Predictions()
        for input_ids, target in zip(text["input_ids"], text["target"], strict=True):
            result = adapter.forward({"input_ids": input_ids})
            found.add(promises.fetched(adapter.fetch("inference", result), "inference")["output"], target)
        predicted = found.tensors()
        self.outputs |= {f"quality.{name}": array for name, array in predicted.items()}
        save_own(tensors.save, self.job.files.outputs, self.outputs)
        seconds = time.perf_counter() - begin
        print(f"quality: {text['target'].size} tokens in {seconds:.2f} s", flush=True)
        return Quality(
            status="ok",
            tokens=int(text["target"].size),
            loss=finite(quality.loss(predicted)),
            seconds=seconds,
        )

    def note_memory(self, task: TaskName, adapter: Adapter) -> None:
        """Put on record what the host and the device have held so far."""
        key = f"{task if task in OWN_PEAK else 'inference'}_peak_bytes"
        peak = max(machine.peak_bytes(), getattr(self.record.memory, key) or 0)
        peaks = {key: peak, f"device_{task}_peak_bytes": adapter.device_peak_bytes()}
        self.note(memory=dataclasses.replace(self.record.memory, **peaks))

    def energy(self, run: Callable[[], Any]) -> Energy | None:
        """Energy of further, untimed iterations, where the protocol asks and the GPU counts it."""
        seconds = self.job.cell.protocol.energy_seconds
        card = nvml.open_gpu() if seconds and self.job.cell.accelerator == "cuda" else None
        counted = gpu.energy(run, card, seconds) if card else None
        return counted and Energy(**counted)

    def keep(self, task: TaskName, fetched: Mapping[str, np.ndarray]) -> None:
        """Write the outputs; put the loss on the record, from the framework's own outputs."""
        if task == "training":
            self.note(training_loss=finite(fetched["loss"]))
            if self.job.files.gradients:
                save_own(tensors.save, self.job.files.gradients, tensors.select(fetched, "gradient."))
            return
        name = "tokens" if task == "decode" else "output"
        self.outputs[f"{task}.{name}"] = fetched[name]
        save_own(tensors.save, self.job.files.outputs, self.outputs)
        if task == "inference":
            try:
                loss = losses.loss(self.job.cell.loss, fetched["output"], self.job.target())
                self.note(loss=finite(loss))
            except (ValueError, IndexError) as error:  # a wrong shape: the gate will say so in full
                print(f"loss not computed: {error}", flush=True)

    def note(self, **known: Any) -> None:
        """Put these keys on the record. Raises ContractError if one is not what the record holds."""
        record = dataclasses.replace(self.record, **known)
        codec.checked(record)
        self.record = record

    def note_task(self, task: TaskName, figures: Task) -> None:
        """Put a task on the record. Raises ContractError if a figure is not what the record holds."""
        self.note(tasks=self.record.tasks | {task: figures})

    def stage(self, name: str) -> None:
        """Put on the record what is being done, so that a crash can be told apart."""
        inference = self.record.tasks.get("inference")
        attempts = machine.unroutable_packets() if self.job.offline else None
        self.note(stage=name, compile_s=inference and inference.compile_s, network_attempts=attempts)
        self.save()

    def save(self) -> None:
        save_own(codec.write, self.job.files.result, self.record)

    def outcome(self, error: Exception) -> dict[str, Any]:
        """Status and reason of an exception. Raises StorageError if it comes of a full or a broken disk."""
        folder = self.job.files.result.parent
        if storage.fault(error, self.job.files.cache, folder):
            raise storage.failed(folder, error) from error
        return outcome(error)


def save_own(write: Callable[[Path, Any], None], path: Path, value: Any) -> None:
    """Write one of the arena's own files. Raises StorageError where that cannot be done, for whatever reason."""
    try:
        write(path, value)
    except OSError as error:
        raise storage.failed(path, error) from error


def refuse_confinement(threads: int, whole: set[int]) -> None:
    """Raise FailedError if this process, which had the CPUs ``whole``, is now bound to fewer cores than ``threads``."""
    cpus = machine.confined_cpus(whole)
    if cpus is not None and machine.cores_of(cpus) < threads:
        listed = ", ".join(map(str, sorted(cpus)))
        raise FailedError(
            "confined",
            f"{threads} threads were asked for, and those of the framework are bound to CPU {listed}",
        )


def observed(run: Callable[[], Generation], first_token_ns: list[int]) -> Callable[[], Generation]:
    """``run``, which also notes each generation's time to its first token."""

    def generate() -> Generation:
        result = promises.generation(run())
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
    """Status and reason of an exception, by their keys in the record; its traceback goes to the log."""
    if isinstance(error, UnsupportedError):
        return {"status": "unsupported", "reason": Reason(code=error.code, detail=error.why[:500])}
    if isinstance(error, FailedError):
        return {"status": "failed", "reason": Reason(code=error.code, detail=error.why[:500])}
    traceback.print_exc(file=sys.stdout)
    if isinstance(error, tensors.TensorNameError):
        code = "missing-tensor"
    elif isinstance(error, codec.ContractError):
        code = "bad-result"
    elif isinstance(error, ModuleNotFoundError):
        code = "not-installed"
    elif isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__:
        code = "out-of-memory"
    else:
        code = "error"
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return {"status": "failed", "reason": Reason(code=code, detail=text[:500])}


if __name__ == "__main__":
    main()
