"""Export a model with a key-value cache inside of it to one ExecuTorch program, for token-by-token generation.

Its method ``forward`` takes input_ids (1, time) int64, time being free, and the position (1,) int64 at which they
begin, and gives the logits (1, vocabulary) of the last; ``get_max_context_len`` gives the cache's positions. The cache
is updated in place and attended to by ExecuTorch's own operators for language models (``llama::update_cache``,
``llama::custom_sdpa``), as in its own export of LLaMA.
"""

from __future__ import annotations

import torch
from executorch.extension.llm.custom_ops import custom_ops  # noqa: F401 -- registers the operators
from torch import Tensor, nn

from frameworks.errors import UnsupportedError
from frameworks.executorch import lowering
from frameworks.exporting import Export
from frameworks.pytorch.models.layers import split_heads
from frameworks.pytorch.models.llama import Attention, LlamaForCausalLM, rotate
from frameworks.pytorch.models.loading import load as load_module

#: Positions of the cache at most. All of them are allocated, so ExecuTorch's users choose a length at export.
CONTEXT = 2048
TRACED = 7  # positions of the example: any number but 0 and 1, which tracing would take for fixed


class CachedAttention(nn.Module):
    """An ``Attention``'s projections around a cache (1, positions, key-value heads, head_dim) of keys and values.

    In the place of caches it is given the position at which its input begins.
    """

    def __init__(self, attention: Attention, positions: int, heads: int) -> None:
        super().__init__()
        self.attention = attention
        for name in ("keys", "values"):
            self.register_buffer(name, torch.zeros(1, positions, heads, attention.head_dim))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, start: int, mask: None) -> Tensor:
        its = self.attention
        query = rotate(split_heads(its.q_proj(x), its.head_dim), cos, sin).transpose(1, 2)
        key = rotate(split_heads(its.k_proj(x), its.head_dim), cos, sin).transpose(1, 2)
        value = split_heads(its.v_proj(x), its.head_dim).transpose(1, 2)
        torch.ops.llama.update_cache(key, self.keys, start)
        torch.ops.llama.update_cache(value, self.values, start)
        causal = None, 0.0, True  # no mask, no dropout
        attended = torch.ops.llama.custom_sdpa(query, self.keys, self.values, start, *causal)
        return its.o_proj(attended.flatten(-2))


class Cached(nn.Module):
    """LLaMA whose layers keep what they have seen; see the module's text for what it takes and gives."""

    def __init__(self, module: LlamaForCausalLM, positions: int) -> None:
        super().__init__()
        self.module = module
        self.positions = positions
        heads, _ = module.cache_heads
        for layer in module.model.layers:
            layer.self_attn = CachedAttention(layer.self_attn, positions, heads)

    def forward(self, input_ids: Tensor, position: Tensor) -> Tensor:
        time, start = input_ids.shape[1], position[0].item()
        torch._check_is_size(start)
        torch._check(start < self.positions)
        torch._check(start + time <= self.positions)
        model = self.module.model
        x = model(input_ids, position + torch.arange(time), [start] * len(model.layers))
        return nn.functional.linear(x[:, -1], model.embed_tokens.weight)


def export(task: Export) -> None:
    """Write the program. Raises UnsupportedError for a definition other than LLaMA's, whose layers these replace."""
    if task.definition != "llama":
        raise UnsupportedError("no-kv-cache", f"Its export has no key-value cache for {task.definition}.")
    config = task.architecture()
    module = load_module(task.definition, config, task.weights()).eval()
    positions = min(CONTEXT, config["max_position_embeddings"])
    cached = Cached(module, positions).eval()
    example = torch.zeros(1, TRACED, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    free = {1: torch.export.Dim("time", min=1, max=positions)}, None
    quantised = task.lane == "int8"
    with torch.no_grad():
        captured = torch.export.export(cached, example, dynamic_shapes=free)
        if quantised:
            from frameworks.executorch import quantising  # here, since it costs seconds to import

            captured = quantising.dynamic(captured, example, {}, free)
    lowering.write({"forward": captured}, task.out, {"get_max_context_len": positions}, quantised)
