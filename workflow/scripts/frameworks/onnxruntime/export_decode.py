"""Export a model with a key-value cache to ONNX, for token-by-token generation: one file, weights inside.

Inputs are input_ids (1, time) int64 and past_key_values.{layer}.key and .value (1, heads, past, head_dim)
float32; outputs are logits (1, vocabulary) of the last position and present.{layer}.key and .value (1, heads,
past + time, head_dim). time and past are free, so that one graph serves the prompt (past = 0) and each token
after it (time = 1).
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor, nn

from arena import files
from frameworks.errors import UnsupportedError
from frameworks.exporting import Export
from frameworks.onnxruntime.size import refuse_large
from frameworks.pytorch.models.loading import load as load_module

TRACED = (
    7  # positions of the example, new and past: any number but 0 and 1, which tracing would take for fixed
)


class Extend(nn.Module):
    """The module's ``extend`` as its forward pass."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input_ids: Tensor, past: list[tuple[Tensor, Tensor]]):
        return self.module.extend(input_ids, past)


def export(task: Export) -> None:
    """Write the graph. Raises UnsupportedError where the definition has no cache, or the weights are too large."""
    refuse_large(task)
    config = task.architecture()
    module = load_module(task.definition, config, task.weights()).eval()
    if not hasattr(module, "extend"):
        where = f"frameworks/pytorch/models/{task.definition}.py"
        raise UnsupportedError("no-kv-cache", f"{where} has no forward pass with a key-value cache.")
    print(f"exporting {task.definition} with a cache", flush=True)
    begin = time.perf_counter()
    with files.replacing(task.out) as temporary:
        write(module, config["max_position_embeddings"], temporary)
    print(f"{task.out}: {task.out.stat().st_size / 1e6:.1f} MB in {time.perf_counter() - begin:.1f} s")


def write(module: nn.Module, positions: int, out: Path) -> None:
    """Write ``module``, which has ``extend`` and ``buffers_for``, for ``positions`` positions at most."""
    past = module.buffers_for(TRACED)
    new_axis = torch.export.Dim("time", min=1, max=positions)
    past_axis = torch.export.Dim("past", min=0, max=positions - 1)
    names = [(f"{layer}.key", f"{layer}.value") for layer in range(len(past))]
    flat = [name for pair in names for name in pair]
    torch.onnx.export(
        Extend(module).eval(),
        kwargs={"input_ids": torch.zeros(1, TRACED, dtype=torch.int64), "past": past},
        f=out,
        dynamo=True,
        dynamic_shapes={"input_ids": {1: new_axis}, "past": [({2: past_axis}, {2: past_axis}) for _ in past]},
        input_names=["input_ids", *(f"past_key_values.{name}" for name in flat)],
        output_names=["logits", *(f"present.{name}" for name in flat)],
        external_data=False,
        verbose=False,
    )
