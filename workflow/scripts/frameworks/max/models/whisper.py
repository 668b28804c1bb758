"""Whisper, encoder and decoder (Radford et al. 2022), with Hugging Face's names and a tied head."""

from __future__ import annotations

import functools

from max.graph import TensorValue, ops

from frameworks.max.models.graph import Params, Repeated
from frameworks.max.models.layers import (
    attention,
    causal_mask,
    conv1d,
    heads,
    layer_norm,
    linear,
    positions_of,
    project,
)

LAYER_NORM_EPS = 1e-5  # fixed in Hugging Face's code (PyTorch's default), not in config.json


def _attend(
    params: Params,
    name: str,
    x: TensorValue,
    source: TensorValue,
    count: int,
    mask: TensorValue | None = None,
) -> TensorValue:
    """Attention of ``count`` heads from ``x`` to ``source``; the keys alone have no bias."""
    q = heads(linear(params, f"{name}.q_proj", x, bias=True), count)
    k = heads(linear(params, f"{name}.k_proj", source), count)
    v = heads(linear(params, f"{name}.v_proj", source, bias=True), count)
    return linear(params, f"{name}.out_proj", attention(q, k, v, mask), bias=True)


def _mlp(params: Params, x: TensorValue) -> TensorValue:
    h = layer_norm(params, "final_layer_norm", x, LAYER_NORM_EPS)
    h = ops.gelu(linear(params, "fc1", h, bias=True))
    return x + linear(params, "fc2", h, bias=True)


def _encoder_layer(params: Params, x: TensorValue, count: int) -> TensorValue:
    h = layer_norm(params, "self_attn_layer_norm", x, LAYER_NORM_EPS)
    return _mlp(params, x + _attend(params, "self_attn", h, h, count))


def _decoder_layer(
    params: Params, x: TensorValue, states: TensorValue, mask: TensorValue, count: int
) -> TensorValue:
    h = layer_norm(params, "self_attn_layer_norm", x, LAYER_NORM_EPS)
    x = x + _attend(params, "self_attn", h, h, count, mask)
    h = layer_norm(params, "encoder_attn_layer_norm", x, LAYER_NORM_EPS)
    return _mlp(params, x + _attend(params, "encoder_attn", h, states, count))


def encode(params: Params, config: dict, input_features: TensorValue) -> TensorValue:
    """Encoder states float32 (batch, frames / 2, d_model) of a mel spectrogram (batch, mels, frames)."""
    x = ops.permute(input_features, [0, 2, 1])
    x = ops.gelu(conv1d(params, "model.encoder.conv1", x, padding=1))
    x = ops.gelu(conv1d(params, "model.encoder.conv2", x, stride=2, padding=1))
    x = x + params["model.encoder.embed_positions.weight"]
    block = functools.partial(_encoder_layer, count=config["encoder_attention_heads"])
    layer = Repeated(block, params, "model.encoder.layers.0", [x])
    for i in range(config["encoder_layers"]):
        x = layer(f"model.encoder.layers.{i}", x)
    return layer_norm(params, "model.encoder.layer_norm", x, LAYER_NORM_EPS)


def forward(
    params: Params, config: dict, input_features: TensorValue, decoder_input_ids: TensorValue
) -> TensorValue:
    """Logits float32 (batch, positions, vocabulary).

    input_features float32 (batch, mels, frames), frames twice the encoder's positions;
    decoder_input_ids int64 (batch, positions).
    """
    states = encode(params, config, input_features)
    embedding = params["model.decoder.embed_tokens.weight"]
    positions = positions_of(decoder_input_ids)
    mask = causal_mask(decoder_input_ids.shape[1], decoder_input_ids.device)
    x = ops.gather(embedding, decoder_input_ids, axis=0)
    x = x + ops.gather(params["model.decoder.embed_positions.weight"], positions, axis=0)
    block = functools.partial(_decoder_layer, count=config["decoder_attention_heads"])
    layer = Repeated(block, params, "model.decoder.layers.0", [x, states, mask])
    for i in range(config["decoder_layers"]):
        x = layer(f"model.decoder.layers.{i}", x, states, mask)
    return project(layer_norm(params, "model.decoder.layer_norm", x, LAYER_NORM_EPS), embedding)
