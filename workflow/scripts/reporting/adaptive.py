"""How many rounds a cell gets after the planned ones: as many as its own spread asks for, and no more.

Only the width of a cell's interval decides, never whether it differs from another: to stop when a difference shows
would find differences that are not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import get_args

import numpy as np

from arena.contract.cell import TaskName
from arena.contract.decision import Decided, Decision
from arena.contract.round import Round
from reporting.intervals.model import Model
from reporting.timing import JUDGED_WELL

Planned = Mapping[str, list[Round]]  # by MODEL/ROW, its planned rounds in order
Verdicts = Mapping[str, str | None]  # by MODEL/ROW, the gate's on those


def decide(
    cells: Planned,
    verdicts: Verdicts,
    platform: str,
    planned: int,
    max_rounds: int,
    target: float,
    earlier: Decision | None = None,
    max_seconds: float | None = None,
) -> Decision:
    """What each cell gets: at most ``max_rounds``, and all of them together at most ``max_seconds`` beyond the planned
    ones, the widest first. What ``earlier`` says holds on where settings, planned rounds and whether the gate lets the
    times count are those of then.

    Raises ValueError naming the cell if it has not its ``planned`` rounds, or no verdict.
    """
    for name, records in cells.items():
        numbers = [record.round for record in records]
        if numbers != list(range(1, planned + 1)):
            raise ValueError(f"{name}: rounds {numbers}; expected 1 to {planned}, each once")
        if name not in verdicts:
            raise ValueError(f"{name}: no verdict on its rounds; give one")
    fresh = Decision(
        platform=platform,
        planned=planned,
        max_rounds=max_rounds,
        target=target,
        max_seconds=max_seconds,
        cells={},
    )
    judged = {name: verdicts[name] in JUDGED_WELL for name in cells}
    kept: dict[str, Decided] = {}
    if earlier and _settings(earlier) == _settings(fresh):
        kept = {
            name: decided
            for name, decided in earlier.cells.items()
            if name not in cells or (decided.started, decided.judged) == (_started(cells[name]), judged[name])
        }
    spent = sum(_extra_seconds(cells[name], decided) for name, decided in kept.items() if name in cells)
    halves, needed = _widths(cells, target)
    for name in sorted(cells, key=lambda name: -max(halves.get(name, {"": 0.0}).values())):
        records = cells[name]
        if name not in kept:
            bad = _bad(records, verdicts[name])
            decided = (
                _decided(records, halves.get(name, {}), needed.get(name, {}), max_rounds, target)
                if bad is None
                else Decided(rounds=planned, why=bad, half_widths={}, started=_started(records), judged=False)
            )
            if max_seconds is not None and spent + _extra_seconds(records, decided) > max(max_seconds, spent):
                why = f"{decided.why}; the {max_seconds:g} s of all further rounds do not reach it"
                decided = replace(decided, rounds=planned, why=why)
            spent += _extra_seconds(records, decided)
            kept[name] = decided
    return replace(fresh, cells=dict(sorted(kept.items())))


def _bad(records: list[Round], verdict: str | None) -> str | None:
    """Why more rounds of a cell would be of no use, None if they would."""
    status = next((record.status for record in records if record.status != "ok"), None)
    if status:
        return f"{status}: no further rounds"
    return None if verdict in JUDGED_WELL else f"its outputs are {verdict or 'not judged'}: no further rounds"


def _extra_seconds(records: list[Round], decided: Decided) -> float:
    """How long the rounds beyond these take, if each takes as long as the last one."""
    return (decided.rounds - len(records)) * (records[-1].duration_s or 0.0)


def _settings(decision: Decision) -> tuple[str, int, int, float, float | None]:
    return decision.platform, decision.planned, decision.max_rounds, decision.target, decision.max_seconds


def _started(records: Iterable[Round]) -> list[str]:
    return [record.started for record in records]


def _widths(cells: Planned, target: float) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]]]:
    """By cell and task: half of the interval, and how many processes would bring it to the target."""
    halves: dict[str, dict[str, float]] = {}
    needed: dict[str, dict[str, int]] = {}
    for task in get_args(TaskName):
        medians = {name: found for name, records in cells.items() if (found := _medians(records, task))}
        model = Model(medians, {name: cells[name][0].cell.lane for name in medians})
        for name in medians:
            half, processes = model.own_half(name), model.processes(name, target)
            if half is not None and processes is not None:
                halves.setdefault(name, {})[task] = half
                needed.setdefault(name, {})[task] = processes
    return halves, needed


def _medians(records: list[Round], task: TaskName) -> list[float] | None:
    """Of each process; None where the cell or the task did not end well in all of them."""
    results = [record.tasks.get(task) for record in records if record.status == "ok"]
    if len(results) < len(records):
        return None
    found = [
        result.samples_ns for result in results if result and result.status == "ok" and result.samples_ns
    ]
    return [float(np.median(samples)) for samples in found] if len(found) == len(records) else None


def _decided(
    records: list[Round],
    halves: dict[str, float],
    needed: dict[str, int],
    max_rounds: int,
    target: float,
) -> Decided:
    planned = len(records)
    wide = {task: half for task, half in halves.items() if needed[task] > planned}
    if not wide:
        why = f"no task is over ± {_percent(target)}" if halves else "nothing was timed"
        return Decided(rounds=planned, why=why, half_widths=halves, started=_started(records), judged=True)
    asked = max(needed[task] for task in wide)
    why = ", ".join(f"{task} ± {_percent(half)}" for task, half in wide.items())
    why += f" after {planned} rounds, over ± {_percent(target)}: {asked} rounds would do"
    if asked > max_rounds:
        why += f", {max_rounds} are allowed"
    return Decided(
        rounds=min(asked, max_rounds),
        why=why,
        half_widths=halves,
        started=_started(records),
        judged=True,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
