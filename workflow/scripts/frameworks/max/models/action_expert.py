"""SmolVLA's action expert (Shukor et al. 2025): layers of self-attention to the actions and of
cross-attention to the context in turn, without mask or position embedding."""

from __future__ import annotations

from max.graph import TensorValue

from frameworks.max.models.graph import Params, Repeated
from frameworks.max.models.layers import attention, heads, linear, rms_norm, swiglu


def forward(
    params: Params, config: dict, actions: TensorValue, time: TensorValue, context: TensorValue
) -> TensorValue:
    """The next action chunk, float32 (batch, chunk, action_dim).

    All float32: actions (batch, chunk, action_dim), time (batch, 1, time_dim) added to every action,
    context (batch, positions, context_dim).
    """
    count, kv_count = config["num_attention_heads"], config["num_key_value_heads"]
    eps, every = config["rms_norm_eps"], config["cross_attention_every"]

    def layer(own: Params, x: TensorValue, context: TensorValue | None = None) -> TensorValue:
        """Attention from ``x`` to ``context``, or to itself, and the feed-forward."""
        h = rms_norm(own, "norm1", x, eps)
        source = h if context is None else context
        q = heads(linear(own, "attn.q_proj", h), count)
        k = heads(linear(own, "attn.k_proj", source), kv_count)
        v = heads(linear(own, "attn.v_proj", source), kv_count)
        x = x + linear(own, "attn.o_proj", attention(q, k, v))
        return x + swiglu(own, "mlp", rms_norm(own, "norm2", x, eps))

    x = linear(params, "action_proj", actions) + linear(params, "time_proj", time)
    kv = linear(params, "kv_proj", context)
    blocks: dict[int, Repeated] = {}
    for i in range(config["num_hidden_layers"]):
        inputs = (x, kv) if i % every == every - 1 else (x,)
        if len(inputs) not in blocks:
            blocks[len(inputs)] = Repeated(layer, params, f"layers.{i}", inputs)
        x = blocks[len(inputs)](f"layers.{i}", *inputs)
    return linear(params, "head", rms_norm(params, "norm", x, eps))
