"""SmolVLA's action expert (Shukor et al. 2025): layers of self-attention to the actions and of
cross-attention to the context in turn, without mask or position embedding."""

from __future__ import annotations

from typing import Any

from tinygrad import Tensor, nn

from frameworks.tinygrad.models.layers import GroupedQueries, SwiGLU, merge_heads


class Attention(GroupedQueries):
    """Grouped-query attention without positions or mask."""

    def __call__(self, x: Tensor, source: Tensor) -> Tensor:
        query, key, value = self.project(x, source)
        return self.o_proj(merge_heads(query.scaled_dot_product_attention(key, value, enable_gqa=True)))


class Layer:
    """Pre-norm attention and feed-forward; the context of cross-attention is not normalised."""

    def __init__(self, config: dict[str, Any], cross: bool):
        self.cross = cross
        self.norm1 = nn.RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.attn = Attention(config)
        self.norm2 = nn.RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.mlp = SwiGLU(config)

    def __call__(self, x: Tensor, context: Tensor) -> Tensor:
        h = self.norm1(x)
        x = x + self.attn(h, context if self.cross else h)
        return x + self.mlp(self.norm2(x))


class ActionExpert:
    """actions (batch, chunk, action_dim), time (batch, 1, time_dim), context (batch, positions, context_dim)
    to the next action chunk (batch, chunk, action_dim)."""

    def __init__(self, config: dict[str, Any]):
        hidden, every = config["hidden_size"], config["cross_attention_every"]
        self.action_proj = nn.Linear(config["action_dim"], hidden, bias=False)
        self.time_proj = nn.Linear(config["time_dim"], hidden, bias=False)
        self.kv_proj = nn.Linear(config["context_dim"], hidden, bias=False)
        self.layers = [
            Layer(config, cross=i % every == every - 1) for i in range(config["num_hidden_layers"])
        ]
        self.norm = nn.RMSNorm(hidden, config["rms_norm_eps"])
        self.head = nn.Linear(hidden, config["action_dim"], bias=False)

    def __call__(self, actions: Tensor, time: Tensor, context: Tensor) -> Tensor:
        x = self.action_proj(actions) + self.time_proj(time)
        context = self.kv_proj(context)
        for layer in self.layers:
            x = layer(x, context)
        return self.head(self.norm(x))


def build(config: dict[str, Any]) -> ActionExpert:
    """The module of ``config``, with untrained weights."""
    return ActionExpert(config)
