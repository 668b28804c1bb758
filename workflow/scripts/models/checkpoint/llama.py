"""Hugging Face's ``LlamaConfig`` → the keys of ``models/spec/llama.py``.

Values that the file leaves out are the class's own defaults (transformers, LlamaConfig).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.checkpoint import reading

SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")


def architecture(config: Mapping[str, Any]) -> dict[str, Any]:
    """Every key of the arena's config.json but ``definition``.

    Raises ValueError naming key and values where ``config`` is no LLaMA, lacks a size, or asks for a
    variant that the definition does not implement.
    """
    if config.get("model_type") != "llama":
        raise ValueError(f"config.json: model_type is {config.get('model_type')!r}; expected 'llama'")
    reading.expect(config, hidden_act="silu", attention_bias=False, mlp_bias=False, rope_scaling=None)
    reading.expect(config, rope_interleaved=False)
    if not config.get("tie_word_embeddings", False):
        raise ValueError("config.json: tie_word_embeddings is False; the adapters implement a tied head only")
    sizes = reading.needed(config, *SIZES)
    heads = sizes["num_attention_heads"]
    return {
        **sizes,
        "num_key_value_heads": config.get("num_key_value_heads") or heads,
        "head_dim": config.get("head_dim") or sizes["hidden_size"] // heads,
        "hidden_act": "silu",
        "max_position_embeddings": config.get("max_position_embeddings", 2048),
        "rms_norm_eps": config.get("rms_norm_eps", 1e-6),
        "rope_theta": float(rope_theta(config)),
        "tie_word_embeddings": True,
    }


def rope_theta(config: Mapping[str, Any]) -> float:
    """Base of the rotary embedding. transformers 5 writes it into ``rope_parameters``."""
    rope = config.get("rope_parameters") or {}
    if rope.get("rope_type", "default") != "default":
        raise ValueError(
            f"config.json: rope_parameters.rope_type is {rope['rope_type']!r}, which the adapters do not "
            "implement; they implement 'default'"
        )
    return rope.get("rope_theta", config.get("rope_theta", 10000.0))
