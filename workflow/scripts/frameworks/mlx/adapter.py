"""MLX: compiled graphs on the CPU, on Apple's GPUs through Metal and on NVIDIA's through CUDA."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from arena import tensors
from frameworks import base
from frameworks.mlx import blas
from frameworks.mlx.models import layout

# The linker binds MLX to the BLAS that it finds first, so OpenBLAS comes before MLX.
LIBRARY = blas.packaged() if sys.platform == "linux" else None
OPENBLAS = blas.OpenBLAS(LIBRARY, blas.cache_folder()) if LIBRARY else None

import mlx.core as mx  # noqa: E402
import mlx.nn as nn  # noqa: E402
from mlx.utils import tree_flatten  # noqa: E402

from frameworks.mlx.models.losses import LOSSES  # noqa: E402

DEVICES = {"cpu": mx.cpu, "metal": mx.gpu, "cuda": mx.gpu}
BACKENDS = {"cpu": "CPU, Accelerate", "metal": "Metal", "cuda": "CUDA"}  # on Linux the CPU's is found out
DTYPES = {"float32": mx.float32, "tf32": mx.float32, "bfloat16": mx.bfloat16, "float16": mx.float16}


class Adapter(base.Adapter):
    """One module for all tasks; its weights are inputs of the compiled functions, not constants."""

    def __init__(self, job: base.Job):
        super().__init__(job)
        # Asked once, at the first product: without it, float32 on NVIDIA's GPUs is TF32.
        os.environ["MLX_ENABLE_TF32"] = str(int(job.cell.lane == "tf32"))
        # On CUDA it compiles kernels with NVRTC while it runs, and keeps them here.
        os.environ["MLX_PTX_CACHE_DIR"] = str(job.files.cache / "mlx")
        self.dtype = DTYPES[job.cell.lane]
        self.device = _device(job.cell.accelerator)
        mx.set_default_device(self.device)
        _require_compilation()
        self.backend, self.threads = BACKENDS[job.cell.accelerator], None
        if job.cell.accelerator == "cpu" and sys.platform == "linux":
            self.backend, self.threads = _openblas(self.dtype, job.cell.threads)
        self.module: nn.Module | None = None

    def describe(self) -> dict[str, Any]:
        return {
            "version": mx.__version__,
            "backend": self.backend,
            "device": mx.device_info(self.device)["device_name"],
            "threads": self.threads,
        }

    def load(self) -> None:
        weights = tensors.load(self.job.files.weights)
        self.weights = {name: mx.array(layout.to_mlx(array), self.dtype) for name, array in weights.items()}

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        if self.module is None:
            self.module = self._module()
            del self.weights  # the module has them now
        inputs = {name: _array(array, self.dtype) for name, array in self.job.task_inputs(task).items()}
        if task == "decode":
            return self._generation(inputs)
        state = self.module.state
        if task == "training":
            # An output too: differentiation leaves its own arrays in the module, this puts the weights back.
            step = mx.compile(nn.value_and_grad(self.module, self._loss), inputs=state, outputs=state)
            arguments = (inputs, _array(self.job.target(), mx.float32))
        else:
            step, arguments = mx.compile(self._forward, inputs=state), (inputs,)
        mx.eval(arguments)

        def run() -> Any:
            result = step(*arguments)
            mx.eval(result)
            return result

        return run

    def _module(self) -> nn.Module:
        """The definition's module with the checkpoint's weights on the device."""
        definition = importlib.import_module(f"frameworks.mlx.models.{self.job.cell.definition}")
        module = definition.build(self.job.architecture())
        expected = {name for name, _ in tree_flatten(module.parameters())}
        where = f"{self.job.files.weights} for definition {self.job.cell.definition}"
        tensors.check_names(set(self.weights), expected, where)
        module.load_weights(list(self.weights.items()))
        module.eval()  # batch normalisation with its running statistics
        mx.eval(module.parameters())
        return module

    def _forward(self, inputs: dict[str, mx.array]) -> mx.array:
        return self.module(**inputs)

    def _loss(self, inputs: dict[str, mx.array], target: mx.array) -> mx.array:
        return LOSSES[self.job.cell.loss](self._forward(inputs), target)

    def _generation(self, inputs: dict[str, mx.array]) -> Callable[[], base.Generation]:
        if not hasattr(self.module, "generate"):
            raise base.UnsupportedError("no-kv-cache", f"{self.job.cell.definition} has no cached step here")
        prompt = inputs["input_ids"]
        mx.eval(prompt)

        def generate() -> base.Generation:
            begin = time.perf_counter_ns()
            steps = self.module.generate(prompt, self.job.cell.decode_tokens)
            tokens = [next(steps).item()]
            first_token_ns = time.perf_counter_ns() - begin
            tokens.extend(token.item() for token in steps)
            return base.Generation(tokens, first_token_ns)

        return generate

    def fetch(self, task: base.Task, result: Any) -> dict[str, np.ndarray]:
        if task == "decode":
            return {"tokens": np.asarray(result.tokens, np.int64)}
        if task != "training":
            return {"output": _numpy(result)}
        loss, gradients = result
        fetched = {"loss": _numpy(loss)}
        for name, gradient in tree_flatten(gradients):
            fetched[f"gradient.{name}"] = layout.from_mlx(_numpy(gradient))
        return fetched

    def device_peak_bytes(self) -> int | None:
        return None if self.job.cell.accelerator == "cpu" else mx.get_peak_memory()


def _array(array: np.ndarray, dtype: mx.Dtype) -> mx.array:
    """``array`` on the device: ids and labels as int32, all else as ``dtype``."""
    return mx.array(array, mx.int32 if array.dtype == np.int64 else dtype)


def _numpy(array: mx.array) -> np.ndarray:
    """``array`` as float32 on the host: numpy has no bfloat16."""
    return np.array(array.astype(mx.float32))


def _device(accelerator: str) -> mx.Device:
    """The accelerator's device; UnsupportedError if this build or machine lacks it."""
    kind = DEVICES.get(accelerator)
    if kind is None:
        raise base.UnsupportedError("no-device", f"MLX has no {accelerator} device")
    present = {"cpu": True, "metal": mx.metal.is_available(), "cuda": mx.cuda.is_available()}
    if not present[accelerator]:
        raise base.UnsupportedError("no-device", f"mlx {mx.__version__} finds no {accelerator} device here")
    return mx.Device(kind, 0)


