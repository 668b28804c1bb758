"""LLaMA (Touvron et al. 2023): rotary positions, grouped-query attention, SwiGLU, a tied head."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.torch.layers import GroupedQueries, RMSNorm, SwiGLU, merge_heads, split_heads


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
    """Causal self-attention; several query heads share one key-value head (Ainslie et al. 2023)."""

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        query = rotate(split_heads(self.q_proj(x), self.head_dim), cos, sin)
        key = rotate(split_heads(self.k_proj(x), self.head_dim), cos, sin)
        value = split_heads(self.v_proj(x), self.head_dim)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        return self.o_proj(merge_heads(attended))


class Layer(nn.Module):
    """Pre-norm attention and feed-forward, each added to the stream."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.mlp = SwiGLU(config["hidden_size"], config["intermediate_size"])

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
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

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.embed_tokens(input_ids)
        time = input_ids.shape[1]
        cos, sin = self.cos[:time].to(x.dtype), self.sin[:time].to(x.dtype)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)


class LlamaForCausalLM(nn.Module):
    """Token ids (batch, time) int64 to logits (batch, time, vocabulary) of every position."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.model = Decoder(config)

    def forward(self, input_ids: Tensor) -> Tensor:
        return F.linear(self.model(input_ids), self.model.embed_tokens.weight)


def build(config: dict[str, Any]) -> LlamaForCausalLM:
    """The module of ``config`` (Hugging Face's keys), with untrained weights."""
    return LlamaForCausalLM(config)
