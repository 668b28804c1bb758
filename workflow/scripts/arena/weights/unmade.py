"""Weights that could not be had: what stands in their place, so that the model's cells say why and no others are lost.

The rules promise files, so they are there: no tensors, and a ``config.json`` that holds nothing but the reason. Whoever
reads it makes nothing of it, and passes the reason on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from arena import files

CODE = "no-weights"
KEY = "failed"


def because(detail: str) -> dict[str, str]:
    """The reason, as records have it."""
    return {"code": CODE, "detail": detail}


def config(reason: dict[str, str]) -> dict[str, Any]:
    """The content of a ``config.json`` that stands for a missing one."""
    return {KEY: reason}


def reason(path: Path) -> dict[str, str] | None:
    """Why the weights beside this ``config.json`` were not made; None if they were."""
    found = files.read_json(path)
    why: dict[str, str] | None = found.get(KEY) if isinstance(found, dict) else None
    return why
