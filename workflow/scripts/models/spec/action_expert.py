"""Tensors of SmolVLA's action expert: self- and cross-attention layers in turn, no biases."""

from __future__ import annotations

from typing import Any

from arena.weights.seeded import Spec
from models.spec import initialisation as init


def tensors(config: dict[str, Any]) -> dict[str, Spec]:
    """Name, shape and initialisation of every tensor; linear weights are (out, in)."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    damping = init.residual_gain(2 * config["num_hidden_layers"])
    specs = {
        "action_proj.weight": init.weight(hidden, config["action_dim"]),
        "time_proj.weight": init.weight(hidden, config["time_dim"]),
        "kv_proj.weight": init.weight(hidden, config["context_dim"]),
    }
    for index in range(config["num_hidden_layers"]):
        layer = f"layers.{index}"
        specs |= {
            f"{layer}.norm1.weight": init.norm_weight(hidden),
            f"{layer}.attn.q_proj.weight": init.weight(
                queries, hidden, gain=init.QUERY_KEY_GAIN, eighths=init.HEADS
            ),
            f"{layer}.attn.k_proj.weight": init.weight(
                keys, hidden, gain=init.QUERY_KEY_GAIN, eighths=init.HEADS
            ),
            f"{layer}.attn.v_proj.weight": init.weight(keys, hidden, eighths=init.HEADS),
            f"{layer}.attn.o_proj.weight": init.writing(hidden, queries, gain=damping, stream="stream"),
            f"{layer}.norm2.weight": init.norm_weight(hidden),
            f"{layer}.mlp.gate_proj.weight": init.gated(inner, hidden, layer),
            f"{layer}.mlp.up_proj.weight": init.gated(inner, hidden, layer),
            f"{layer}.mlp.down_proj.weight": init.writing(hidden, inner, gain=damping, stream="stream"),
        }
    return specs | {
        "norm.weight": init.norm_weight(hidden),
        "head.weight": init.weight(config["action_dim"], hidden),
    }
