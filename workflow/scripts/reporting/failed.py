"""What failed on a platform, for the run's exit status and for measuring it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from arena.contract.cell import PartName, Reason, TaskName
from arena.contract.failures import Failure
from reporting.outcome import culprit, reason_of, skipped, status
from reporting.rounds import RecordedCell


def failures(cells: Iterable[RecordedCell], prepared: Mapping[str, Sequence[str]]) -> list[Failure]:
    """Cells that failed, and failed tasks of cells that otherwise were measured, in the cells' order.

    ``prepared``: the records of the exports and the build that a cell needs, by MODEL/ROW. What was not begun because
    something before it failed is no failure of its own.
    """
    return [failure for cell in cells for failure in _of_cell(cell, prepared)]


def raised(cells: Iterable[RecordedCell]) -> dict[str, str]:
    """By a round's file, for which raised limit it was measured again."""
    return {
        str(path): record.limits.raised
        for cell in cells
        for path, record in zip(cell.paths, cell.rounds, strict=True)
        if record.limits and record.limits.raised
    }


def _of_cell(cell: RecordedCell, prepared: Mapping[str, Sequence[str]]) -> list[Failure]:
    def failure(index: int, task: PartName | None, why: Reason | None) -> Failure:
        record = cell.rounds[index]
        reason = reason_of(why)
        return Failure(
            platform=record.cell.platform,
            model=cell.model,
            row=cell.row,
            task=task,
            code=reason.code,
            detail=reason.detail,
            round=record.round,
            record=str(cell.paths[index]),
            limits=record.limits,
            prepared=list(prepared.get(f"{cell.model}/{cell.row}", ())),
        )

    if status(cell) in ("failed", "unsupported"):
        index = culprit(cell)
        if index is None or status(cell) != "failed":
            return []
        return [failure(index, None, cell.rounds[index].reason)]
    found = []
    tasks: tuple[TaskName, ...] = get_args(TaskName)
    for task in tasks:
        spoilt = [
            index
            for index, record in enumerate(cell.rounds)
            if task in record.tasks and record.tasks[task].status == "failed" and not skipped(record)
        ]
        found += [failure(spoilt[0], task, cell.rounds[spoilt[0]].tasks[task].reason)] if spoilt else []
    text = cell.rounds[0].quality  # which round 1 alone predicts
    if text is not None and text.status == "failed":
        found.append(failure(0, "quality", text.reason))
    return found
