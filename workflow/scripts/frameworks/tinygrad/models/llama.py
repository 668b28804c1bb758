"""LLaMA (Touvron et al. 2023) with Hugging Face's names: RMSNorm, half-split RoPE, GQA, SwiGLU, tied head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tinygrad import Tensor, UOp, nn

from frameworks.tinygrad.models.layers import GroupedQueries, SwiGLU, merge_heads, tied_head

Position = int | UOp  # of the first token; a bound variable where one compiled step serves all positions
Rotation = Callable[[Tensor, Position], Tensor]


def rotation(config: dict[str, Any]) -> Rotation:
    """The rotary embedding of (batch, heads, T, size) from a position on (Su et al. 2021, eq. 34), in Hugging
    Face's pairing: element i turns with element i + size/2.

    The angles, up to ``max_position_embeddings`` radians, are computed in float64: float32 is coarse there.
    The tables live in the function, and not in the module, where they would count as weights.
    """
    size, positions = config["head_dim"], config["max_position_embeddings"]
    frequency = config["rope_theta"] ** (-np.arange(0, size, 2, dtype=np.float64) / size)
    angle = np.arange(positions, dtype=np.float64)[:, None] * frequency
    cosines, sines = (Tensor(table(angle).astype(np.float32)).realize() for table in (np.cos, np.sin))

    def rotate(x: Tensor, position: Position) -> Tensor:
        rows = slice(position, position + x.shape[2])
        cos, sin = cosines[rows], sines[rows]
        first, second = x.chunk(2, dim=-1)
        return (first * cos - second * sin).cat(second * cos + first * sin, dim=-1)

    return rotate


class Attention(GroupedQueries):
    """Causal self-attention with rotary positions."""

    def __call__(
        self, x: Tensor, rotate: Rotation, position: Position = 0, cache: Tensor | None = None
    ) -> Tensor:
        """``cache`` (2, batch, kv_heads, length, size) holds the keys and values before ``position``, and those
        of ``x`` after this. One token attends to all before it; several have to start at position 0."""
        query, key, value = self.project(x, x)
        query, key = rotate(query, position), rotate(key, position)
        if cache is not None:
            end = position + x.shape[1]
            cache[:, :, :, position:end].assign(key.stack(value))
            key, value = cache[0, :, :, :end], cache[1, :, :, :end]
        causal = x.shape[1] > 1
        attended = query.scaled_dot_product_attention(key, value, is_causal=causal, enable_gqa=True)
        return self.o_proj(merge_heads(attended))


class Layer:
    """Pre-norm attention and feed-forward, each added to the stream."""

    def __init__(self, config: dict[str, Any]):
        self.input_layernorm = nn.RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.mlp = SwiGLU(config)

    def __call__(self, x: Tensor, rotate: Rotation, position: Position, cache: Tensor | None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rotate, position, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder:
    """Token ids (batch, positions) to normalised hidden states (batch, positions, hidden)."""

    def __init__(self, config: dict[str, Any]):
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = [Layer(config) for _ in range(config["num_hidden_layers"])]
        self.norm = nn.RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.rotate = rotation(config)

    def __call__(
        self, input_ids: Tensor, position: Position = 0, caches: list[Tensor] | None = None
    ) -> Tensor:
        x = self.embed_tokens(input_ids)
        for index, layer in enumerate(self.layers):
            x = layer(x, self.rotate, position, caches[index] if caches else None)
        return self.norm(x)


class Llama:
    """Token ids (batch, positions) int32 to logits (batch, positions, vocabulary) of every position."""

    def __init__(self, config: dict[str, Any]):
        self.model = Decoder(config)
        self.kv_heads, self.size = config["num_key_value_heads"], config["head_dim"]

    def __call__(self, input_ids: Tensor) -> Tensor:
        return tied_head(self.model(input_ids), self.model.embed_tokens)

    def caches_for(self, length: int) -> list[Tensor]:
        """Each layer's keys and values for ``length`` positions at batch 1, written in place.

        They may serve again without clearing: no token looks past its own position.
        """
        shape = (2, 1, self.kv_heads, length, self.size)
        return [Tensor.zeros(shape).contiguous().realize() for _ in self.model.layers]

    def next(self, input_ids: Tensor, position: Position, caches: list[Tensor]) -> Tensor:
        """The likeliest token after ``input_ids``, (1, 1) int32: only the last position's logits are made."""
        last = self.model(input_ids, position, caches)[:, -1]
        return tied_head(last, self.model.embed_tokens).argmax(-1, keepdim=True)


def build(config: dict[str, Any]) -> Llama:
    """The module of ``config`` (Hugging Face's keys), with untrained weights."""
    return Llama(config)
