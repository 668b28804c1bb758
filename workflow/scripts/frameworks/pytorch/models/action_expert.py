"""SmolVLA's action expert (Shukor et al. 2025): layers attend in turn to the actions and to the context."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from frameworks.pytorch.models.layers import GroupedQueries, RMSNorm, SwiGLU, linear, merge_heads, split_heads


class Attention(GroupedQueries):
    """Grouped-query attention without positions or mask."""

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        query = split_heads(self.q_proj(x), self.head_dim)
        key = split_heads(self.k_proj(source), self.head_dim)
        value = split_heads(self.v_proj(source), self.head_dim)
        attended = F.scaled_dot_product_attention(query, key, value, enable_gqa=True)
        return self.o_proj(merge_heads(attended))


class Layer(nn.Module):
    """Pre-norm attention and feed-forward; the context of cross-attention is not normalised."""

    def __init__(self, config: dict[str, Any], cross: bool) -> None:
        super().__init__()
        self.cross = cross
        self.norm1 = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.attn = Attention(config)
        self.norm2 = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.mlp = SwiGLU(config["hidden_size"], config["intermediate_size"])

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        normed = self.norm1(x)
        x = x + self.attn(normed, context if self.cross else normed)
        return x + self.mlp(self.norm2(x))


class ActionExpert(nn.Module):
    """Noisy actions to denoised actions, both (batch, chunk, action_dim).

    ``time`` is (batch, 1, time_dim), ``context`` is (batch, length, context_dim).
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        hidden, period = config["hidden_size"], config["cross_attention_every"]
        self.action_proj = linear(config["action_dim"], hidden)
        self.time_proj = linear(config["time_dim"], hidden)
        self.kv_proj = linear(config["context_dim"], hidden)
        self.layers = nn.ModuleList(
            Layer(config, cross=index % period == period - 1) for index in range(config["num_hidden_layers"])
        )
        self.norm = RMSNorm(hidden, config["rms_norm_eps"])
        self.head = linear(hidden, config["action_dim"])

    def forward(self, actions: Tensor, time: Tensor, context: Tensor) -> Tensor:
        x = self.action_proj(actions) + self.time_proj(time)
        context = self.kv_proj(context)
        for layer in self.layers:
            x = layer(x, context)
        return self.head(self.norm(x))


def build(config: dict[str, Any]) -> ActionExpert:
    """The module of ``config``, with untrained weights."""
    return ActionExpert(config)
