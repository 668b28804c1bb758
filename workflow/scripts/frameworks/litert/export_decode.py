"""Convert a model with a key-value cache to one LiteRT file with two signatures: ``prefill`` takes the whole prompt,
``decode`` one token, as litert-torch's own language models have it.

Both take input_ids (1, time), their positions (time,) int32 and ``cache``, each layer's keys and values (1, heads,
length, head_dim); they give the logits (1, vocabulary) of the last position and the cache with what is new. The length
is twice the prompt's, since every step attends to the whole cache, under a mask.
"""

from __future__ import annotations

import litert_torch
import torch
from litert_torch.generative.custom_ops.dynamic_update_slice import dynamic_update_slice
from torch import Tensor, nn

from arena import files
from frameworks.errors import UnsupportedError
from frameworks.exporting import Export
from frameworks.pytorch.models.llama import LlamaForCausalLM
from frameworks.pytorch.models.loading import load as load_module


class Written:
    """One layer's keys and values (1, heads, length, head_dim); what is new replaces those from ``start`` () on."""

    def __init__(self, keys: Tensor, values: Tensor, start: Tensor) -> None:
        self.keys, self.values, self.start = keys, values, start

    def update(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        none = torch.zeros_like(self.start)
        place = [none, none, self.start, none]
        self.keys = dynamic_update_slice(self.keys, key, place)
        self.values = dynamic_update_slice(self.values, value, place)
        return self.keys, self.values


class Following(nn.Module):
    """LLaMA, to which its cache is passed; see the module's text for what it takes and gives."""

    def __init__(self, module: LlamaForCausalLM) -> None:
        super().__init__()
        self.module = module

    def forward(self, input_ids: Tensor, positions: Tensor, cache: dict[str, Tensor]) -> dict[str, Tensor]:
        layers = range(len(self.module.model.layers))
        start = positions[0].int()
        caches = [Written(cache[f"keys_{layer}"], cache[f"values_{layer}"], start) for layer in layers]
        mask = torch.arange(cache["keys_0"].shape[2]) <= positions[:, None]
        x = self.module.model(input_ids, positions, caches, mask)
        logits = nn.functional.linear(x[:, -1], self.module.model.embed_tokens.weight)
        keys = {f"keys_{layer}": caches[layer].keys for layer in layers}
        return {"logits": logits} | keys | {f"values_{layer}": caches[layer].values for layer in layers}


def export(task: Export) -> None:
    """Write the file. Raises UnsupportedError for a definition other than LLaMA's, whose layers take such a cache."""
    if task.definition != "llama":
        raise UnsupportedError("no-kv-cache", f"Its export has no key-value cache for {task.definition}.")
    module = load_module(task.definition, task.architecture(), task.weights()).eval()
    prompt = task.inputs()["decode.input_ids"].shape[1]
    buffers = module.buffers_for(2 * prompt)
    cache = {}
    for layer, (keys, values) in enumerate(buffers):
        cache |= {f"keys_{layer}": keys, f"values_{layer}": values}
    converter = litert_torch.Converter()
    for name, time in (("prefill", prompt), ("decode", 1)):
        example = {"input_ids": torch.zeros(1, time, dtype=torch.int64), "positions": torch.arange(time)}
        converter.signature(name, Following(module).eval(), sample_kwargs=example | {"cache": cache})
    converted = converter.convert()
    with files.replacing(task.out) as temporary:
        temporary.write_bytes(converted.model_content())
    print(f"{task.out}: {task.out.stat().st_size / 1e6:.1f} MB")
