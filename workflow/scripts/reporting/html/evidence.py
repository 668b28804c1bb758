"""What stands behind a cell of this run: figures and reasons, samples, verdict, environment, log, command."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arena.contract import round as contract_round
from arena.contract import verdict as contract_verdict
from arena.contract.cell import TaskName
from arena.contract.round import Round
from arena.contract.verdict import Verdict
from arena.judging import verdict as judging
from arena.judging.widening import parted
from reporting import markdown as md
from reporting import series, stated
from reporting.columns import TIMED, Row
from reporting.document.types import Figure, Line

MOST = 400  # samples of one process that are drawn; of more, every k-th is (all count in the figures)
ENVIRONMENT = {
    "version": "Version",
    "backend": "Backend",
    "device": "Device",
    "threads": "Threads given",
    "threads_reported": "Threads reported",
    "cpu": "CPU",
    "cpu_id": "CPU, by its numbers",
    "cores": "Physical cores",
    "memory_gb": "Memory (GB)",
    "kernel": "Kernel",
    "os": "Operating system",
    "python": "Python",
    "commit": "Arena commit",
    "allocations": "Allocations",
    "weights": "Weights",
    "steal_max": "CPU time taken by the hypervisor, at most",
    "load_max": "Load before a round, at most",
}
COSTS = {
    "compile_s": "Compile, cold (s)",
    "compile_warm_s": "Compile, warm (s)",
    "latency_compile_s": "Compile, latency (s)",
    "training_compile_s": "Compile, training (s)",
    "decode_compile_s": "Compile, decode (s)",
    "cold_start_s": "Cold start (s)",
    "restart_s": "Restart (s)",
    "import_s": "Import (s)",
    "load_s": "Load (s)",
    "inference_peak_mb": "Peak memory, inference (MB)",
    "training_peak_mb": "Peak memory, training (MB)",
    "decode_peak_mb": "Peak memory, decode (MB)",
    "footprint_mb": "On disk (MB)",
    **{f"{task}_sampled_s": f"Samples of {task} in a process (s)" for task in TIMED},
    **{f"{task}_worth_s": f"Samples of {task} that are worth it (s)" for task in TIMED},
}

Place = tuple[str, str, str]  # platform, model, row: as in the records and the CSV's platform_id, model, row


def collect(
    lines: Iterable[Line],
    rounds: Iterable[Path],
    validations: Iterable[Path],
    gate: Mapping[str, Mapping[str, float]],
    sentences: Mapping[str, str] | None = None,
) -> tuple[dict[int, str], list[dict[str, Any]]]:
    """(name of the block of evidence by ``id`` of the row, the blocks) of every line of this run that has records.

    ``gate``: the tolerances and close factor by precision; ``sentences``: those that records name by a key.
    Raises ValueError if a file is no such record, or a precision has no tolerances.
    """
    records: dict[Place, list[Round]] = {}
    for record in map(contract_round.read, rounds):
        records.setdefault((record.cell.platform, record.cell.model, record.cell.row), []).append(record)
    verdicts = {
        (each.platform, each.model, each.row): each for each in map(contract_verdict.read, validations)
    }
    names: dict[int, str] = {}
    blocks: list[dict[str, Any]] = []
    for line in lines:
        row = line.row
        place = (line.cell.platform_id, line.cell.model, line.cell.row)
        if line.own and (found := records.get(place)):
            names[id(row)] = f"cell-{len(blocks)}"
            found.sort(key=lambda each: each.round)
            lane = found[0].cell.lane
            if lane not in gate:
                raise ValueError(
                    f"--gate: no precision {lane!r}, which {'/'.join(place)} has; expected its tolerances"
                )
            one = block(f"cell-{len(blocks)}", line, found, verdicts.get(place), gate[lane])
            one["reasons"] = stated.in_full(one["reasons"], sentences or {})
            blocks.append(one)
    return names, blocks


def block(
    name: str, line: Line, records: list[Round], verdict: Verdict | None, tolerances: Mapping[str, float]
) -> dict[str, Any]:
    """One cell's evidence, for the template; ``samples`` (ms) and ``ends`` of the intervals are for the charts."""
    row = line.row
    return {
        "name": name,
        "line": line,
        "row": row,
        "figures": [_reasoned(each) for each in line.all_figures],
        "processes": [each for record in records for each in processes(record)],
        "samples": {task: drawn for task in _tasks(records) if (drawn := _drawn(records, task))},
        "verdict": verdict_lines(verdict, tolerances),
        "ends": {task: ends for task in _tasks(records) if (ends := _ends(row, task))},
        "reasons": verdict.reasons if verdict else [],
        "environment": _named(row, ENVIRONMENT),
        "costs": _named(row, COSTS),
        "packages": sorted((row["packages"] or {}).items()),
        "log": next((record.log_tail for record in records if record.log_tail), None),
        "files": line.source.files,
        "repeat": line.source.command,
        "reason": ": ".join(filter(None, (row["reason_code"], row["reason_detail"]))),
        "tasks": [f"{task}: {row[f'{task}_reason']}" for task in TIMED if row.get(f"{task}_reason")],
    }


