"""Tensors of Whisper's encoder and decoder with a tied head, under Hugging Face's names."""

from __future__ import annotations

from typing import Any

from arena.weights.seeded import Spec
from models.spec import initialisation as init


def tensors(config: dict[str, Any]) -> dict[str, Spec]:
    """Name, shape and initialisation of every tensor; linear weights are (out, in), convolutions OIL.

    Raises ValueError if ``config`` asks for a variant of Whisper that is not implemented.
    """
    init.require(config, activation_function="gelu", scale_embedding=False, tie_word_embeddings=True)
    width, encoder, decoder = config["d_model"], "model.encoder", "model.decoder"
    specs = {
        f"{encoder}.conv1.weight": init.weight(width, config["num_mel_bins"], 3),
        f"{encoder}.conv1.bias": init.bias(width),
        f"{encoder}.conv2.weight": init.weight(width, width, 3, gain=init.RELU_GAIN),
        f"{encoder}.conv2.bias": init.bias(width),
        # the checkpoint's sinusoids have this spread
        f"{encoder}.embed_positions.weight": Spec((config["max_source_positions"], width), 0.5**0.5),
    }
    stream, damping = f"{encoder}.stream", init.residual_gain(2 * config["encoder_layers"])
    for index in range(config["encoder_layers"]):
        layer = f"{encoder}.layers.{index}"
        specs |= _attention(f"{layer}.self_attn", width, damping, stream)
        specs |= _feed_forward(layer, width, config["encoder_ffn_dim"], damping, stream)
    specs |= _layer_norm(f"{encoder}.layer_norm", width)

    specs |= {
        # four positions: what moves all logits of one together would be most of their errors
        f"{decoder}.embed_tokens.weight": init.embedding(config["vocab_size"], width, share=0.0),
        f"{decoder}.embed_positions.weight": init.positions(config["max_target_positions"], width),
    }
    stream, damping = f"{decoder}.stream", init.residual_gain(3 * config["decoder_layers"])
    for index in range(config["decoder_layers"]):
        layer = f"{decoder}.layers.{index}"
        specs |= _attention(f"{layer}.self_attn", width, damping, stream)
        specs |= _attention(f"{layer}.encoder_attn", width, damping, stream)
        specs |= _feed_forward(layer, width, config["decoder_ffn_dim"], damping, stream)
    return specs | {
        f"{decoder}.layer_norm.weight": init.final_norm_weight(width),
        f"{decoder}.layer_norm.bias": init.bias(width),
    }


def _attention(name: str, width: int, damping: float, stream: str) -> dict[str, Spec]:
    # no bias for the keys: it would add the same score to every key, which the softmax cancels
    return {
        f"{name}.q_proj.weight": init.weight(width, width, gain=init.QUERY_KEY_GAIN, eighths=init.HEADS),
        f"{name}.q_proj.bias": init.bias(width),
        f"{name}.k_proj.weight": init.weight(width, width, gain=init.QUERY_KEY_GAIN, eighths=init.HEADS),
        f"{name}.v_proj.weight": init.weight(width, width, eighths=init.HEADS),
        f"{name}.v_proj.bias": init.bias(width),
        f"{name}.out_proj.weight": init.writing(width, width, gain=damping, stream=stream),
        f"{name}.out_proj.bias": init.bias(width),
        **_layer_norm(f"{name}_layer_norm", width),
    }


def _feed_forward(layer: str, width: int, inner: int, damping: float, stream: str) -> dict[str, Spec]:
    return {
        f"{layer}.fc1.weight": init.weight(inner, width, gain=init.RELU_GAIN),
        f"{layer}.fc1.bias": init.bias(inner),
        f"{layer}.fc2.weight": init.writing(width, inner, gain=damping, stream=stream),
        f"{layer}.fc2.bias": init.bias(width),
        **_layer_norm(f"{layer}.final_layer_norm", width),
    }


def _layer_norm(name: str, width: int) -> dict[str, Spec]:
    return {f"{name}.weight": init.norm_weight(width), f"{name}.bias": init.bias(width)}
