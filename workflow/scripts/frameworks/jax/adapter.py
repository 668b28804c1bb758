"""JAX, jit-compiled by XLA: float32, TF32, bfloat16 and float16."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from arena import tensors
from arena.measuring import nvml
from arena.weights import seeded
from frameworks import base
from frameworks.jax.models import layout
from frameworks.jax.models.losses import LOSSES

PLATFORMS = {"cpu": "cpu", "cuda": "cuda", "rocm": "rocm", "metal": "METAL"}
# What a lane's weights and activations are, and how exactly float32 ones are multiplied: by default XLA
# rounds them to TF32 on recent GPUs and to bfloat16 on TPUs.
LANES = {
    "float32": (jnp.float32, "highest"),
    "tf32": (jnp.float32, "tensorfloat32"),
    "bfloat16": (jnp.bfloat16, "default"),
    "float16": (jnp.float16, "default"),
}


class Adapter(base.Adapter):
    """One jitted forward pass for inference and latency, one jitted ``value_and_grad`` for training; a
    jitted prefill and a jitted step for ``decode``.

    Weights are arguments of the compiled functions, not constants folded into them.
    """

    def __init__(self, job: base.Job):
        super().__init__(job)
        self.dtype, precision = LANES[job.cell.lane]
        jax.config.update("jax_default_matmul_precision", precision)
        jax.config.update("jax_enable_x64", False)
        jax.config.update("jax_disable_jit", False)
        # XLA reads both when its client starts, which is on the first question about devices.
        os.environ["PJRT_NPROC"] = str(job.cell.threads)  # size of the CPU client's thread pool
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # else it takes 75 % of a GPU's memory
        jax.config.update("jax_compilation_cache_dir", str(job.files.cache / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # keep whatever was compiled
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        self.device = _device(job.cell.accelerator)
        self.config = job.architecture()
        self.model = importlib.import_module(f"frameworks.jax.models.{job.cell.definition}")
        self.specs = importlib.import_module(f"models.spec.{job.cell.definition}").tensors(self.config)
        self.infer = jax.jit(self._forward)
        self.train = jax.jit(jax.value_and_grad(self._loss))
        self.compiled: Any = None  # the function that the latest task runs
        self.params: dict[str, jax.Array] | None = None

    def describe(self) -> dict[str, Any]:
        return {
            "version": jax.__version__,
            "backend": f"XLA {runtime(self.device.client.platform_version)}",
            "device": self.device.device_kind,
            "threads": _pool_threads(),
        }

    def load(self) -> None:
        weights = tensors.load(self.job.files.export)
        self.weights = {name: array.astype(self.dtype, copy=False) for name, array in weights.items()}

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        if self.params is None:
            self.params = jax.device_put(self.weights, self.device)
            del self.weights  # the device has them now
        inputs = {name: self._put(array, self.dtype) for name, array in self.job.task_inputs(task).items()}
        if task == "decode":
            return self._decoding(inputs["input_ids"])
        if task == "training":
            names = seeded.trained(self.specs)
            constants = {name: array for name, array in self.params.items() if name not in names}
            trained = {name: array for name, array in self.params.items() if name in names}
            arguments = (trained, constants, inputs, self._put(self.job.target(), jnp.float32))
            step = self.train
        else:
            arguments, step = (self.params, inputs), self.infer
        self.compiled = step
        jax.block_until_ready(arguments)
        return lambda: jax.block_until_ready(step(*arguments))

    def _decoding(self, prompt: jax.Array) -> Callable[[], base.Generation]:
        if not hasattr(self.model, "step"):
            raise base.UnsupportedError("no-kv-cache", f"{self.job.cell.definition} has no cached step here")
        count, start = self.job.cell.decode_tokens, prompt.shape[1]
        prefill, step = jax.jit(self._prefill), jax.jit(self._step, donate_argnames="cache")
        self.compiled = step
        jax.block_until_ready((self.params, prompt))

        def generate() -> base.Generation:
            begin = time.perf_counter_ns()
            token, cache = prefill(self.params, prompt)
            tokens = [token]
            jax.device_get(token)  # a user sees it now; the other tokens may follow one another
            first_token_ns = time.perf_counter_ns() - begin
            for position in range(start, start + count - 1):
                token, cache = step(self.params, token, position, cache)
                tokens.append(token)
            return base.Generation(jax.device_get(tokens), first_token_ns)

        return generate

    def _prefill(self, params: dict[str, jax.Array], prompt: jax.Array) -> tuple[jax.Array, Any]:
        length = prompt.shape[1] + self.job.cell.decode_tokens
        logits, cache = self.model.prefill(params, self.config, prompt, length)
        return jnp.argmax(logits, axis=-1, keepdims=True), cache

    def _step(
        self, params: dict[str, jax.Array], token: jax.Array, position: int, cache: Any
    ) -> tuple[jax.Array, Any]:
        logits, cache = self.model.step(params, self.config, token, position, cache)
        return jnp.argmax(logits, axis=-1, keepdims=True), cache

    def verify(self, task: base.Task) -> None:
        if not self.compiled._cache_size():
            raise base.FailedError(
                "not-compiled", "jax.jit compiled nothing, so that all ran operation by operation"
            )

    def fetch(self, task: base.Task, result: Any) -> dict[str, np.ndarray]:
        if task == "decode":
            return {"tokens": np.concatenate(result.tokens, axis=1, dtype=np.int64)[0]}
        if task != "training":
            return {"output": np.asarray(result, np.float32)}
        loss, gradients = result
        fetched = {"loss": np.asarray(loss)}
        for name, gradient in gradients.items():
            fetched[f"gradient.{name}"] = layout.from_jax(name, np.asarray(gradient, np.float32))
        return fetched

    def device_peak_bytes(self) -> int | None:
        return (self.device.memory_stats() or {}).get("peak_bytes_in_use")  # a CPU has none

    def _forward(self, params: dict[str, jax.Array], inputs: dict[str, jax.Array]) -> jax.Array:
        checked = _Checked(params)
        output = self.model.forward(checked, self.config, **inputs)
        where = f"{self.job.files.export} for definition {self.job.cell.definition}"
        without_effect = {name for name, spec in self.specs.items() if not spec.effect}
        tensors.check_names(set(params) - without_effect, checked.used - without_effect, where)
        return output

    def _loss(
        self,
        trained: dict[str, jax.Array],
        constants: dict[str, jax.Array],
        inputs: dict[str, jax.Array],
        target: jax.Array,
    ) -> jax.Array:
        return LOSSES[self.job.cell.loss](self._forward(trained | constants, inputs), target)

    def _put(self, array: np.ndarray, floating: Any) -> jax.Array:
        """``array`` on the device: ids and labels as int32, JAX's integers, all else as ``floating``."""
        return jax.device_put(array.astype(np.int32 if array.dtype == np.int64 else floating), self.device)