def _reasoned(told: Figure) -> dict[str, Any]:
    """A figure with its interval, and why it is marked as it is."""
    return {
        "title": told.quantity.title,
        "text": f"{told.text} {told.quantity.unit}".strip() if told.shown else told.text,
        "interval": md.interval(*told.interval, 4) if told.interval and told.shown else "",
        "why": told.why,
    }


def _named(row: Row, names: dict[str, str]) -> list[tuple[str, str]]:
    values = [(title, row.get(key)) for key, title in names.items()]
    return [
        (title, f"{value:g}" if isinstance(value, float) else value)
        for title, value in values
        if value is not None
    ]


def _tasks(records: list[Round]) -> list[TaskName]:
    return list(dict.fromkeys(task for record in records for task in record.tasks))


def processes(record: Round) -> list[dict[str, Any]]:
    """A line for each task of one process; times in ms."""
    lines = []
    for task, result in record.tasks.items():
        line: dict[str, Any] = {
            "task": task,
            "number": record.round,
            "started": record.started,
            "status": result.status,
        }
        if result.status == "ok":
            times = np.asarray(result.samples_ns) / 1e6
            line |= {
                "samples": times.size,
                "warmup": len(result.warmup_ns or ()),
                "median": md.significant(float(np.median(times)), 4),
                "min": md.significant(float(times.min()), 4),
                "max": md.significant(float(times.max()), 4),
                "level": series.of_process(result.warmup_ns or [], result.samples_ns or []) or "—",
            }
        lines.append(line)
    return lines


def _drawn(records: list[Round], task: TaskName) -> list[list[float]]:
    """Samples in ms of each process, four digits, at most MOST of each."""
    found = []
    for record in records:
        result = record.tasks.get(task)
        if result and result.samples_ns:
            samples = result.samples_ns
            step = -(-len(samples) // MOST)
            found.append([float(f"{value / 1e6:.4g}") for value in samples[::step]])
    return found


def _ends(row: Row, task: TaskName) -> list[float] | None:
    """The interval of the cell's time in ms, where it has one."""
    low, high = row.get(f"{task}_low_ms"), row.get(f"{task}_high_ms")
    return None if low is None or high is None else [low, high]


@dataclass(frozen=True)
class GateLine:
    """A figure of the gate, as text, and where it lies: ``at`` is 1 where it just passes, ``close`` just close."""

    part: str
    figure: str
    value: str
    tolerance: str = ""
    at: float | None = None
    close: float | None = None


def verdict_lines(verdict: Verdict | None, tolerances: Mapping[str, float]) -> list[GateLine]:
    """Each of the gate's figures, held against its precision's ``tolerances``, as the configuration has them."""
    plain, factor, widening = parted(tolerances)
    lines = []
    for part, figures in vars(verdict.parts).items() if verdict else ():
        bounds = judging.limits(plain, factor, widening, verdict.lane_noise.get(part) if verdict else None)
        for name, value in vars(figures).items() if figures else ():
            if isinstance(value, bool) or value is None or isinstance(value, (dict, list)):
                continue
            shown = f"{value:.3g}" if isinstance(value, float) and value < 0.99 else str(value)
            tolerance = judging.FIGURES.get(name, ("", ""))[1]
            place = (
                _place(name, value, bounds[tolerance], factor, plain.get(name))
                if tolerance in bounds and part in judging.REQUIRED
                else {}
            )
            lines.append(GateLine(part, name.replace("_", " "), shown, **place))
    return lines


def _place(
    name: str, value: float, bounds: tuple[float, float], factor: float, plain: float | None
) -> dict[str, Any]:
    """Where a figure lies: an error by itself, an agreement by what it lacks of 1.

    ``plain`` is its tolerance before noise widened it, None for one that is in no configuration.
    """
    passing, closing = bounds
    if name in judging.AT_LEAST:
        lack, allowed, keeps, sign = 1 - value, 1 - closing, 1 - passing, "≥"
    else:
        lack, allowed, keeps, sign = value, closing, passing, "≤"
    widened = plain not in (None, passing)
    close = float(f"{allowed / keeps:.4g}") if widened else factor
    at = close * lack / allowed
    words = f"{passing:.4g}, widened from {plain:g} by noise" if widened else f"{passing:g}"
    return {
        "tolerance": f"{sign} {words}",
        "at": float(f"{at:.4g}") if math.isfinite(at) else None,
        "close": close,
    }
