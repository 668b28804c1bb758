"""tinygrad: TinyJit around each step, on the CPU through clang and on NVIDIA's GPUs through CUDA."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from arena import tensors
from frameworks import base
from frameworks.tinygrad import clang


def _packaged_nvrtc() -> str | None:
    """The run-time compiler of CUDA that the environment installed, where tinygrad does not look; or None."""
    try:
        files = importlib.metadata.files("nvidia-cuda-nvrtc") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((str(file.locate()) for file in files if file.match("libnvrtc.so.*")), None)


# Read when tinygrad is imported.
if NVRTC := _packaged_nvrtc():
    os.environ.setdefault("NVRTC_PATH", NVRTC)

from tinygrad import Device, Tensor, TinyJit, UOp, dtypes, nn  # noqa: E402
from tinygrad.helpers import DEV, GlobalCounters  # noqa: E402

from frameworks.tinygrad.models.losses import LOSSES  # noqa: E402

LANES = {"float32": dtypes.float32}  # what a lane's weights and activations are
DEVICES = {"cpu": "CPU", "cuda": "CUDA"}


class Adapter(base.Adapter):
    """One module for all tasks. TinyJit runs a function as it is once, records its kernels the next time and
    from then on only starts those kernels; so the first iteration compiles, and the second still prepares."""

    def __init__(self, job: base.Job):
        super().__init__(job)
        self.dtype = LANES[job.cell.lane]
        compiler = _set_compiler(job.files.cache) if job.cell.accelerator == "cpu" else None
        self.device = _open(job.cell.accelerator)
        # On NVIDIA's GPUs tinygrad has another way without CUDA's compiler, which it takes by itself.
        renderer = type(Device[self.device].renderer).__name__.removesuffix("Renderer")
        self.backend = f"{self.device}, {compiler or {'CUDA': 'NVRTC'}.get(renderer, renderer)}"
        self.module: Any = None
        self.peak_bytes = 0

    def describe(self) -> dict[str, Any]:
        return {
            "version": importlib.metadata.version("tinygrad"),
            "backend": self.backend,
            "device": self.device,
            # In this version the CPU's kernels run one after another in the thread that starts them: the
            # pieces into which NUM_CPU_THREADS cuts each of them too.
            "threads": 1 if self.device == "CPU" else None,
        }

    def load(self) -> None:
        self.weights = tensors.load(self.job.files.weights)

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        if self.module is None:
            self.module = self._module()
            del self.weights  # the module has them now
        inputs = {name: self._tensor(array) for name, array in self.job.task_inputs(task).items()}
        if task == "decode":
            return self._generation(inputs["input_ids"])
        if task != "training":
            return self._waiting(TinyJit(self.module), inputs)
        trained = {name: weight for name, weight in self.parameters.items() if weight.is_param}

        @TinyJit
        def step(target: Tensor, **inputs: Tensor) -> dict[str, Tensor]:
            loss = LOSSES[self.job.cell.loss](self.module(**inputs), target)
            gradients = loss.gradient(*trained.values())
            return {"loss": loss} | {
                f"gradient.{name}": gradient for name, gradient in zip(trained, gradients, strict=True)
            }

        return self._waiting(step, inputs | {"target": self._tensor(self.job.target())})

    def _module(self) -> Any:
        """The definition's module with the checkpoint's weights on the device."""
        definition = importlib.import_module(f"frameworks.tinygrad.models.{self.job.cell.definition}")
        module = definition.build(self.job.architecture())
        self.parameters = nn.state.get_state_dict(module)
        where = f"{self.job.files.weights} for definition {self.job.cell.definition}"
        tensors.check_names(set(self.weights), set(self.parameters), where)
        weights = {name: self._tensor(array) for name, array in self.weights.items()}
        nn.state.load_state_dict(module, weights, verbose=False)
        return module

    def _waiting(self, step: Callable[..., Any], arguments: dict[str, Tensor]) -> Callable[[], Any]:
        """``step`` on ``arguments``, and a wait until the device has its result."""
        device = Device[self.device]

        def run() -> Any:
            result = step(**arguments)
            device.synchronize()
            self._note_memory()
            return result

        return run

    def _generation(self, prompt: Tensor) -> Callable[[], base.Generation]:
        if not hasattr(self.module, "next"):
            raise base.UnsupportedError("no-kv-cache", f"{self.job.cell.definition} has no cached step here")
        positions = prompt.shape[1]
        caches = self.module.caches_for(positions + self.job.cell.decode_tokens)
        variable = UOp.variable("position", positions, positions + self.job.cell.decode_tokens - 1)
        # As in tinygrad's own language models, the prompt and the single token are recorded apart.
        prefill = TinyJit(lambda tokens: self.module.next(tokens, 0, caches))
        step = TinyJit(lambda token, position: self.module.next(token, position, caches))

        def generate() -> base.Generation:
            begin = time.perf_counter_ns()
            token = prefill(prompt)
            tokens = [token.item()]
            first_token_ns = time.perf_counter_ns() - begin
            for position in range(positions, positions + self.job.cell.decode_tokens - 1):
                token = step(token, variable.bind(position))
                tokens.append(token.item())
            self._note_memory()
            return base.Generation(tokens, first_token_ns)

        return generate

    def fetch(self, task: base.Task, result: Any) -> dict[str, np.ndarray]:
        if task == "decode":
            return {"tokens": np.asarray(result.tokens, np.int64)}
        if task != "training":
            return {"output": result.numpy()}
        return {name: tensor.numpy() for name, tensor in result.items()}

    def _tensor(self, array: np.ndarray) -> Tensor:
        """``array`` on the device: ids and labels as int32, all else in the lane's type."""
        return Tensor(array, dtype=dtypes.int32 if array.dtype == np.int64 else self.dtype).realize()

    def _note_memory(self) -> None:
        self.peak_bytes = max(self.peak_bytes, GlobalCounters.mem_used_per_device[self.device])

    def device_peak_bytes(self) -> int | None:
        # tinygrad counts what it holds now; a recorded step holds its intermediate results between iterations.
        return None if self.device == "CPU" else self.peak_bytes


def _open(accelerator: str) -> str:
    """The accelerator's device, which is tinygrad's default from now on; UnsupportedError if there is none."""
    device = DEVICES.get(accelerator)
    if device is None:
        raise base.UnsupportedError("no-device", f"this adapter has no {accelerator} device")
    DEV.value = device
    try:
        Device[device].synchronize()
    except Exception as error:  # of any kind: tinygrad says in its own words which library or card is missing
        if device == "CPU":
            raise
        raise base.UnsupportedError(
            "no-device", f"tinygrad opens no {device} device here: {error}"
        ) from error
    return device


def _set_compiler(cache: Path) -> str:
    """Make tinygrad call a clang for the CPU; return its name and version.

    Raises UnsupportedError where there is none.
    """
    try:
        program = clang.find(cache)
        version = clang.version(program)
    except clang.ClangError as error:
        raise base.UnsupportedError("not-installed", str(error)) from error
    os.environ["CC"] = str(program)
    return f"clang {version}"
