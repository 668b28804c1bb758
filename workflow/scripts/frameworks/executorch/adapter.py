"""ExecuTorch: a program's methods by its C++ runtime, lowered to XNNPACK where that has the operator."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

# The runtime alone, as a deployed program has it: `executorch.runtime`, which wraps this module, imports the compiler
# too, for a class of warnings.
from executorch.extension.pybindings import _C

from frameworks import base

#: ExecuTorch's operators for language models, a library of its own that registers them when it is loaded.
OPERATORS = "libcustom_ops_aot_lib"


class Adapter(base.Adapter):
    """Each task has a method of its own, in a program that is mapped from its file; inputs are tensors of PyTorch."""

    def __init__(self, job: base.Job):
        super().__init__(job)
        _C._unsafe_reset_threadpool(job.cell.threads)

    def describe(self) -> dict[str, Any]:
        return {
            "version": importlib.metadata.version("executorch"),
            "backend": "XNNPACK",
            "device": "cpu",
            "threads": _C._threadpool_get_thread_count(),
        }

    def load(self) -> None:
        self.program = _C._load_program(str(self.job.files.export))

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        inputs = {name: torch.from_numpy(array) for name, array in self.job.task_inputs(task).items()}
        if task == "decode":
            return self._generation(inputs["input_ids"])
        method, arguments = self.program.load_method(task), tuple(inputs.values())

        def infer() -> torch.Tensor:
            (output,) = method.call(arguments, False)  # not copied: the next call overwrites it
            return output

        return infer

    def _generation(self, prompt: torch.Tensor) -> Callable[[], base.Generation]:
        """Greedy generation: one method for the prompt and for each token, with its cache inside."""
        _load_operators()
        program = _C._load_program(str(self.job.files.decode_export))
        method, count = program.load_method("forward"), self.job.cell.decode_tokens
        (positions,) = program.load_method("get_max_context_len").call((), False)
        if prompt.shape[1] + count > positions:
            raise ValueError(
                f"{self.job.files.decode_export}: a prompt of {prompt.shape[1]} and {count} tokens do not fit in its "
                f"cache of {positions}; raise CONTEXT in frameworks/executorch/export_decode.py"
            )
        token, position = torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)

        def next_token(ids: torch.Tensor, begins: int) -> int:
            position[0] = begins
            (logits,) = method.call((ids, position), False)
            return int(logits.argmax())

        def generate() -> base.Generation:
            begin = time.perf_counter_ns()
            tokens = [next_token(prompt, 0)]
            first_token_ns = time.perf_counter_ns() - begin
            for begins in range(prompt.shape[1], prompt.shape[1] + count - 1):
                token[0, 0] = tokens[-1]
                tokens.append(next_token(token, begins))
            return base.Generation(tokens, first_token_ns)

        return generate

    def fetch(self, task: base.Task, result: Any) -> dict[str, np.ndarray]:
        if task == "decode":
            return {"tokens": np.array(result.tokens, np.int64)}
        return {"output": result.numpy().copy()}


def _load_operators() -> None:
    """Register the operators for language models. Raises UnsupportedError where the package lacks their library."""
    found = [file for file in importlib.metadata.files("executorch") or [] if file.stem == OPERATORS]
    if not found:
        raise base.UnsupportedError("unsupported-operator", f"This build of ExecuTorch has no {OPERATORS}.")
    torch.ops.load_library(str(found[0].locate()))
