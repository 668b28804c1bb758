"""What several architectures share. Weights and images have the checkpoint's layout, which is tinygrad's too."""

from __future__ import annotations

from typing import Any

from tinygrad import Tensor, nn


def split_heads(x: Tensor, count: int) -> Tensor:
    """(batch, positions, count · size) to (batch, count, positions, size)."""
    return x.reshape(*x.shape[:2], count, -1).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(batch, count, positions, size) to (batch, positions, count · size)."""
    return x.transpose(1, 2).flatten(2)


def tied_head(states: Tensor, embedding: nn.Embedding) -> Tensor:
    """Logits (…, vocabulary) of states (…, hidden): the table of ``embedding`` is the head's weight too."""
    return states.linear(embedding.weight.transpose())


class GroupedQueries:
    """The four projections of grouped-query attention, under the names of a Llama checkpoint."""

    def __init__(self, config: dict[str, Any]):
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        hidden, size = config["hidden_size"], config["head_dim"]
        self.q_proj = nn.Linear(hidden, self.heads * size, bias=False)
        self.k_proj = nn.Linear(hidden, self.kv_heads * size, bias=False)
        self.v_proj = nn.Linear(hidden, self.kv_heads * size, bias=False)
        self.o_proj = nn.Linear(self.heads * size, hidden, bias=False)

    def project(self, x: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of ``x``, keys and values of ``source``, each (batch, heads, positions, size)."""
        return (
            split_heads(self.q_proj(x), self.heads),
            split_heads(self.k_proj(source), self.kv_heads),
            split_heads(self.v_proj(source), self.kv_heads),
        )


class SwiGLU:
    """down(silu(gate(x)) · up(x)) (Shazeer 2020, eq. 6), without biases."""

    def __init__(self, config: dict[str, Any]):
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def __call__(self, x: Tensor) -> Tensor:
        return self.down_proj(self.gate_proj(x).silu() * self.up_proj(x))
