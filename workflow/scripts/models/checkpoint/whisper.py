"""Hugging Face's ``WhisperConfig`` → the keys of ``models/spec/whisper.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.checkpoint import reading

KEYS = (
    "d_model",
    "encoder_layers",
    "encoder_attention_heads",
    "encoder_ffn_dim",
    "decoder_layers",
    "decoder_attention_heads",
    "decoder_ffn_dim",
    "vocab_size",
    "num_mel_bins",
    "max_source_positions",
    "max_target_positions",
)


def architecture(config: Mapping[str, Any]) -> dict[str, Any]:
    """Every key of the arena's config.json but ``definition``.

    Raises ValueError naming key and values where ``config`` is no Whisper, lacks a size, or asks for a
    variant that the definition does not implement.
    """
    if config.get("model_type") != "whisper":
        raise ValueError(f"config.json: model_type is {config.get('model_type')!r}; expected 'whisper'")
    fixed = {"activation_function": "gelu", "scale_embedding": False, "tie_word_embeddings": True}
    reading.expect(config, **fixed)
    return reading.needed(config, *KEYS) | fixed
