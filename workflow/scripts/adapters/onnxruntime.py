"""ONNX Runtime on the exported graph: all graph optimisations, I/O binding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime as ort

from adapters import base

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "rocm": "MIGraphXExecutionProvider",
    "metal": "CoreMLExecutionProvider",
}
DEVICES = {"cuda": "cuda"}  # where inputs and outputs live; every other provider takes host memory


class Adapter(base.Adapter):
    """One session serves inference and latency: the graph's batch or sequence axes are dynamic."""

    def __init__(self, job: base.Job):
        super().__init__(job)
        if job.lane != "float32":
            raise base.UnsupportedError("unsupported-lane", f"this adapter has no {job.lane} lane")
        provider = PROVIDERS.get(job.accelerator)
        if provider not in ort.get_available_providers():
            raise base.UnsupportedError(
                "no-device",
                f"onnxruntime {ort.__version__} has no execution provider for {job.accelerator} "
                f"(it has {', '.join(ort.get_available_providers())})",
            )
        self.provider = provider
        self.device = DEVICES.get(job.accelerator, "cpu")
        self.options = ort.SessionOptions()
        self.options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.options.intra_op_num_threads = job.threads
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
        self.graph = self.job.export.read_bytes()

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        if task == "training":
            raise base.UnsupportedError("no-training", "the onnxruntime package runs inference only")
        if self.session is None:
            providers = [(self.provider, {"use_tf32": 0})] if self.device == "cuda" else [self.provider]
            self.session = ort.InferenceSession(self.graph, self.options, providers=providers)
            if self.session.get_providers()[0] != self.provider:
                raise base.UnsupportedError("no-device", f"{self.provider} did not start; see the log")
            del self.graph
        session, binding = self.session, self.session.io_binding()
        for name, array in self.job.task_inputs(task).items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, self.device, 0))
        (output,) = session.get_outputs()
        binding.bind_output(output.name, self.device)

        def infer() -> ort.OrtValue:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()
            return binding.get_outputs()[0]

        return infer

    def fetch(self, task: base.Task, result: ort.OrtValue) -> dict[str, np.ndarray]:
        return {"output": result.numpy()}
