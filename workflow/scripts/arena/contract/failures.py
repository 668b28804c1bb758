"""What failed on a platform, and what measures it again, as ``failures/{platform}.json`` holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from arena.contract import codec
from arena.contract.cell import PartName
from arena.contract.limits import Limits

MB = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A cell that failed, or a task of a cell that otherwise was measured."""

    platform: Annotated[str, "Its name in the configuration"]
    model: Annotated[str, "The model's"]
    row: Annotated[str, "The row's id"]
    task: Annotated[PartName | None, "Which task; null where the whole cell failed"] = None
    code: Annotated[str, "Reason code"]
    detail: Annotated[str, "The reason in words"]
    round: Annotated[int, "The first round in which it did: the one to measure again"]
    record: Annotated[str, "That round's file"]
    limits: Annotated[Limits | None, "Those of that round; null where no process was started"] = None
    prepared: Annotated[list[str], "Records of the cell's weights, reference, exports and build"]

    @property
    def cell(self) -> str:
        """``local/ResNet-50/jax``."""
        return f"{self.platform}/{self.model}/{self.row}"

    def __str__(self) -> str:
        task = f", {self.task}" if self.task else ""
        return f"{self.cell}{task}: {self.code}: {self.detail}"


@dataclass(frozen=True, kw_only=True)
class Failures:
    """All of a platform."""

    schema: Annotated[Literal[1], "Of this record"] = 1
    platform: Annotated[str, "Its name in the configuration"]
    failures: Annotated[list[Failure], "In the order of the table"]
    raised: Annotated[
        dict[str, str],
        "By a round's file, for which raised limit it was measured again: as long as it is so, not again",
    ]


def read(path: Path) -> Failures:
    """The failures in a file. Raises ContractError naming file and key, and saying what to do."""
    try:
        return codec.read(Failures, path)
    except codec.ContractError as error:
        raise codec.ContractError(f"{error}; delete the file and run again") from error


def accepted(failure: Failure, entries: Iterable[Mapping[str, Any]]) -> str | None:
    """Why the configuration accepts a failure (``accepted``); None if it does not."""
    for entry in entries:
        wanted = ("row", "model", "code", "platform", "task")
        if all(entry[key] is None or entry[key] == getattr(failure, key) for key in wanted):
            return str(entry["why"])
    return None


def limit_raised(failure: Failure, timeout_s: float, memory_mb: int) -> str | None:
    """Which limit, at which the failure's process was ended, is higher now, and what it is; None if none is.

    ``timeout_s``, ``memory_mb``: what holds now, in seconds and MB; 0 MB is a share of what is available.
    """
    old = failure.limits
    if old is None:
        return None
    if failure.code == "timeout" and timeout_s > old.timeout_s:
        return f"timeout_s is {timeout_s:g}"
    if failure.code == "out-of-memory":
        if memory_mb * MB > old.memory_bytes:
            return f"memory_limit_mb is {memory_mb}"
        if not memory_mb and old.memory_mb:
            return "memory_limit_mb is a share of what is available"
    return None
