"""PyTorch, eager and compiled with Inductor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from arena import tensors
from models.torch import losses
from models.torch.loading import load as load_module

from adapters import base

DEVICES = {"cpu": "cpu", "cuda": "cuda", "rocm": "cuda", "metal": "mps", "xpu": "xpu"}


class Adapter(base.Adapter):
    """Option ``compile``: false for eager, true for ``torch.compile`` of the whole step."""

    def __init__(self, job: base.Job):
        super().__init__(job)
        if job.lane != "float32":
            raise base.UnsupportedError("unsupported-lane", f"this adapter has no {job.lane} lane")
        torch.set_num_threads(job.threads)
        torch.set_float32_matmul_precision("highest")  # no TF32 in the strict lane
        torch.backends.cudnn.allow_tf32 = False
        self.device = _device(job.accelerator)
        self.compiled = bool(job.options.get("compile", False))
        self.module: torch.nn.Module | None = None

    def describe(self) -> dict[str, Any]:
        runs = {"cpu": "CPU", "mps": "MPS", "xpu": "XPU"}
        backend = runs.get(self.device.type) or (
            f"ROCm {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
        )
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return {
            "version": torch.__version__,
            "backend": f"{backend}, Inductor" if self.compiled else backend,
            "device": name,
            "threads": torch.get_num_threads(),
        }

    def load(self) -> None:
        self.weights = tensors.load(self.job.weights)

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        if self.module is None:
            self.module = load_module(
                self.job.definition, self.job.architecture(), self.weights, torch.float32, self.device
            ).eval()
            del self.weights  # the module has them now
        inputs = {name: self._tensor(array) for name, array in self.job.task_inputs(task).items()}
        if task == "training":
            return self._training_step(inputs)
        module = torch.compile(self.module, fullgraph=True, dynamic=False) if self.compiled else self.module

        def infer() -> torch.Tensor:
            with torch.inference_mode():
                output = module(**inputs)
            self._synchronise()
            return output

        return infer

    def _training_step(self, inputs: dict[str, torch.Tensor]) -> Callable[[], Any]:
        module = self.module
        module.requires_grad_(True)
        target = self._tensor(self.job.target())

        def forward(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
            return losses.loss(self.job.loss, module(**inputs), target)

        if self.compiled:
            forward = torch.compile(forward, fullgraph=True, dynamic=False)

        def train() -> torch.Tensor:
            module.zero_grad(set_to_none=True)
            loss = forward(inputs)
            loss.backward()
            self._synchronise()
            return loss.detach()

        return train

    def fetch(self, task: base.Task, result: torch.Tensor) -> dict[str, np.ndarray]:
        if task != "training":
            return {"output": result.numpy(force=True)}
        gradients = {
            f"gradient.{name}": parameter.grad.numpy(force=True)
            for name, parameter in self.module.named_parameters()
            if parameter.grad is not None
        }
        return {"loss": result.numpy(force=True), **gradients}

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)

    def _synchronise(self) -> None:
        if self.device.type != "cpu":
            getattr(torch, self.device.type).synchronize()


def _device(accelerator: str) -> torch.device:
    """The accelerator's torch device; UnsupportedError if this build or machine lacks it."""
    kind = DEVICES.get(accelerator)
    if kind is None:
        raise base.UnsupportedError("no-device", f"PyTorch has no {accelerator} device")
    available = kind == "cpu" or (
        torch.backends.mps.is_available() if kind == "mps" else getattr(torch, kind).is_available()
    )
    if not available:
        raise base.UnsupportedError(
            "no-device", f"torch {torch.__version__} finds no {accelerator} device here"
        )
    return torch.device(kind)
