"""MAX: graphs built with max.graph, compiled by its graph compiler into Mojo kernels."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

import numpy as np
from max.driver import CPU, Accelerator, Buffer, Device, accelerator_api, accelerator_count
from max.dtype import DType
from max.engine import InferenceSession, Model
from max.graph import DeviceRef, Graph, TensorType, TensorValue, Type

from arena import tensors
from frameworks import base, libraries
from frameworks.max import threads
from frameworks.max.models import layers, layout
from frameworks.max.models.graph import weights

APIS = {"cuda": "cuda", "rocm": "hip", "metal": "metal"}  # MAX's names of the accelerators' interfaces
CUDA_LIBRARIES = {
    "nvidia-cublas": ("libcublasLt.so.13", "libcublas.so.13"),
    "nvidia-cudnn-cu13": ("libcudnn.so.9",),
}
BACKENDS = {"cpu": "CPU, Mojo kernels", "cuda": "CUDA", "rocm": "HIP", "metal": "Metal"}


class Adapter(base.Adapter):
    """One graph serves inference and latency, a second one with a key-value cache serves decode.

    Weights are bound to the compiled graphs by name. On the CPU only those of convolutions are copied,
    into MAX's layout, which is the checkpoint's on NVIDIA's cards.
    """

    def __init__(self, job: base.Job):
        super().__init__(job)
        threads.confine(job.cell.threads)
        if job.cell.accelerator == "cuda":
            _load_cuda()
        self.device = _device(job.cell.accelerator)
        self.place = DeviceRef.from_device(self.device)
        self.session = InferenceSession(devices=[self.device])
        self.config = job.architecture()
        self.definition = importlib.import_module(f"frameworks.max.models.{job.cell.definition}")
        self.model: Model | None = None

    def describe(self) -> dict[str, Any]:
        return {
            "version": metadata.version("max"),
            "backend": BACKENDS[self.job.cell.accelerator],
            "device": "cpu" if self.device.is_host else self.device.architecture_name,
            "threads": threads.workers(),
        }

    def load(self) -> None:
        found = tensors.load(self.job.files.weights)
        specs = importlib.import_module(f"models.spec.{self.job.cell.definition}").tensors(self.config)
        where = f"{self.job.files.weights} for definition {self.job.cell.definition}"
        tensors.check_names(set(found), set(specs), where)
        first = layers.output_first(self.place)
        self.weights = {name: layout.to_max(array, first) for name, array in found.items()}

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        inputs = self.job.task_inputs(task)
        if task == "decode":
            return self._generation(inputs["input_ids"])
        if self.model is None:
            self.model = self._forward_model()
        model, arguments = self.model, [self._put(array) for array in inputs.values()]

        def infer() -> Buffer:
            (output,) = model.execute(*arguments)
            self.device.synchronize()
            return output

        return infer

    def fetch(self, task: base.Task, result: Any) -> dict[str, np.ndarray]:
        if task == "decode":
            return {"tokens": np.asarray(result.tokens, np.int64)}
        return {"output": result.to(CPU()).to_numpy().copy()}

    def _forward_model(self) -> Model:
        """The compiled forward pass. Dimensions in which the two tasks differ are symbolic, so that one
        model serves both; MAX specialises its kernels to all others."""
        types, smallest = {}, self.job.task_inputs("latency")
        for name, array in self.job.task_inputs("inference").items():
            pairs = enumerate(zip(array.shape, smallest[name].shape, strict=True))
            shape = [size if size == other else f"{name}_{axis}" for axis, (size, other) in pairs]
            types[name] = TensorType(DType.from_numpy(array.dtype), shape, self.place)

        def forward(params: dict[str, TensorValue], *values: TensorValue) -> TensorValue:
            return self.definition.forward(params, self.config, **dict(zip(types, values, strict=True)))

        return self._compiled("forward", forward, list(types.values()))

    def _generation(self, prompt: np.ndarray) -> Callable[[], base.Generation]:
        """Greedy generation; prompt and single tokens go through one graph, whose buffers are the cache."""
        if not hasattr(self.definition, "generate"):
            raise base.UnsupportedError("no-kv-cache", f"{self.job.cell.definition} has no cached step here")
        length, count = prompt.shape[1], self.job.cell.decode_tokens
        caches = self.definition.caches(self.config, length + count - 1, self.place)
        arguments = [
            TensorType(DType.int64, (1, "positions"), self.place),
            TensorType(DType.int64, (), DeviceRef.CPU()),
        ]

        def following(params: dict[str, TensorValue], *values: Any) -> TensorValue:
            return self.definition.generate(params, self.config, *values)

        model = self._compiled("generate", following, [*arguments, *caches])
        buffers = [
            Buffer.zeros([int(size) for size in kind.shape], kind.dtype, self.device) for kind in caches
        ]
        ids = self._put(prompt)
        firsts = [
            Buffer.scalar(first, DType.int64, CPU()) for first in (0, *range(length, length + count - 1))
        ]

        def generate() -> base.Generation:
            begin = time.perf_counter_ns()
            # What the last iteration left in the cache lies beyond this one's positions, or is overwritten.
            (token,) = model.execute(ids, firsts[0], *buffers)
            tokens = [token.to(CPU()).item()]
            first_token_ns = time.perf_counter_ns() - begin
            for first in firsts[1:]:
                (token,) = model.execute(token, first, *buffers)
                tokens.append(token.to(CPU()).item())
            return base.Generation(tokens, first_token_ns)

        return generate

    def _compiled(self, name: str, function: Callable[..., TensorValue], types: Sequence[Type]) -> Model:
        """``function`` of the weights and of values of these ``types``, compiled, the weights bound."""
        with Graph(name, input_types=types) as graph:
            shapes = {name: array.shape for name, array in self.weights.items()}
            graph.output(function(weights(shapes, self.place), *graph.inputs))
        return self.session.init(self.session.compile(graph), weights_registry=self.weights)

    def _put(self, array: np.ndarray) -> Buffer:
        return Buffer.from_numpy(np.ascontiguousarray(array)).to(self.device)


def _load_cuda() -> None:
    """Load cuBLAS and cuDNN from their packages, where they are; MAX finds them, or the system's, by name."""
    for package, names in CUDA_LIBRARIES.items():
        with contextlib.suppress(OSError):  # MAX says what it misses, once it needs it
            libraries.load(package, names)


def _device(accelerator: str) -> Device:
    """The accelerator's first device; UnsupportedError if this build or machine lacks it."""
    if accelerator == "cpu":
        return CPU()
    found = accelerator_api() if accelerator_count() else "none"
    if found != APIS.get(accelerator):
        why = f"MAX {metadata.version('max')} finds no {accelerator} device here (its accelerator: {found})"
        raise base.UnsupportedError("no-device", why)
    return Accelerator()
