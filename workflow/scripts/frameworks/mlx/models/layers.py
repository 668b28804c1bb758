"""What several architectures share. Images and sequences are channels-last, as MLX convolves them."""

from __future__ import annotations

import functools
from typing import Any

import mlx.core as mx
import mlx.nn as nn


def split_heads(x: mx.array, count: int) -> mx.array:
    """(batch, positions, count · size) to (batch, count, positions, size)."""
    return x.reshape(*x.shape[:2], count, -1).swapaxes(1, 2)


def merge_heads(x: mx.array) -> mx.array:
    """(batch, count, positions, size) to (batch, positions, count · size)."""
    return x.swapaxes(1, 2).flatten(-2)


def attention(query: mx.array, key: mx.array, value: mx.array, causal: bool = False) -> mx.array:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1), grouped where query has more heads.

    query (B, N, T, H), key and value (B, K, S, H) with N a multiple of K, to (B, T, N · H). With ``causal``
    the last query sees every key, the one before it all but the last, and so on.
    """
    scale = query.shape[-1] ** -0.5
    mask = "causal" if causal else None
    return merge_heads(mx.fast.scaled_dot_product_attention(query, key, value, scale=scale, mask=mask))


class GroupedQueries(nn.Module):
    """The four projections of grouped-query attention, under the names of a Llama checkpoint."""

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        hidden, size = config["hidden_size"], config["head_dim"]
        self.q_proj = nn.Linear(hidden, self.heads * size, bias=False)
        self.k_proj = nn.Linear(hidden, self.kv_heads * size, bias=False)
        self.v_proj = nn.Linear(hidden, self.kv_heads * size, bias=False)
        self.o_proj = nn.Linear(self.heads * size, hidden, bias=False)

    def project(self, x: mx.array, source: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        """Queries of ``x``, keys and values of ``source``, each (batch, heads, positions, size)."""
        return (
            split_heads(self.q_proj(x), self.heads),
            split_heads(self.k_proj(source), self.kv_heads),
            split_heads(self.v_proj(source), self.kv_heads),
        )


@functools.partial(mx.compile, shapeless=True)
def _gated(gate: mx.array, up: mx.array) -> mx.array:
    return nn.silu(gate) * up


class SwiGLU(nn.Module):
    """down(silu(gate(x)) · up(x)) (Shazeer 2020, eq. 6), without biases."""

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def __call__(self, x: mx.array) -> mx.array:
        return self.down_proj(_gated(self.gate_proj(x), self.up_proj(x)))
