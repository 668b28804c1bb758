"""LLaMA (Touvron et al. 2023) with Hugging Face's names: RMSNorm, half-split RoPE, GQA, SwiGLU, tied head."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from frameworks.tensorflow.models.layers import (
    Params,
    attention,
    heads,
    linear,
    rms_norm,
    rope_tables,
    rotate,
    swiglu,
)

Caches = list[tuple[tf.Variable, tf.Variable]]  # each layer's keys and values, (1, length, heads, head_dim)
Attend = Callable[[int, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]  # layer, q, k, v -> attended


def _states(
    params: Params, config: dict, input_ids: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor, attend: Attend
) -> tf.Tensor:
    """Normalised hidden states (batch, positions, hidden). The tables are (positions, 1, head_dim / 2)."""
    count, kv_count = config["num_attention_heads"], config["num_key_value_heads"]
    eps = config["rms_norm_eps"]
    x = tf.gather(params["model.embed_tokens.weight"], input_ids)
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        h = rms_norm(params, f"{layer}.input_layernorm", x, eps)
        q = rotate(heads(linear(params, f"{layer}.self_attn.q_proj", h), count), cos, sin)
        k = rotate(heads(linear(params, f"{layer}.self_attn.k_proj", h), kv_count), cos, sin)
        v = heads(linear(params, f"{layer}.self_attn.v_proj", h), kv_count)
        x = x + linear(params, f"{layer}.self_attn.o_proj", attend(i, q, k, v))
        x = x + swiglu(params, f"{layer}.mlp", rms_norm(params, f"{layer}.post_attention_layernorm", x, eps))
    return rms_norm(params, "model.norm", x, eps)


def _logits(params: Params, states: tf.Tensor) -> tf.Tensor:
    return tf.tensordot(states, tf.transpose(params["model.embed_tokens.weight"]), 1)


def forward(params: Params, config: dict, input_ids: tf.Tensor) -> tf.Tensor:
    """Logits (batch, positions, vocabulary) of integer ``input_ids`` (batch, positions)."""
    tables = rope_tables(input_ids.shape[1], config["head_dim"], config["rope_theta"])
    states = _states(params, config, input_ids, *tables, lambda _, q, k, v: attention(q, k, v, causal=True))
    return _logits(params, states)


def caches_for(config: dict, length: int, dtype: tf.DType) -> Caches:
    """A cache for ``length`` positions of one text. It may be used again: no step looks past its own position."""
    shape = (1, length, config["num_key_value_heads"], config["head_dim"])
    return [
        (tf.Variable(tf.zeros(shape, dtype)), tf.Variable(tf.zeros(shape, dtype)))
        for _ in range(config["num_hidden_layers"])
    ]


def _store(cache: tuple[tf.Variable, tf.Variable], position: tf.Tensor | int, *new: tf.Tensor) -> None:
    start = tf.stack([0, position, 0, 0])
    for variable, values in zip(cache, new, strict=True):
        variable.assign(xla.dynamic_update_slice(variable, values, start))


def prefill(params: Params, config: dict, input_ids: tf.Tensor, caches: Caches) -> tf.Tensor:
    """Logits (1, vocabulary) after the prompt (1, positions), which is stored in ``caches``."""

    def attend(layer: int, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        _store(caches[layer], 0, k, v)
        return attention(q, k, v, causal=True)

    tables = rope_tables(input_ids.shape[1], config["head_dim"], config["rope_theta"])
    return _logits(params, _states(params, config, input_ids, *tables, attend)[:, -1])


def step(params: Params, config: dict, token: tf.Tensor, position: tf.Tensor, caches: Caches) -> tf.Tensor:
    """Logits (1, vocabulary) after ``token`` (1, 1) at ``position`` () int32, which is stored in ``caches``."""

    def attend(layer: int, q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        _store(caches[layer], position, k, v)
        keys, values = (tf.convert_to_tensor(variable) for variable in caches[layer])
        return attention(q, keys, values, used=position + 1)

    tables = rope_tables(caches[0][0].shape[1], config["head_dim"], config["rope_theta"])
    cos, sin = (tf.gather(table, position[None]) for table in tables)
    return _logits(params, _states(params, config, token, cos, sin, attend)[:, -1])
