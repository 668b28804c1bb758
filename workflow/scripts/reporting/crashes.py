"""What is known of a crash in an engine's own kernels stands beside a cell that ended so: where, and what avoids it.

A framework's file lists them (``crashes``). They are no part of a cell: another wording measures nothing again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from arena.contract.cell import Reason
from arena.contract.round import Round
from reporting.rounds import RecordedCell

CODE = "crashed"
Known = Mapping[str, Any]  # an entry of `crashes`, every key with a value


def explained(cells: Iterable[RecordedCell], known: Mapping[str, Sequence[Known]]) -> list[RecordedCell]:
    """The cells, the reasons of their crashes with what is known of them. ``known``: by the framework's id."""
    return [
        replace(cell, rounds=[_round(record, known.get(record.cell.framework, ())) for record in cell.rounds])
        for cell in cells
    ]


def _round(record: Round, known: Sequence[Known]) -> Round:
    tasks = {
        name: replace(task, reason=_reason(task.reason, record, known)) for name, task in record.tasks.items()
    }
    return replace(record, reason=_reason(record.reason, record, known), tasks=tasks)


def _reason(reason: Reason | None, record: Round, known: Sequence[Known]) -> Reason | None:
    if reason is None or reason.code != CODE:
        return reason
    for entry in known:
        if _fits(entry, reason, record):
            text = (
                f"{reason.detail}. Known: {entry['what']} What avoids it: {entry['avoid']} ({entry['see']})"
            )
            return replace(reason, detail=text)
    return reason


def _fits(entry: Known, reason: Reason, record: Round) -> bool:
    """Whether a crash is the known one: its signal, the row's lane and device, and what was said."""
    return (
        f"killed by {entry['signal']} " in f"{reason.detail} "
        and (not entry["lanes"] or record.cell.lane in entry["lanes"])
        and (not entry["accelerators"] or record.cell.accelerator in entry["accelerators"])
        and (entry["said"] is None or entry["said"] in f"{reason.detail}\n{record.log_tail or ''}")
    )
