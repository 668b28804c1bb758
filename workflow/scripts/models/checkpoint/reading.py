"""Read a checkpoint's config.json strictly: a key that shapes the computation is known or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def needed(config: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """These keys of ``config`` with their values. Raises ValueError naming those that it lacks."""
    missing = [key for key in keys if config.get(key) is None]
    if missing:
        raise ValueError(f"config.json: {', '.join(missing)} missing; it does not describe the architecture")
    return {key: config[key] for key in keys}


def expect(config: Mapping[str, Any], **values: Any) -> None:
    """Raise ValueError naming the key and both values where ``config`` sets one to something else."""
    for key, value in values.items():
        if config.get(key, value) != value:
            raise ValueError(
                f"config.json: {key} is {config[key]!r}, which the adapters do not implement; "
                f"they implement {value!r}"
            )
