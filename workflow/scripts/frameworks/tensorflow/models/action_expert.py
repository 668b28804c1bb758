"""SmolVLA's action expert (Shukor et al. 2025): layers of self-attention to the actions and of
cross-attention to the context in turn, without mask or position embedding."""

from __future__ import annotations

import tensorflow as tf

from frameworks.tensorflow.models.layers import Params, attention, heads, linear, rms_norm, swiglu


def forward(
    params: Params, config: dict, actions: tf.Tensor, time: tf.Tensor, context: tf.Tensor
) -> tf.Tensor:
    """The next action chunk (batch, chunk, action_dim).

    actions (batch, chunk, action_dim), time (batch, 1, time_dim) added to every action,
    context (batch, positions, context_dim).
    """
    count, kv_count = config["num_attention_heads"], config["num_key_value_heads"]
    eps, every = config["rms_norm_eps"], config["cross_attention_every"]
    x = linear(params, "action_proj", actions) + linear(params, "time_proj", time)
    kv = linear(params, "kv_proj", context)
    for i in range(config["num_hidden_layers"]):
        layer = f"layers.{i}"
        h = rms_norm(params, f"{layer}.norm1", x, eps)
        source = kv if i % every == every - 1 else h
        q = heads(linear(params, f"{layer}.attn.q_proj", h), count)
        k = heads(linear(params, f"{layer}.attn.k_proj", source), kv_count)
        v = heads(linear(params, f"{layer}.attn.v_proj", source), kv_count)
        x = x + linear(params, f"{layer}.attn.o_proj", attention(q, k, v))
        x = x + swiglu(params, f"{layer}.mlp", rms_norm(params, f"{layer}.norm2", x, eps))
    return linear(params, "head", rms_norm(params, "norm", x, eps))
