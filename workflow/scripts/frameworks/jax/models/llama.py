"""LLaMA (Touvron et al. 2023) with Hugging Face's names: RMSNorm, half-split RoPE, GQA, SwiGLU, tied head."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from frameworks.jax.models.layers import (
    Params,
    attention,
    heads,
    linear,
    rms_norm,
    rope_tables,
    rotate,
    swiglu,
)

Cache = list[tuple[jax.Array, jax.Array]]  # each layer's keys and values, (batch, length, heads, head_dim)
Attend = Callable[[int, jax.Array, jax.Array, jax.Array], jax.Array]  # layer, q, k, v -> attended


def _states(
    params: Params, config: dict, input_ids: jax.Array, cos: jax.Array, sin: jax.Array, attend: Attend
) -> jax.Array:
    """Normalised hidden states (batch, positions, hidden). The tables are (positions, 1, head_dim / 2)."""
    count, kv_count = config["num_attention_heads"], config["num_key_value_heads"]
    eps = config["rms_norm_eps"]

    # A Python loop, not lax.scan over stacked layers: scan compiles in a third of the time, but slicing
    # each layer out of the stack makes the one-token pass half as slow again on the CPU.
    x = params["model.embed_tokens.weight"][input_ids]
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        h = rms_norm(params, f"{layer}.input_layernorm", x, eps)
        q = rotate(heads(linear(params, f"{layer}.self_attn.q_proj", h), count), cos, sin)
        k = rotate(heads(linear(params, f"{layer}.self_attn.k_proj", h), kv_count), cos, sin)
        v = heads(linear(params, f"{layer}.self_attn.v_proj", h), kv_count)
        x = x + linear(params, f"{layer}.self_attn.o_proj", attend(i, q, k, v))
        x = x + swiglu(params, f"{layer}.mlp", rms_norm(params, f"{layer}.post_attention_layernorm", x, eps))
    return rms_norm(params, "model.norm", x, eps)


def _logits(params: Params, states: jax.Array) -> jax.Array:
    return states @ params["model.embed_tokens.weight"].T


def forward(params: Params, config: dict, input_ids: jax.Array) -> jax.Array:
    """Logits (batch, positions, vocabulary) of integer ``input_ids`` (batch, positions)."""
    tables = rope_tables(input_ids.shape[1], config["head_dim"], config["rope_theta"])
    return _logits(
        params,
        _states(params, config, input_ids, *tables, lambda _, q, k, v: attention(q, k, v, causal=True)),
    )


def prefill(params: Params, config: dict, input_ids: jax.Array, length: int) -> tuple[jax.Array, Cache]:
    """Logits (batch, vocabulary) after the prompt (batch, positions), and a cache for ``length`` positions
    whose first ones are the prompt's."""
    cache = []

    def attend(_: int, q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        free = ((0, 0), (0, length - k.shape[1]), (0, 0), (0, 0))
        cache.append((jnp.pad(k, free), jnp.pad(v, free)))
        return attention(q, k, v, causal=True)

    tables = rope_tables(input_ids.shape[1], config["head_dim"], config["rope_theta"])
    states = _states(params, config, input_ids, *tables, attend)
    return _logits(params, states[:, -1]), cache


def step(
    params: Params, config: dict, token: jax.Array, position: jax.Array, cache: Cache
) -> tuple[jax.Array, Cache]:
    """Logits (batch, vocabulary) after ``token`` (batch, 1) at ``position`` (), and the cache with it in.

    Donate the cache where this is compiled, so that it is written in place.
    """
    updated = []

    def attend(layer: int, q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        keys, values = (
            lax.dynamic_update_slice_in_dim(old, new, position, axis=1)
            for old, new in zip(cache[layer], (k, v), strict=True)
        )
        updated.append((keys, values))
        return attention(q, keys, values, used=jnp.full(q.shape[0], position + 1))

    tables = rope_tables(cache[0][0].shape[1], config["head_dim"], config["rope_theta"])
    cos, sin = (lax.dynamic_slice_in_dim(table, position, 1) for table in tables)
    states = _states(params, config, token, cos, sin, attend)
    return _logits(params, states[:, -1]), updated
