"""Every model as shipped, and in miniature as config/test.yaml shrinks it: the same code paths."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import make_inputs
import seed_weights

CONFIG = Path(__file__).resolve().parents[2] / "config"
MODELS = ("SmolLM2-135M", "SmolVLA", "StableDiffusion", "ResNet-50", "Whisper-tiny")
OVERRIDES = yaml.safe_load((CONFIG / "test.yaml").read_text(encoding="utf-8"))["models"]


def merged(base: Any, override: Any) -> Any:
    """``override`` over ``base``: mappings key by key, anything else replaced."""
    if not (isinstance(base, dict) and isinstance(override, dict)):
        return override
    return base | {key: merged(base.get(key), value) for key, value in override.items()}


@cache
def _full(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONFIG / "models" / f"{name}.yaml").read_text(encoding="utf-8"))["models"][name]


@cache
def _weights(name: str) -> dict[str, np.ndarray]:
    return seed_weights.generate(model(name))


@cache
def _inputs(name: str) -> dict[str, np.ndarray]:
    return make_inputs.generate(model(name))


def full(name: str) -> dict[str, Any]:
    """The model's mapping as shipped in config/models/; the caller's own, as everything here."""
    return copy.deepcopy(_full(name))


def model(name: str) -> dict[str, Any]:
    """The model's mapping in miniature."""
    return copy.deepcopy(merged(_full(name), OVERRIDES[name]))


def config(name: str) -> dict[str, Any]:
    """The miniature's config.json."""
    return seed_weights.architecture(model(name))


def weights(name: str) -> dict[str, np.ndarray]:
    """The miniature's seeded weights, float32."""
    return {tensor: array.copy() for tensor, array in _weights(name).items()}


def inputs(name: str) -> dict[str, np.ndarray]:
    """The miniature's ``inference.…`` and ``latency.…`` arguments and ``target``."""
    return {tensor: array.copy() for tensor, array in _inputs(name).items()}
