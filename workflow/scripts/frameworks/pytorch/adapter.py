"""PyTorch, eager and compiled with Inductor, with and without CUDA graphs: float32, TF32, bfloat16 and float16."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from arena import tensors
from frameworks import base
from frameworks.pytorch import graphs, regions
from frameworks.pytorch.models import generation, losses
from frameworks.pytorch.models.loading import load as load_module

# What a lane's weights and activations are.
LANES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
#: The compiler's modes that replay what they compiled as CUDA graphs.
GRAPHED = ("reduce-overhead", "max-autotune")
DEVICES = {"cpu": "cpu", "cuda": "cuda", "rocm": "cuda", "metal": "mps", "xpu": "xpu"}


class Adapter(base.Adapter):
    """Option ``compile``: false for eager, true for ``torch.compile`` of the whole, ``regional`` for each repeated
    layer by itself. Option ``mode``: the compiler's own word for what else it should do, such as ``reduce-overhead``
    for CUDA graphs. Option ``graph``: true to capture a CUDA graph by hand around an iteration, of whatever runs in it.
    """

    def __init__(self, job: base.Job):
        super().__init__(job)
        self.dtype = LANES[job.cell.lane]
        # The newer fp32_precision leaves torch.export (2.11 to 2.13) with "a mix of the legacy and new APIs".
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = job.cell.lane == "tf32"
        torch.set_num_threads(job.cell.threads)
        self.device = _device(job.cell.accelerator)
        self.regional = job.cell.options.get("compile") == "regional"
        self.compiled = bool(job.cell.options.get("compile", False)) and not self.regional
        self.mode = job.cell.options.get("mode")
        self.graphed = self.mode in GRAPHED
        self.captured = bool(job.cell.options.get("graph", False))
        self.module: torch.nn.Module | None = None
        self.inferring: Callable | None = None  # the module as inference runs it
        on_gpu = self.device.type == "cuda"
        self.events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if on_gpu else None

    def describe(self) -> dict[str, Any]:
        runs = {"cpu": "CPU", "mps": "MPS", "xpu": "XPU"}
        backend = runs.get(self.device.type) or (
            f"ROCm {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
        )
        compiler = ", Inductor by layer" if self.regional else ", Inductor" if self.compiled else ""
        replayed = ", CUDA graphs" if self.graphed or self.captured else ""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return {
            "version": torch.__version__,
            "backend": f"{backend}{compiler}{replayed}",
            "device": name,
            "threads": torch.get_num_threads(),
        }

    def load(self) -> None:
        self.weights = tensors.load(self.job.files.weights)

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        if self.module is None:
            self.module = load_module(
                self.job.cell.definition, self.job.architecture(), self.weights, self.dtype, self.device
            ).eval()
            del self.weights  # the module has them now
            if self.regional:
                regions.compile_regions(self.module)
        inputs = {name: self._tensor(array) for name, array in self.job.task_inputs(task).items()}
        if task == "decode":
            return self._generation(inputs["input_ids"])
        if task == "training":
            return self._training_step(inputs)
        module = self._compile(self.module)
        if task == "inference":
            self.inferring = module
        return self._iteration(_inference(module, inputs))

    def forward(self, inputs: dict[str, np.ndarray]) -> torch.Tensor:
        self.module.requires_grad_(False)  # as when it was compiled; training has asked for gradients
        given = {name: self._tensor(array) for name, array in inputs.items()}
        return self._waiting(_inference(self.inferring, given))()

    def _training_step(self, inputs: dict[str, torch.Tensor]) -> Callable[[], Any]:
        module = self.module
        module.requires_grad_(True)
        target = torch.from_numpy(self.job.target()).to(self.device)  # the loss is taken in float32

        def forward(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
            return losses.loss(self.job.cell.loss, module(**inputs).float(), target)

        forward = self._compile(forward)

        def train() -> torch.Tensor:
            module.zero_grad(set_to_none=True)
            loss = forward(inputs)
            loss.backward()
            return loss.detach()

        return self._iteration(train)

    def _generation(self, prompt: torch.Tensor) -> Callable[[], base.Generation]:
        if not hasattr(self.module, "step"):
            raise base.UnsupportedError("no-kv-cache", f"{self.job.cell.definition} has no cached step here")
        count = self.job.cell.decode_tokens
        buffers = self.module.buffers_for(prompt.shape[1] + count)
        if self.graphed:
            for buffer in itertools.chain.from_iterable(buffers):
                torch._dynamo.mark_static_address(buffer)  # a CUDA graph may then write to it
        prefill, step = self._compile(self.module.prefill), self._compile(self.module.step)
        if self.captured:
            return self._waiting(self._replayed(prefill, step, prompt, buffers))

        @torch.inference_mode()
        def generate() -> base.Generation:
            begin = time.perf_counter_ns()
            first_token_ns, tokens = 0, []
            for token, _ in generation.continuation(
                lambda prompt: prefill(prompt, buffers),
                lambda token, position: step(token, position, buffers),
                prompt,
                count,
            ):
                if not tokens:
                    token.item()  # waits for the device, once: the other tokens may follow one another
                    first_token_ns = time.perf_counter_ns() - begin
                tokens.append(token)
            return base.Generation(torch.cat(tokens, dim=1).cpu(), first_token_ns)

        return self._waiting(generate)

    def _replayed(
        self, prefill: Callable, step: Callable, prompt: torch.Tensor, buffers: Any
    ) -> Callable[[], base.Generation]:
        """Generation with the prompt's pass and one token's pass captured, each in a CUDA graph."""
        count = self.job.cell.decode_tokens
        with torch.inference_mode():
            text = graphs.Continuation(
                lambda prompt: prefill(prompt, buffers),
                lambda token, position: step(token, position, buffers),
                prompt,
                count,
            )
            start = graphs.captured(text.start, self.device)
            advance = graphs.captured(text.advance, self.device, warm=lambda: (text.start(), text.advance()))

        def generate() -> base.Generation:
            begin = time.perf_counter_ns()
            start()
            text.token.item()  # waits for the device, once: the other tokens may follow one another
            first_token_ns = time.perf_counter_ns() - begin
            for _ in range(count - 1):
                advance()
            return base.Generation(text.tokens.cpu(), first_token_ns)

        return generate

    def _compile(self, function: Callable) -> Callable:
        """``function`` as this row runs it."""
        if not self.compiled:
            return function
        compiled = torch.compile(function, fullgraph=True, dynamic=False, mode=self.mode)
        if not self.graphed:
            return compiled

        def replay(*arguments: Any, **named: Any) -> Any:
            torch.compiler.cudagraph_mark_step_begin()  # what the last call returned may be overwritten
            return compiled(*arguments, **named)

        return replay

    def verify(self, task: base.Task) -> None:
        if (self.compiled or self.regional) and not torch._dynamo.utils.counters["stats"]["unique_graphs"]:
            raise base.FailedError(
                "not-compiled",
                "torch.compile handed no graph to Inductor, so that all ran eagerly: it is switched off "
                "(TORCHDYNAMO_DISABLE, TORCH_COMPILE_DISABLE), or does not work here",
            )

    def fetch(self, task: base.Task, result: Any) -> dict[str, np.ndarray]:
        if task == "decode":
            return {"tokens": result.tokens[0].numpy()}
        if task != "training":
            return {"output": result.float().numpy(force=True)}
        gradients = {
            f"gradient.{name}": parameter.grad.float().numpy(force=True)
            for name, parameter in self.module.named_parameters()
            if parameter.grad is not None
        }
        return {"loss": result.numpy(force=True), **gradients}

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        """``array`` on the device, floating-point ones in the lane's dtype."""
        return torch.from_numpy(array).to(self.device, self.dtype if array.dtype.kind == "f" else None)

    def _iteration(self, enqueue: Callable[[], Any]) -> Callable[[], Any]:
        """``enqueue`` with a wait for its end, and as a CUDA graph where this row captures one."""
        return self._waiting(graphs.captured(enqueue, self.device) if self.captured else enqueue)

    def _waiting(self, enqueue: Callable[[], Any]) -> Callable[[], Any]:
        """``enqueue``, which puts one iteration into the device's queue, and then a wait for its end.

        On CUDA an event at each end of it notes the device's own time.
        """
        if self.device.type == "cpu":
            return enqueue
        synchronise = getattr(torch, self.device.type).synchronize
        begin, end = self.events or (None, None)

        def iterate() -> Any:
            if begin is not None:
                begin.record()
            result = enqueue()
            if end is not None:
                end.record()
            synchronise()
            return result

        return iterate

    def device_ns(self) -> int | None:
        if self.events is None:
            return None
        begin, end = self.events
        return round(begin.elapsed_time(end) * 1e6)  # of ms; it resolves about 0.5 µs

    def device_peak_bytes(self) -> int | None:
        if self.device.type in ("cuda", "xpu"):
            return getattr(torch, self.device.type).max_memory_allocated(self.device)
        return torch.mps.driver_allocated_memory() if self.device.type == "mps" else None


def _inference(module: Callable, inputs: dict[str, torch.Tensor]) -> Callable[[], torch.Tensor]:
    def infer() -> torch.Tensor:
        with torch.inference_mode():
            return module(**inputs)

    return infer


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
