"""Whisper, encoder and decoder (Radford et al. 2022), with Hugging Face's names and a tied head."""

from __future__ import annotations

import tensorflow as tf

from frameworks.tensorflow.models.layers import Params, attention, conv, heads, layer_norm, linear

LAYER_NORM_EPS = 1e-5  # fixed in Hugging Face's code (PyTorch's default), not in config.json


def _attend(
    params: Params, name: str, x: tf.Tensor, source: tf.Tensor, count: int, causal: bool = False
) -> tf.Tensor:
    """Attention of ``count`` heads from ``x`` to ``source``; the keys alone have no bias."""
    q = heads(linear(params, f"{name}.q_proj", x, bias=True), count)
    k = heads(linear(params, f"{name}.k_proj", source), count)
    v = heads(linear(params, f"{name}.v_proj", source, bias=True), count)
    return linear(params, f"{name}.out_proj", attention(q, k, v, causal=causal), bias=True)


def _mlp(params: Params, layer: str, x: tf.Tensor) -> tf.Tensor:
    h = layer_norm(params, f"{layer}.final_layer_norm", x, LAYER_NORM_EPS)
    h = tf.nn.gelu(linear(params, f"{layer}.fc1", h, bias=True))
    return x + linear(params, f"{layer}.fc2", h, bias=True)


def encode(params: Params, config: dict, input_features: tf.Tensor) -> tf.Tensor:
    """Encoder states (batch, frames / 2, d_model) of a mel spectrogram (batch, mels, frames)."""
    x = tf.transpose(input_features, (0, 2, 1))
    x = tf.nn.gelu(conv(params, "model.encoder.conv1", x, padding=1, bias=True))
    x = tf.nn.gelu(conv(params, "model.encoder.conv2", x, stride=2, padding=1, bias=True))
    x = x + params["model.encoder.embed_positions.weight"]
    for i in range(config["encoder_layers"]):
        layer = f"model.encoder.layers.{i}"
        h = layer_norm(params, f"{layer}.self_attn_layer_norm", x, LAYER_NORM_EPS)
        x = x + _attend(params, f"{layer}.self_attn", h, h, config["encoder_attention_heads"])
        x = _mlp(params, layer, x)
    return layer_norm(params, "model.encoder.layer_norm", x, LAYER_NORM_EPS)


def forward(
    params: Params, config: dict, input_features: tf.Tensor, decoder_input_ids: tf.Tensor
) -> tf.Tensor:
    """Logits (batch, positions, vocabulary).

    input_features (batch, mels, frames), frames twice the encoder's positions;
    decoder_input_ids integers (batch, positions).
    """
    states = encode(params, config, input_features)
    embedding = params["model.decoder.embed_tokens.weight"]
    count = config["decoder_attention_heads"]
    x = tf.gather(embedding, decoder_input_ids)
    x = x + params["model.decoder.embed_positions.weight"][: x.shape[1]]
    for i in range(config["decoder_layers"]):
        layer = f"model.decoder.layers.{i}"
        h = layer_norm(params, f"{layer}.self_attn_layer_norm", x, LAYER_NORM_EPS)
        x = x + _attend(params, f"{layer}.self_attn", h, h, count, causal=True)
        h = layer_norm(params, f"{layer}.encoder_attn_layer_norm", x, LAYER_NORM_EPS)
        x = x + _attend(params, f"{layer}.encoder_attn", h, states, count)
        x = _mlp(params, layer, x)
    x = layer_norm(params, "model.decoder.layer_norm", x, LAYER_NORM_EPS)
    return tf.tensordot(x, tf.transpose(embedding), 1)
