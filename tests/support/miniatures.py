"""Every model that config/test.yaml shrinks, as shipped and in miniature: the same code paths.

A model is in every test that goes through MODELS by having sizes there, and by that alone.
"""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import make_inputs
import seed_weights
from arena.configuration import frameworks, loader

ROOT = Path(__file__).resolve().parents[2]
CATALOGUES = loader.catalogues(ROOT)
OVERRIDES = yaml.safe_load((ROOT / "config" / "test.yaml").read_text(encoding="utf-8"))["models"]
MODELS = tuple(OVERRIDES)


def of(framework: str) -> tuple[str, ...]:
    """The models of which a framework has a definition, and that its file does not leave out.

    A run with one that is neither there nor left out is refused before it begins, and so is the miniature.
    """
    entry = {"unsupported": {}} | CATALOGUES["frameworks"][framework]
    folder = ROOT / frameworks.FOLDERS / framework / "models"
    known = {name: CATALOGUES["models"][name]["definition"] for name in MODELS}
    return tuple(
        name
        for name, definition in known.items()
        if (folder / f"{definition}.py").is_file() and not frameworks.model_reason(entry, name, definition)
    )


def merged(base: Any, override: Any) -> Any:
    """``override`` over ``base``: mappings key by key, anything else replaced."""
    if not (isinstance(base, dict) and isinstance(override, dict)):
        return override
    return base | {key: merged(base.get(key), value) for key, value in override.items()}


@cache
def _full(name: str) -> dict[str, Any]:
    return CATALOGUES["models"][name]


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
