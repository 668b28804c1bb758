"""ONNX Runtime on the exported graphs: all graph optimisations, I/O binding."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime as ort

from frameworks import base

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "rocm": "MIGraphXExecutionProvider",
    "metal": "CoreMLExecutionProvider",
}
DEVICES = {"cuda": "cuda"}  # where inputs and outputs live; every other provider takes host memory


class Adapter(base.Adapter):
    """One session serves inference and latency: the graph's batch or sequence axes are dynamic. Another,
    whose graph has a key-value cache, serves ``decode``.
    """

    def __init__(self, job: base.Job):
        super().__init__(job)
        provider = PROVIDERS.get(job.cell.accelerator)
        if provider not in ort.get_available_providers():
            raise base.UnsupportedError(
                "no-device",
                f"onnxruntime {ort.__version__} has no execution provider for {job.cell.accelerator} "
                f"(it has {', '.join(ort.get_available_providers())})",
            )
        self.provider = provider
        self.device = DEVICES.get(job.cell.accelerator, "cpu")
        self.options = ort.SessionOptions()
        self.options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.options.intra_op_num_threads = job.cell.threads
        self.options.inter_op_num_threads = 1
        self.session: ort.InferenceSession | None = None

    def describe(self) -> dict[str, Any]:
        return {
            "version": ort.__version__,
            "backend": self.provider.removesuffix("ExecutionProvider"),
            "device": self.device,
            "threads": self.options.intra_op_num_threads,
        }

    def load(self) -> None:
        self.graph = self.job.files.export.read_bytes()

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        if task == "decode":
            return self._generation(self.job.task_inputs(task)["input_ids"])
        if self.session is None:
            self.session = self._start(self.graph)
            del self.graph
        session, binding = self.session, self.session.io_binding()
        for name, array in self.job.task_inputs(task).items():
            binding.bind_ortvalue_input(name, self._value(array))
        (output,) = session.get_outputs()
        binding.bind_output(output.name, self.device)

        def infer() -> ort.OrtValue:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()
            return binding.get_outputs()[0]

        return infer

    def _generation(self, prompt: np.ndarray) -> Callable[[], base.Generation]:
        """Greedy generation: what a step returns as present is the next step's past and stays on the device;
        the logits come to the host."""
        if self.job.files.decode_export is None:
            raise base.UnsupportedError(
                "no-kv-cache", f"{self.job.cell.definition} has no graph with a cache"
            )
        session = self._start(self.job.files.decode_export.read_bytes())
        _, *past = session.get_inputs()
        logits, *present = session.get_outputs()
        empty = [
            self._value(np.empty([size if isinstance(size, int) else 0 for size in value.shape], np.float32))
            for value in past
        ]

        def step(input_ids: np.ndarray, cache: list[ort.OrtValue]) -> tuple[np.ndarray, list[ort.OrtValue]]:
            binding = session.io_binding()
            binding.bind_cpu_input("input_ids", input_ids)
            for value, held in zip(past, cache, strict=True):
                binding.bind_ortvalue_input(value.name, held)
            binding.bind_output(logits.name, "cpu")
            for value in present:
                binding.bind_output(value.name, self.device)
            session.run_with_iobinding(binding)
            scores, *cache = binding.get_outputs()
            return scores.numpy().argmax(axis=-1, keepdims=True), cache

        def generate() -> base.Generation:
            begin = time.perf_counter_ns()
            token, cache = step(prompt, empty)
            first_token_ns = time.perf_counter_ns() - begin
            tokens = [token]
            while len(tokens) < self.job.cell.decode_tokens:
                token, cache = step(token, cache)
                tokens.append(token)
            return base.Generation(tokens, first_token_ns)

        return generate

    def _start(self, graph: bytes) -> ort.InferenceSession:
        providers = [(self.provider, {"use_tf32": 0})] if self.device == "cuda" else [self.provider]
        session = ort.InferenceSession(graph, self.options, providers=providers)
        if session.get_providers()[0] != self.provider:
            raise base.UnsupportedError("no-device", f"{self.provider} did not start; see the log")
        return session

    def _value(self, array: np.ndarray) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(array, self.device, 0)

    def fetch(self, task: base.Task, result: Any) -> dict[str, np.ndarray]:
        if task == "decode":
            return {"tokens": np.concatenate(result.tokens, axis=1)[0]}
        return {"output": result.numpy()}
