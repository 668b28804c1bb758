"""LLaMA (Touvron et al. 2023) with Hugging Face's names: RMSNorm, half-split RoPE, GQA, SwiGLU, tied head."""

from __future__ import annotations

from collections.abc import Sequence

from max.dtype import DType
from max.graph import BufferType, BufferValue, DeviceRef, TensorValue, ops

from frameworks.max.models.graph import Params, Repeated
from frameworks.max.models.layers import (
    attention,
    causal_mask,
    heads,
    linear,
    positions_of,
    project,
    rms_norm,
    rope_tables,
    rotate,
    swiglu,
)


def _layer(
    config: dict,
    params: Params,
    x: TensorValue,
    cos: TensorValue,
    sin: TensorValue,
    mask: TensorValue,
    *cache: BufferValue | TensorValue,
) -> TensorValue:
    """One layer over the new positions ``x``; with a ``cache``, over the older ones too.

    A cache is the buffers of keys and of values and the slot, int64 (), of the first new position.
    """
    count, kv_count = config["num_attention_heads"], config["num_key_value_heads"]
    h = rms_norm(params, "input_layernorm", x, config["rms_norm_eps"])
    q = rotate(heads(linear(params, "self_attn.q_proj", h), count), cos, sin)
    k = rotate(heads(linear(params, "self_attn.k_proj", h), kv_count), cos, sin)
    v = heads(linear(params, "self_attn.v_proj", h), kv_count)
    if cache:
        keys, values, first = cache
        k, v = _stored(keys, k, first), _stored(values, v, first)
    x = x + linear(params, "self_attn.o_proj", attention(q, k, v, mask))
    return x + swiglu(params, "mlp", rms_norm(params, "post_attention_layernorm", x, config["rms_norm_eps"]))


def _stored(buffer: BufferValue, new: TensorValue, first: TensorValue) -> TensorValue:
    """All of ``buffer`` (batch, slots, heads, size) after ``new`` went into its slots from ``first`` on."""
    length = new.shape[1]
    slots = (slice(first, first + TensorValue(length)), length)
    ops.buffer_store_slice(buffer, new, [slice(None), slots, slice(None), slice(None)])
    return ops.buffer_load(buffer)


def _states(
    params: Params,
    config: dict,
    input_ids: TensorValue,
    positions: TensorValue,
    mask: TensorValue,
    caches: Sequence[Sequence[BufferValue | TensorValue]],
) -> TensorValue:
    """Normalised hidden states (batch, positions, hidden) of ``input_ids`` at ``positions``."""
    tables = rope_tables(config["max_position_embeddings"], config["head_dim"], config["rope_theta"])
    cos, sin = (
        ops.gather(ops.constant(table, DType.float32, input_ids.device), positions, axis=0)
        for table in tables
    )
    x = ops.gather(params["model.embed_tokens.weight"], input_ids, axis=0)

    def block(own: Params, *inputs: TensorValue) -> TensorValue:
        return _layer(config, own, *inputs)

    layer = Repeated(block, params, "model.layers.0", (x, cos, sin, mask, *caches[0]))
    for i, cache in enumerate(caches):
        x = layer(f"model.layers.{i}", x, cos, sin, mask, *cache)
    return rms_norm(params, "model.norm", x, config["rms_norm_eps"])


def forward(params: Params, config: dict, input_ids: TensorValue) -> TensorValue:
    """Logits float32 (batch, positions, vocabulary) of int64 ``input_ids`` (batch, positions)."""
    positions = positions_of(input_ids)
    without_cache = [()] * config["num_hidden_layers"]
    mask = causal_mask(input_ids.shape[1], input_ids.device)
    states = _states(params, config, input_ids, positions, mask, without_cache)
    return project(states, params["model.embed_tokens.weight"])


def caches(config: dict, slots: int, device: DeviceRef) -> list[BufferType]:
    """Types of every layer's keys and values, float32 (1, slots, heads, size), in turn."""
    shape = (1, slots, config["num_key_value_heads"], config["head_dim"])
    return [BufferType(DType.float32, shape, device)] * (2 * config["num_hidden_layers"])


def generate(
    params: Params, config: dict, input_ids: TensorValue, first: TensorValue, *buffers: BufferValue
) -> TensorValue:
    """The likeliest next token, int64 (1, 1), after int64 ``input_ids`` (1, positions).

    These stand at ``first``, int64 (), and after; what stands before them is in the ``buffers``, which take
    them in. Slots beyond are masked, whatever they hold.
    """
    positions = positions_of(input_ids) + first.to(input_ids.device)
    pairs = zip(buffers[::2], buffers[1::2], strict=True)
    layer_caches = [(keys, values, first) for keys, values in pairs]
    mask = ops.gather(causal_mask(buffers[0].shape[1], input_ids.device), positions, axis=0)
    states = _states(params, config, input_ids, positions, mask, layer_caches)
    logits = project(states[:, -1:], params["model.embed_tokens.weight"])
    return ops.squeeze(ops.argmax(logits, axis=-1), -1)
