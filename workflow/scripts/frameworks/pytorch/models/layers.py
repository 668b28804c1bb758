"""Layers that several definitions share."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def linear(entering: int, leaving: int, bias: bool = False) -> nn.Linear:
    """A linear layer, without a bias unless asked for."""
    return nn.Linear(entering, leaving, bias=bias)


def split_heads(x: Tensor, head_dim: int) -> Tensor:
    """(batch, time, heads · head_dim) to (batch, heads, time, head_dim)."""
    return x.unflatten(-1, (-1, head_dim)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(batch, heads, time, head_dim) to (batch, time, heads · head_dim)."""
    return x.transpose(1, 2).flatten(-2)


class RMSNorm(nn.Module):
    """x / √(mean(x²) + eps) · weight over the last dimension (Zhang and Sennrich 2019)."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class GroupedQueries(nn.Module):
    """The four projections of grouped-query attention, under the names of a Llama checkpoint."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        hidden, self.head_dim = config["hidden_size"], config["head_dim"]
        queries = config["num_attention_heads"] * self.head_dim
        keys = config["num_key_value_heads"] * self.head_dim
        self.q_proj = linear(hidden, queries)
        self.k_proj = linear(hidden, keys)
        self.v_proj = linear(hidden, keys)
        self.o_proj = linear(queries, hidden)


class SwiGLU(nn.Module):
    """down(silu(gate(x)) · up(x)) (Shazeer 2020), without biases."""

    def __init__(self, size: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = linear(size, inner)
        self.up_proj = linear(size, inner)
        self.down_proj = linear(inner, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
