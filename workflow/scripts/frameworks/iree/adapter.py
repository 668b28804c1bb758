"""IREE: graphs that its importer made of ONNX, compiled for this processor or card, on its task system or a driver."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import iree.runtime as rt
import numpy as np

from arena import files
from arena.building import cuda
from arena.measuring import nvml
from frameworks import base

DRIVERS = {"cpu": "local-task", "cuda": "cuda", "vulkan": "vulkan"}
BACKENDS = {"cpu": "llvm-cpu", "cuda": "cuda", "vulkan": "vulkan-spirv"}
#: The highest level, as IREE's own guides advise.
LEVEL = ("--iree-opt-level=O3",)
#: At O3 IREE 3.13.0 fuses a softmax over an axis without a fixed size into a kernel that wants a stack of 64 PiB
#: (docs/upstream.md).
FREE_AXIS = ("--iree-dispatch-creation-enable-aggressive-fusion=false",)


class Adapter(base.Adapter):
    """A module for each task, whose sizes are fixed; ``decode`` has one for the prompt and one for each token after it.

    The machine's code is made here, and kept among the cell's caches as IREE's users keep a .vmfb.
    """

    def __init__(self, job: base.Job):
        super().__init__(job)
        self.accelerator = job.cell.accelerator
        if self.accelerator == "cpu":
            # Read when the device is made. As many workers; the thread that asks waits meanwhile.
            rt.flags.parse_flags(f"--task_topology_group_count={job.cell.threads}")
        self.device = _open(self.accelerator)
        self.config = rt.Config(device=self.device)
        self.weights: dict[Path, rt.VmModule] = {}

    def describe(self) -> dict[str, Any]:
        card = nvml.open_gpu() if self.accelerator == "cuda" else None
        return {
            "version": metadata.version("iree-base-runtime"),
            "backend": BACKENDS[self.accelerator],
            "device": (card.facts()["name"] if card else None) or self.accelerator,
            "threads": _workers() if self.accelerator == "cpu" else None,
        }

    def load(self) -> None:
        self._weights(self.job.files.export.with_name("model.irpa"))

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        inputs = self.job.task_inputs(task)
        if task == "decode":
            return self._generation(inputs["input_ids"])
        graph = self.job.files.export.with_name(f"{task}.mlir")
        forward = self._function(graph, graph.with_name("model.irpa"))
        arguments = [self._put(array) for array in inputs.values()]
        return lambda: forward(*arguments)

    def _generation(self, prompt: np.ndarray) -> Callable[[], base.Generation]:
        """Greedy generation: what a step returns as present is the next one's past and stays on the device; the
        logits come to the host."""
        graph = self.job.files.decode_export
        weights = graph.with_name("decode.irpa")
        self._weights(weights)
        prefill = self._function(graph, weights)
        step = self._function(graph.with_name("step.mlir"), weights, FREE_AXIS)
        config = self.job.architecture()
        heads, head_dim = config["num_key_value_heads"], config["head_dim"]
        empty = [self._put(np.empty((1, heads, 0, head_dim), np.float32))] * (2 * config["num_hidden_layers"])
        ids = self._put(prompt)

        def generate() -> base.Generation:
            begin = time.perf_counter_ns()
            logits, *cache = prefill(ids, *empty)
            tokens = [int(logits.to_host().argmax())]
            first_token_ns = time.perf_counter_ns() - begin
            while len(tokens) < self.job.cell.decode_tokens:
                logits, *cache = step(self._put(np.array([[tokens[-1]]], np.int64)), *cache)
                tokens.append(int(logits.to_host().argmax()))
            return base.Generation(tokens, first_token_ns)

        return generate

    def _weights(self, path: Path) -> rt.VmModule:
        """The module that hands out the weights in ``path``, which are read into host memory."""
        if path not in self.weights:
            index = rt.ParameterIndex()
            index.load(str(path), format="irpa", mmap=False)
            provider = index.create_provider(scope="model")
            self.weights[path] = rt.create_io_parameters_module(self.config.vm_instance, provider)
        return self.weights[path]

    def _function(self, graph: Path, weights: Path, flags: tuple[str, ...] = ()) -> Callable[..., Any]:
        """The graph's one function, with its weights on the device."""
        program = rt.VmModule.mmap(self.config.vm_instance, str(self._compiled(graph, flags)))
        modules = rt.load_vm_modules(self._weights(weights), program, config=self.config)
        return modules[-1].main_graph

    def _compiled(self, graph: Path, flags: tuple[str, ...]) -> Path:
        """The graph's program for this machine, from the cell's caches or made now."""
        program = self.job.files.cache / "iree" / f"{graph.stem}.vmfb"
        if not program.exists():
            # Here, since a start that finds its programs needs no compiler.
            from iree.compiler import tools

            with files.replacing(program) as temporary:
                tools.compile_file(
                    str(graph),
                    output_file=str(temporary),
                    target_backends=[BACKENDS[self.accelerator]],
                    extra_args=[*LEVEL, *_target(self.accelerator), *flags],
                )
        return program

    def _put(self, array: np.ndarray) -> rt.DeviceArray:
        return rt.asdevicearray(self.device, array)

    def fetch(self, task: base.Task, result: Any) -> dict[str, np.ndarray]:
        if task == "decode":
            return {"tokens": np.array(result.tokens, np.int64)}
        return {"output": np.array(result.to_host())}

    def device_peak_bytes(self) -> int | None:
        if self.accelerator == "cpu":
            return None
        return self.device.allocator.statistics["device_bytes_peak"]


def _open(accelerator: str) -> rt.HalDevice:
    """The accelerator's first device; UnsupportedError if this build or machine lacks it."""
    driver = DRIVERS.get(accelerator)
    if driver is None:
        raise base.UnsupportedError("no-device", f"this adapter has no {accelerator} device")
    try:
        return rt.get_device(driver)
    except (RuntimeError, ValueError) as error:
        why = f"IREE opens no {driver} device here: {' '.join(str(error).split())[:300]}"
        raise base.UnsupportedError("no-device", why) from error


def _target(accelerator: str) -> tuple[str, ...]:
    """What the compiler is told about the device; without it, it makes code that any of its kind runs."""
    if accelerator == "cpu":
        return ("--iree-llvmcpu-target-cpu=host",)
    if accelerator == "cuda":
        return (f"--iree-cuda-target=sm_{cuda.compute_capability()}",)
    return ()


def _workers() -> int | None:
    """Workers of the task system, counted in this process; None where there is no /proc."""
    names = [path.read_text(encoding="utf-8").strip() for path in Path("/proc/self/task").glob("*/comm")]
    return sum(name.startswith("iree-worker-") for name in names) or None
