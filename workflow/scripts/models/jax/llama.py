"""LLaMA (Touvron et al. 2023) with Hugging Face's names: RMSNorm, half-split RoPE, GQA, SwiGLU, tied head."""

from __future__ import annotations

import jax

from models.jax.layers import (
    Params,
    attention,
    heads,
    linear,
    rms_norm,
    rope_tables,
    rotate,
    strict_float32,
    swiglu,
)


@strict_float32
def forward(params: Params, config: dict, input_ids: jax.Array) -> jax.Array:
    """Logits float32 (batch, positions, vocabulary) of integer ``input_ids`` (batch, positions)."""
    count, kv_count = config["num_attention_heads"], config["num_key_value_heads"]
    eps = config["rms_norm_eps"]
    cos, sin = rope_tables(input_ids.shape[1], config["head_dim"], config["rope_theta"])
    embedding = params["model.embed_tokens.weight"]

    # A Python loop, not lax.scan over stacked layers: scan compiles in a third of the time, but slicing
    # each layer out of the stack makes the one-token pass half as slow again on the CPU.
    x = embedding[input_ids]
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        h = rms_norm(params, f"{layer}.input_layernorm", x, eps)
        q = rotate(heads(linear(params, f"{layer}.self_attn.q_proj", h), count), cos, sin)
        k = rotate(heads(linear(params, f"{layer}.self_attn.k_proj", h), kv_count), cos, sin)
        v = heads(linear(params, f"{layer}.self_attn.v_proj", h), kv_count)
        x = x + linear(params, f"{layer}.self_attn.o_proj", attention(q, k, v, causal=True))
        x = x + swiglu(params, f"{layer}.mlp", rms_norm(params, f"{layer}.post_attention_layernorm", x, eps))
    return rms_norm(params, "model.norm", x, eps) @ embedding.T
