"""How many rounds each cell of a platform gets, and why, as ``adaptive/{platform}.json`` holds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from arena.contract import codec
from arena.contract.codec import Count, Later


@dataclass(frozen=True, kw_only=True)
class Decided:
    """For one cell."""

    rounds: Annotated[Count, "All that it gets, the planned ones among them"]
    why: Annotated[str, "In words"]
    half_widths: Annotated[
        dict[str, float],
        "By task, after the planned rounds: half of the 95 % interval as a share of the time, as far as the cell's "
        "own processes decide it",
    ]
    started: Annotated[
        list[str], "When its planned rounds were: it is decided anew if they are measured again"
    ]
    judged: Annotated[bool, "Whether the gate lets its times count; it is decided anew if that changes"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """For one platform. It stands while these settings do: cells that are measured later take nothing from others."""

    schema: Annotated[Literal[1], "Of this record"] = 1
    platform: Annotated[str, "Its name in the configuration"]
    planned: Annotated[Count, "Rounds that every cell gets"]
    max_rounds: Annotated[Count, "At most so many"]
    target: Annotated[float, "Half-width from which a cell gets more, as a share of the time"]
    max_seconds: Annotated[
        float | None, "How long all further rounds may take together; null is no limit", Later()
    ] = None
    cells: Annotated[dict[str, Decided], "By MODEL/ROW; cells of earlier runs are kept"]


def read(path: Path) -> Decision:
    """The decision in a file. Raises ContractError naming file and key, and saying what to do."""
    try:
        return codec.read(Decision, path)
    except codec.ContractError as error:
        raise codec.ContractError(f"{error}; delete the file and run again") from error
