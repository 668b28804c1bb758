"""What build_engine.py recorded of an engine's program, as ``build.json`` holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from arena.contract.cell import Reason
from arena.contract.codec import Count
from arena.contract.measured import Status


@dataclass(frozen=True, kw_only=True)
class Build:
    """How an engine's program was built."""

    flags: Annotated[str, "RUSTFLAGS"]
    features: Annotated[list[str], "Features of its crate"]
    target_cpu: Annotated[str | None, "The compiler's name for the processor"]


@dataclass(frozen=True, kw_only=True)
class Built:
    """A program, or why there is none."""

    status: Annotated[Status, "How the build ended"]
    reason: Annotated[Reason | None, "Why it is not ok"] = None
    version: Annotated[str | None, "The framework's crate's"] = None
    packages: Annotated[dict[str, str], "Versions of the crates that the engine names, and the compiler's"]
    program_bytes: Annotated[Count | None, "Size of the program"] = None
    seconds: Annotated[float, "For how long the build went"]
    build: Annotated[Build | None, "How it was built"] = None