def _require_compilation() -> None:
    """Raise RuntimeError where mx.compile, without a word, returns the function as it is.

    A compiled function is traced once; one that is not runs its Python on every call.
    """
    traces = []

    def probe(x: mx.array) -> mx.array:
        traces.append(x.shape)
        return x + 1

    compiled = mx.compile(probe)
    for _ in range(2):
        compiled(mx.zeros(1))
    if len(traces) != 1:
        raise RuntimeError(
            "mx.compile does nothing here: on the CPU it needs g++ on the PATH (Debian: apt install g++), "
            "and MLX_DISABLE_COMPILE must not be set"
        )


def _openblas(dtype: mx.Dtype, threads: int) -> tuple[str, int]:
    """What multiplies matrices of ``dtype`` here, seen at work, and its threads, which are now ``threads``.

    Raises BlasError unless float32 products run on OpenBLAS.
    """
    if OPENBLAS is None:
        raise blas.BlasError(
            f"{blas.PACKAGE} is not installed, and without it MLX runs on its own slow reference BLAS; "
            "add it to the environment"
        )
    OPENBLAS.set_threads(threads)
    if not _calls_openblas(mx.float32):
        raise blas.BlasError(
            f"MLX {mx.__version__} multiplies float32 matrices without calling {OPENBLAS.name}: another BLAS "
            "came before it or is built in; unset LD_PRELOAD, and install the mlx that envs/mlx.yaml names"
        )
    # MLX has loops of its own for products in other types; all convolutions are float32 products inside.
    own = "" if _calls_openblas(dtype) else "MLX SIMD, "
    return f"CPU, {own}{OPENBLAS.name}", OPENBLAS.threads


def _calls_openblas(dtype: mx.Dtype) -> bool:
    before = OPENBLAS.calls
    matrix = mx.ones((4, 4), dtype)
    mx.eval(matrix @ matrix)
    return OPENBLAS.calls > before
