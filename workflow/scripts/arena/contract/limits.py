"""The limits of a measuring process, as a round and an account of what failed hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True, kw_only=True)
class Limits:
    """At which a process was to be ended."""

    timeout_s: Annotated[float, "Seconds"]
    memory_mb: Annotated[int, "MB, as asked; 0: a share of what was available"]
    memory_bytes: Annotated[int, "That which applied, in bytes"]
    raised: Annotated[
        str, "For which limit, higher than before, the round was measured again; empty for none"
    ] = ""
