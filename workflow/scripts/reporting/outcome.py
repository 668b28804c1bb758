"""How a cell, or one of its tasks, ended: over all rounds, the worst decides."""

from __future__ import annotations

from arena.contract.cell import Reason, TaskName
from arena.contract.round import Round
from reporting.columns import Row
from reporting.rounds import RecordedCell

LOG_LINES = 20  # of a failed round's log that are shown
EXACT = "identical to the float64 reference bit for bit: implausibly exact"


def status(cell: RecordedCell) -> str:
    """``failed`` or ``unsupported`` if any round is, else the gate's verdict."""
    found = {record.status for record in cell.rounds}
    for bad in ("failed", "unsupported"):
        if bad in found:
            return bad
    return str(cell.verdict.verdict)


def culprit(cell: RecordedCell) -> int | None:
    """Index of the round that explains a failed or unsupported cell, None if all are ok."""
    bad = [index for index, record in enumerate(cell.rounds) if record.status == status(cell)]
    # Later rounds of a cell whose first failed say only "skipped".
    telling = [i for i in bad if not skipped(cell.rounds[i])]
    return next(iter(telling or bad), None)


def skipped(record: Round) -> bool:
    """Whether it was not begun because round 1 of its cell did not end well."""
    return record.reason is not None and record.reason.code == "skipped"


def reason_of(reason: Reason | None) -> Reason:
    """A reason's code and detail, also where none was recorded."""
    return reason or Reason(code="error", detail="no reason was recorded")


def exact(cell: RecordedCell) -> list[str]:
    """Tasks whose output is the reference's to the last bit: what is computed in 32 bits rounds otherwise."""
    parts = {"inference": cell.verdict.parts.inference, "latency": cell.verdict.parts.latency}
    return [
        f"{task}: {EXACT}" for task, part in parts.items() if part.relative_l2 == 0 and part.max_error == 0
    ]


def is_exact(row: Row) -> bool:
    """The same of a row of any table."""
    return any(row.get(f"{part}relative_l2") == 0 == row.get(f"{part}max_error") for part in ("", "latency_"))


def task_status(cell: RecordedCell, task: TaskName) -> tuple[str | None, str | None]:
    """Status of one task over all rounds, and its reason: one bad round spoils it.

    (None, None) where the task was not asked for, or the cell's own status says it all.
    """
    if culprit(cell) is not None:
        return None, None
    missing = False
    asked = [record for record in cell.rounds if task in record.cell.protocol.tasks]
    for record in asked:
        result = record.tasks.get(task)
        if result is None:
            missing = True
        elif result.status != "ok":
            reason = reason_of(result.reason)
            return result.status, f"{reason.code}: {reason.detail}"
    if not missing:
        return ("ok", None) if asked else (None, None)
    crashed = any(result.status == "failed" for record in cell.rounds for result in record.tasks.values())
    return ("failed", "skipped: an earlier task failed") if crashed else (None, None)
