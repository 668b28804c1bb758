"""Tensors of a LLaMA decoder with grouped-query attention and a tied head, under Hugging Face's names."""

from __future__ import annotations

from typing import Any

from arena.weights.seeded import Spec
from models.spec import initialisation as init


def tensors(config: dict[str, Any]) -> dict[str, Spec]:
    """Name, shape and initialisation of every tensor; linear weights are (out, in).

    Raises ValueError if ``config`` asks for a variant of LLaMA that is not implemented.
    """
    init.require(config, hidden_act="silu", tie_word_embeddings=True, attention_bias=False, mlp_bias=False)
    init.require(config, rope_scaling=None, rope_interleaved=False)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    damping = init.residual_gain(2 * config["num_hidden_layers"])
    specs = {"model.embed_tokens.weight": init.embedding(config["vocab_size"], hidden)}
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}"
        specs |= {
            f"{layer}.input_layernorm.weight": init.norm_weight(hidden),
            f"{layer}.self_attn.q_proj.weight": init.weight(
                queries, hidden, gain=init.QUERY_KEY_GAIN, eighths=init.HEADS
            ),
            f"{layer}.self_attn.k_proj.weight": init.weight(
                keys, hidden, gain=init.QUERY_KEY_GAIN, eighths=init.HEADS
            ),
            f"{layer}.self_attn.v_proj.weight": init.weight(keys, hidden, eighths=init.HEADS),
            f"{layer}.self_attn.o_proj.weight": init.writing(hidden, queries, gain=damping, stream="stream"),
            f"{layer}.post_attention_layernorm.weight": init.norm_weight(hidden),
            f"{layer}.mlp.gate_proj.weight": init.gated(inner, hidden, layer),
            f"{layer}.mlp.up_proj.weight": init.gated(inner, hidden, layer),
            f"{layer}.mlp.down_proj.weight": init.writing(hidden, inner, gain=damping, stream="stream"),
        }
    return specs | {"model.norm.weight": init.final_norm_weight(hidden)}