class _Checked(dict):
    """Weights by name that remember which were used. Only tracing looks, so it costs no measured time."""

    def __init__(self, params: dict[str, jax.Array]):
        super().__init__(params)
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> jax.Array:
        self.used.add(name)
        return super().__getitem__(name)

    def __missing__(self, name: str) -> jax.Array:
        raise tensors.TensorNameError(f"the exported weights lack tensor {name}; export the model again")


def _device(accelerator: str) -> jax.Device:
    """The accelerator's first device; UnsupportedError if this build or machine lacks it."""
    platform = PLATFORMS.get(accelerator)
    if platform is None:
        raise base.UnsupportedError("no-device", f"JAX has no {accelerator} device")
    jax.config.update("jax_platforms", platform)
    try:
        return jax.devices(platform)[0]
    except RuntimeError as error:
        why = f"jax {jax.__version__} finds no {accelerator} device here ({error})"
        raise base.UnsupportedError("no-device", why) from error


def runtime(platform_version: str) -> str:
    """XLA's client by its last line: ``CPU`` for "cpu", ``CUDA 13.0`` for "cuda 13000"."""
    name, _, number = platform_version.splitlines()[-1].upper().partition(" ")
    if name == "CUDA" and number.isdigit():
        number = nvml.cuda_version(int(number))
    return f"{name} {number}".rstrip()


def _pool_threads() -> int | None:
    """Threads in XLA's CPU pool, counted in this process; None where there is no /proc or no pool."""
    names = [path.read_text(encoding="utf-8").strip() for path in Path("/proc/self/task").glob("*/comm")]
    return names.count("tf_XLAEigen") or None
