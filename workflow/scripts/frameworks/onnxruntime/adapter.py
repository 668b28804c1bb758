"""ONNX Runtime on the exported graphs: all graph optimisations, I/O binding; on NVIDIA's cards also TensorRT."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnxruntime as ort

from arena.measuring import nvml
from frameworks import base, libraries

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "rocm": "MIGraphXExecutionProvider",
    "metal": "CoreMLExecutionProvider",
}
DEVICES = {"cuda": "cuda"}  # where inputs and outputs live; every other provider takes host memory
TENSORRT = "TensorrtExecutionProvider"
#: The package that brings TensorRT as this build of ONNX Runtime links it, and the libraries in it, in the order in
#: which they need one another; the system's are found without it.
TENSORRT_PACKAGE = "tensorrt-cu13-libs"
TENSORRT_LIBRARIES = ("libnvinfer.so.10", "libnvinfer_plugin.so.10", "libnvonnxparser.so.10")


class Adapter(base.Adapter):
    """One session serves inference and latency: the graph's batch or sequence axes are dynamic. Another,
    whose graph has a key-value cache, serves ``decode``.

    Option ``graph``: true to capture the forward pass in a CUDA graph and replay it. That and TensorRT, where it is
    the interface, take a session for each task, in which every axis has
    that task's size, since a CUDA graph and an engine are of one size anyway.
    """

    def __init__(self, job: base.Job):
        super().__init__(job)
        self.tensorrt = job.cell.interface == "tensorrt"
        self.captured = bool(job.cell.options.get("graph", False))
        provider = TENSORRT if self.tensorrt else PROVIDERS.get(job.cell.accelerator)
        if provider not in ort.get_available_providers():
            raise base.UnsupportedError(
                "no-device",
                f"onnxruntime {ort.__version__} has no execution provider for {job.cell.accelerator} "
                f"(it has {', '.join(ort.get_available_providers())})",
            )
        if job.cell.accelerator == "cuda":
            _load_cuda()
        if self.tensorrt:
            _load_tensorrt()
        self.provider = provider
        self.device = DEVICES.get(job.cell.accelerator, "cpu")
        self.session: ort.InferenceSession | None = None

    def describe(self) -> dict[str, Any]:
        name = "TensorRT" if self.tensorrt else self.provider.removesuffix("ExecutionProvider")
        return {
            "version": ort.__version__,
            "backend": f"{name}, CUDA graphs" if self.captured else name,
            "device": _card() if self.job.cell.accelerator == "cuda" else self.device,
            "threads": self.job.cell.threads,
        }

    def load(self) -> None:
        self.graph = self.job.files.export.read_bytes()

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        inputs = self.job.task_inputs(task)
        if task == "decode":
            return self._generation(inputs["input_ids"])
        if self.captured or self.tensorrt:
            return self._fixed(inputs)
        if self.session is None:
            self.session = self._start(self.graph)
            del self.graph
        (output,) = self.session.get_outputs()
        binding = self._bound(self.session, inputs)
        binding.bind_output(output.name, self.device)
        return self._run(self.session, binding)

    def _fixed(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], ort.OrtValue]:
        """The forward pass at this one size, in buffers that stay where they are."""
        sizes = {
            f"{name}_{axis}": size  # as the export names the axes that may change
            for name, array in inputs.items()
            for axis, size in enumerate(array.shape)
        }
        session = self._start(self.graph, sizes)
        (output,) = session.get_outputs()
        binding = self._bound(session, inputs)
        shape = [sizes.get(size, size) for size in output.shape]
        result = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, self.device, 0)
        binding.bind_ortvalue_output(output.name, result)
        return self._run(session, binding)

    def _bound(self, session: ort.InferenceSession, inputs: Mapping[str, np.ndarray]) -> ort.IOBinding:
        """A binding with ``inputs`` on the device."""
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, self._value(array))
        return binding

    @staticmethod
    def _run(session: ort.InferenceSession, binding: ort.IOBinding) -> Callable[[], ort.OrtValue]:
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
        if self.captured or self.tensorrt:
            raise base.UnsupportedError(
                "no-kv-cache",
                "its cache grows with every token, where a captured graph or an engine has one size",
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

    def _start(self, graph: bytes, sizes: Mapping[str, int] | None = None) -> ort.InferenceSession:
        """A session in which the axes named in ``sizes`` have these sizes."""
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = self.job.cell.threads
        options.inter_op_num_threads = 1
        for name, size in (sizes or {}).items():
            options.add_free_dimension_override_by_name(name, size)
        session = ort.InferenceSession(graph, options, providers=self._providers())
        if session.get_providers()[0] != self.provider:
            raise base.UnsupportedError("no-device", f"{self.provider} did not start; see the log")
        return session

    def _providers(self) -> list[str | tuple[str, dict[str, str]]]:
        """The providers with their options, the one that computes first."""
        if self.job.cell.accelerator != "cuda":
            return [self.provider]
        cuda = {"use_tf32": str(int(self.job.cell.lane == "tf32"))}
        if not self.tensorrt:
            return [(self.provider, cuda | {"enable_cuda_graph": str(int(self.captured))})]
        cache = self.job.files.cache / "tensorrt"
        cache.mkdir(parents=True, exist_ok=True)
        engines = {"trt_engine_cache_enable": "True", "trt_engine_cache_path": str(cache)}
        timings = {"trt_timing_cache_enable": "True", "trt_timing_cache_path": str(cache)}
        graphs = {"trt_cuda_graph_enable": str(self.captured)}
        return [(self.provider, engines | timings | graphs), (PROVIDERS["cuda"], cuda)]

    def _value(self, array: np.ndarray) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(array, self.device, 0)

    def fetch(self, task: base.Task, result: Any) -> dict[str, np.ndarray]:
        if task == "decode":
            return {"tokens": np.concatenate(result.tokens, axis=1)[0]}
        return {"output": result.numpy()}


def _card() -> str:
    """The card's name by its driver."""
    card = nvml.open_gpu()
    return (card.facts()["name"] if card else None) or "cuda"


def _load_cuda() -> None:
    """Load CUDA's libraries from NVIDIA's wheels, where they are; UnsupportedError where no driver is.

    Without a driver ONNX Runtime says so in the log only, and goes on with the CPU.
    """
    if nvml.open_gpu() is None:
        raise base.UnsupportedError(
            "no-device", f"onnxruntime {ort.__version__} finds no NVIDIA card or driver here"
        )
    ort.preload_dlls()


def _load_tensorrt() -> None:
    """Load TensorRT's libraries, from their package or the system's; UnsupportedError where there are none."""
    try:
        libraries.load(TENSORRT_PACKAGE, TENSORRT_LIBRARIES)
    except OSError as error:
        raise base.UnsupportedError(
            "no-device",
            f"onnxruntime {ort.__version__} needs TensorRT 10, which is not here ({error}): NVIDIA's own package index "
            f"has it as {TENSORRT_PACKAGE} 10",
        ) from error
