"""Weights or a reference that could not be had: what stands in their place, so that the model's cells say why and no
others are lost.

The rules promise files, so they are there: no tensors, and a ``config.json`` or ``reference.json`` that holds nothing
but the reason. Whoever reads it makes nothing of it, and passes the reason on.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from arena import files

CODE = "no-weights"
NO_REFERENCE = "no-reference"
KEY = "failed"


def because(detail: str) -> dict[str, str]:
    """The reason, as records have it."""
    return {"code": CODE, "detail": detail}


def no_reference(detail: str) -> dict[str, str]:
    """The same of a reference."""
    return {"code": NO_REFERENCE, "detail": detail}


def config(reason: dict[str, str]) -> dict[str, Any]:
    """The content of a ``config.json`` or ``reference.json`` that stands for a missing one."""
    return {KEY: reason}


def leave(
    weights: str | os.PathLike[str],
    config_file: str | os.PathLike[str],
    source: str | os.PathLike[str],
    asked: str,
    why: dict[str, str],
) -> None:
    """Write what stands in the place of weights that the configuration has ``asked`` for ("seeded", "hub", …)."""
    from arena import tensors  # which the runner's Python cannot import, and results/retry needs the rest

    tensors.save(weights, {})
    files.write_json(config_file, config(why))
    files.write_json(source, {"kind": "failed", "asked": asked, "reason": why})
    print(f"no weights: {why['detail']}", file=sys.stderr)


def told(error: BaseException) -> str:
    """An exception in one line; of those with which the project's own code tells a user, the words alone."""
    words = " ".join(str(error).split())
    return words if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: {words[:500]}"


def reason(path: Path) -> dict[str, str] | None:
    """Why what this ``config.json`` or ``reference.json`` stands beside was not made; None if it was."""
    found = files.read_json(path)
    why: dict[str, str] | None = found.get(KEY) if isinstance(found, dict) else None
    return why
