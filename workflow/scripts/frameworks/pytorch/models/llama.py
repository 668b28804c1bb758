"""LLaMA (Touvron et al. 2023): rotary positions, grouped-query attention, SwiGLU, a tied head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frameworks.pytorch.models.cache import Cache, Growing, Prompt, Step
from frameworks.pytorch.models.layers import GroupedQueries, RMSNorm, SwiGLU, merge_heads, split_heads

Buffers = list[tuple[Tensor, Tensor]]  # every layer's keys and values


def rope_tables(positions: int, head_dim: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of the rotary embedding (Su et al. 2021), each (positions, head_dim/2) float64.

    Position p turns pair j by p · theta^(-2j/head_dim).
    """
    frequencies = theta ** (-np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)
    angles = np.arange(positions, dtype=np.float64)[:, None] * frequencies
    return np.cos(angles), np.sin(angles)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (x[j], x[j + head_dim/2]) of each head: half-split, as in Hugging Face's LLaMA.

    ``x`` is (batch, heads, time, head_dim), the tables are (time, head_dim/2).
    """
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Attention(GroupedQueries):
    """Self-attention, causal or under ``mask`` (queries, keys) where it is given.

    Several query heads share one key-value head (Ainslie et al. 2023).
    """

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, cache: Cache | None = None, mask: Tensor | None = None
    ) -> Tensor:
        query = rotate(split_heads(self.q_proj(x), self.head_dim), cos, sin)
        key = rotate(split_heads(self.k_proj(x), self.head_dim), cos, sin)
        value = split_heads(self.v_proj(x), self.head_dim)
        if cache is not None:
            key, value = cache.update(key, value)
        attended = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=mask is None, enable_gqa=True
        )
        return self.o_proj(merge_heads(attended))


class Layer(nn.Module):
    """Pre-norm attention and feed-forward, each added to the stream."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.mlp = SwiGLU(config["hidden_size"], config["intermediate_size"])

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, cache: Cache | None = None, mask: Tensor | None = None
    ) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, cache, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Token ids (batch, time) to normalised hidden states (batch, time, hidden)."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.norm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        # Kept in float64 until the module is converted: the float64 reference rotates exactly.
        cos, sin = rope_tables(config["max_position_embeddings"], config["head_dim"], config["rope_theta"])
        self.register_buffer("cos", torch.from_numpy(cos), persistent=False)
        self.register_buffer("sin", torch.from_numpy(sin), persistent=False)

    def forward(
        self,
        input_ids: Tensor,
        positions: Tensor | None = None,
        caches: Sequence[Cache] | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """``positions`` (time,) int64 are 0, 1, … unless given; ``caches`` are one a layer."""
        x = self.embed_tokens(input_ids)
        rows = slice(input_ids.shape[1]) if positions is None else positions
        cos, sin = self.cos[rows].to(x.dtype), self.sin[rows].to(x.dtype)
        for index, layer in enumerate(self.layers):
            x = layer(x, cos, sin, caches[index] if caches else None, mask)
        return self.norm(x)


class LlamaForCausalLM(nn.Module):
    """Token ids (batch, time) int64 to logits (batch, time, vocabulary) of every position.

    To generate, ``prefill`` the prompt and ``step`` token by token with one set of ``buffers``; or
    ``extend`` where state has to be passed along. These return the logits of the last position only.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.model = Decoder(config)
        self.cache_heads = config["num_key_value_heads"], config["head_dim"]

    def forward(self, input_ids: Tensor) -> Tensor:
        return self._logits(self.model(input_ids))

    def _logits(self, x: Tensor) -> Tensor:
        return F.linear(x, self.model.embed_tokens.weight)

    def buffers_for(self, length: int, batch: int = 1) -> Buffers:
        """Each layer's keys and values, (batch, heads, length, head_dim), in the weights' dtype and place.

        Zero at first. They may be used again without clearing: a prefill overwrites the prompt's
        positions, and no step looks past its own.
        """
        heads, head_dim = self.cache_heads
        weight = self.model.embed_tokens.weight
        return [
            (
                weight.new_zeros(batch, heads, length, head_dim),
                weight.new_zeros(batch, heads, length, head_dim),
            )
            for _ in self.model.layers
        ]

    def prefill(self, input_ids: Tensor, buffers: Buffers) -> Tensor:
        """Logits (batch, vocabulary) after the prompt (batch, time), whose keys and values it stores."""
        caches = [Prompt(keys, values) for keys, values in buffers]
        return self._logits(self.model(input_ids, caches=caches)[:, -1])

    def step(self, token: Tensor, position: Tensor, buffers: Buffers) -> Tensor:
        """Logits (batch, vocabulary) after ``token`` (batch, 1), which stands at ``position`` (1,) int64."""
        caches = [Step(keys, values, position) for keys, values in buffers]
        mask = torch.arange(buffers[0][0].shape[2], device=token.device) <= position
        return self._logits(self.model(token, position, caches, mask[None])[:, -1])

    def extend(self, input_ids: Tensor, past: Buffers) -> tuple[Tensor, Buffers]:
        """Logits (batch, vocabulary) after ``past`` and then ``input_ids`` (batch, time), and the new past.

        Each layer's keys and values are (batch, heads, past, head_dim), of 0 positions or more.
        """
        caches = [Growing(keys, values) for keys, values in past]
        start, time = past[0][0].shape[2], input_ids.shape[1]
        positions = torch.arange(start, start + time, device=input_ids.device)
        mask = torch.arange(start + time, device=input_ids.device) <= positions[:, None]
        logits = self._logits(self.model(input_ids, positions, caches, mask)[:, -1])
        return logits, [(cache.keys, cache.values) for cache in caches]


def build(config: dict[str, Any]) -> LlamaForCausalLM:
    """The module of ``config`` (Hugging Face's keys), with untrained weights."""
    return LlamaForCausalLM(config)
