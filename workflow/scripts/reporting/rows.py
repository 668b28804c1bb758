"""Turn the cells of one platform into rows: the columns of its CSV, where they come from, what repeats them."""

from __future__ import annotations

import functools
import statistics as plain
from collections.abc import Callable, Mapping
from typing import Any

from arena.contract.measured import Memory
from arena.contract.round import Round
from arena.contract.verdict import Part, Parts
from arena.judging import verdict as judging
from arena.weights.source import Weights
from reporting import generation, gpu, nodes, quality, retry
from reporting.columns import TIMED, Row
from reporting.fields import flag, megabytes, six
from reporting.outcome import LOG_LINES, culprit, exact, reason_of, skipped, status
from reporting.rounds import RecordedCell, Unmeasured
from reporting.timing import Key, add_first, add_ratios, key, samples, timed, timings

MEASURED_BY = "arena"


def rows(
    cells: list[RecordedCell],
    label: str,
    baseline: str,
    weights: Mapping[str, Weights],
    again: str = "results/retry",
    labels: Mapping[str, str] | None = None,
    float32_rows: Mapping[str, str] | None = None,
    work: Mapping[str, Row] | None = None,
    least_difference: float = 0.02,
) -> list[Row]:
    """One row per cell, in the cells' order; columns as in ``reporting.columns``, and those of ``columns.BEHIND``.

    ``label`` may be ``auto``: the accelerator that the first successful cell reports, else the CPU.
    ``baseline`` is a row id; where that cell is missing or its results are wrong, no ratio to it is
    given. ``again`` is the program that measures a cell again, ``labels`` what the rows are called,
    ``float32_rows`` names the float32 row for rows of reduced precision, ``work`` each model's ``scale_of``
    and ``forward_flops``. Rows that are by less than ``least_difference`` slower than the fastest share the
    first place with it.
    """
    float32_rows, labels = float32_rows or {}, labels or {}
    label = automatic_label(cells) if label == "auto" else label
    tasks = {task: timed(cells, task, functools.partial(samples, task=task)) for task in TIMED}
    result: dict[Key, Row] = {}
    for cell in cells:
        source = weights[cell.model]
        row: Row = {"platform": label, "weights": source.words, "weights_sha256": source.sha256}
        row |= identity(cell, labels)
        row |= {"baseline": labels.get(baseline, baseline)}
        row |= {"float32_row": labels.get(float32_rows.get(cell.row, ""))}
        row |= (work or {}).get(cell.model, {}) | gpu.figures(cell) | nodes.figures(cell)
        row |= verdict_figures(cell) | costs(cell) | machine(cell) | failure(cell, again)
        row |= quality.figures(cell)
        row |= {
            "records": list(map(str, cell.paths)),
            "repeat": retry.command(again, cell.rounds[0]),
        }
        for task, found in tasks.items():
            row |= timings(cell, task, found)
        result[key(cell)] = row
    for task, found in tasks.items():
        add_ratios(result, task, found, baseline, float32_rows)
        add_first(result, task, found, least_difference)
    generation.add_figures(cells, result, least_difference)
    quality.add_changes(result, float32_rows)
    return list(result.values())


def not_measured(
    cell: Unmeasured, like: Row, label: str, weights: Weights | None, work: Row | None = None
) -> Row:
    """The row of a cell without rounds: who it would be, and why it is not there.

    ``like`` is any measured row of the same table, ``label`` what this one is called.
    """
    return {
        **{name: like[name] for name in ("platform", "platform_id", "baseline", "measured_by")},
        "model": cell.model,
        "framework": label,
        "row": cell.row,
        "framework_family": cell.framework,
        "lane": cell.lane,
        "status": "unsupported",
        "reason_code": cell.code,
        "reason_detail": cell.why,
        "rounds": 0,
        "weights": weights and weights.words,
        "weights_sha256": weights and weights.sha256,
        "records": [],
        **(work or {}),
    }


def automatic_label(cells: list[RecordedCell]) -> str:
    """The machine's name in the report, from its own rounds."""
    records = [record for cell in cells for record in cell.rounds]
    for record in records:
        if record.status == "ok" and record.cell.accelerator != "cpu" and record.device:
            return record.device
    return records[0].machine.cpu


def identity(cell: RecordedCell, labels: Mapping[str, str]) -> Row:
    """Who this cell is and how it ended."""
    first, index = cell.rounds[0], culprit(cell)
    reason = None if index is None else reason_of(cell.rounds[index].reason)
    return {
        "model": cell.model,
        "framework": labels.get(cell.row, cell.row),
        "version": _first(cell, "version"),
        "backend": _first(cell, "backend"),
        "status": status(cell),
        "loss": first.loss if index is None else None,
        "measured_by": MEASURED_BY,
        "date": first.started[:10],
        "commit": first.commit,
        "platform_id": first.cell.platform,
        "row": cell.row,
        "framework_family": first.cell.framework,
        "lane": first.cell.lane,
        "verdict": cell.verdict.verdict,
        "verdict_reasons": "; ".join([*cell.verdict.reasons, *exact(cell)]) or None,
        "fallback": _first(cell, "fallback"),
        "reason_code": reason and reason.code,
        "reason_detail": reason and reason.detail,
        "rounds": len(cell.rounds),
        "allocations": cell.allocations,
    }


def _first(cell: RecordedCell, key: str) -> Any:
    """The first round's value that is not null."""
    return next((value for record in cell.rounds if (value := getattr(record, key)) is not None), None)


def verdict_figures(cell: RecordedCell) -> Row:
    """The gate's figures, six significant digits."""
    parts = cell.verdict.parts
    floor = cell.verdict.noise.get("inference") or {}
    output = ("relative_l2", "max_error", "top1_agreement", "mean_kl", "median_kl")
    figures = {name: getattr(parts.inference, name) for name in (*output, "loss_error", "loss_change")}
    figures |= {f"latency_{name}": getattr(parts.latency, name) for name in output}
    figures |= {name: getattr(parts.training, name) for name in ("gradient_norm_error", "gradient_cosine")}
    figures |= {"training_loss_error": parts.training.loss_error}
    figures |= {f"noise_{name}": floor.get(name) for name in ("relative_l2", "max_error")}
    # A cosine of 1 - 1e-9 would round to 1; it keeps its digits.
    rounded = {name: value if name == "gradient_cosine" else six(value) for name, value in figures.items()}
    return rounded | {"worst_tensor": parts.training.worst_tensor, "widened": _widened(parts)}


def _widened(parts: Parts) -> str | None:
    """The figures that pass only because noise widened their tolerances, each with what it was held to."""
    found = []
    for task, figures in vars(parts).items():
        if not isinstance(figures, Part) or not (figures.tolerances and figures.widened):
            continue
        for name, own in figures.widened.items():
            limit, value = figures.tolerances[name], getattr(figures, name)
            if value is None or not judging.beyond(name, value, own):
                continue
            prefixed = task == "latency" or (task, name) == ("training", "loss_error")
            column = f"{task}_{name}" if prefixed else name
            # As the figures themselves are rounded: a cosine keeps its digits.
            found.append(f"{column} {limit if name == 'gradient_cosine' else six(limit)}")
    return "; ".join(found) or None


def costs(cell: RecordedCell) -> Row:
    """Compile, import and load times, memory, disk. Nothing of a cell that did not end well."""
    if culprit(cell) is not None:
        return {}
    # Each allocation begins with empty caches.
    first, later = cell.rounds[0], [record for record in cell.rounds[1:] if not record.cold]
    compiles = {task: first.tasks[task].compile_s if task in first.tasks else None for task in TIMED[1:]}
    return {
        "compile_s": six(first.compile_s),
        "compile_warm_s": six(_over(later, lambda record: record.compile_s, plain.median)),
        **{f"{task}_compile_s": six(seconds) for task, seconds in compiles.items()},
        "cold_start_s": six(first.cold_start_s),
        "restart_s": six(_over(later, lambda record: record.cold_start_s, plain.median)),
        "import_s": six(_over(cell.rounds, lambda record: record.import_s, plain.median)),
        "load_s": six(_over(cell.rounds, lambda record: record.load_s, plain.median)),
        "inference_peak_mb": _over(cell.rounds, lambda record: _peak_mb(record, "inference"), max),
        "training_peak_mb": _over(cell.rounds, lambda record: _peak_mb(record, "training"), max),
        "decode_peak_mb": _over(cell.rounds, lambda record: _peak_mb(record, "decode"), max),
        "footprint_mb": megabytes(_over(cell.rounds, lambda record: record.footprint_bytes, max)),
    }


def _peak_mb(record: Round, task: str) -> float | None:
    """Peak above the process's size before it loaded the weights, in MB."""
    memory = record.memory or Memory()
    peak, before = getattr(memory, f"{task}_peak_bytes"), memory.baseline_bytes
    return None if peak is None or before is None else megabytes(max(0, peak - before))


def machine(cell: RecordedCell) -> Row:
    """Where the cell ran, and what disturbed it."""
    first = cell.rounds[0]
    facts = first.machine

    def disturbance(name: str) -> Callable[[Round], float | None]:
        return lambda record: getattr(record.conditions.disturbance, name) if record.conditions else None

    return {
        "threads": first.cell.threads,
        "threads_reported": _first(cell, "threads_reported"),
        "device": _first(cell, "device"),
        "cpu": ", ".join(dict.fromkeys(record.machine.cpu for record in cell.rounds)),
        "cpu_id": "; ".join(dict.fromkeys(filter(None, map(_cpu_id, cell.rounds)))) or None,
        "cores": facts.usable_physical_cores,
        "memory_gb": None if facts.memory_bytes is None else round(facts.memory_bytes / 1e9, 1),
        "kernel": facts.kernel,
        "os": facts.os,
        "python": facts.python,
        "packages": dict(sorted(first.packages.items())),
        "steal_max": six(_over(cell.rounds, disturbance("steal"), max)),
        "load_max": six(_over(cell.rounds, disturbance("load_before"), max)),
        "offline": flag(_over(cell.rounds, lambda record: record.offline, all)),
        "network_attempts": _over(cell.rounds, lambda record: record.network_attempts, max),
    }


def _cpu_id(record: Round) -> str:
    """``family 25, model 17, stepping 1``, as far as it is known."""
    told = {name: getattr(record.machine, f"cpu_{name}") for name in ("family", "model", "stepping")}
    return ", ".join(f"{name} {number}" for name, number in told.items() if number is not None)


def failure(cell: RecordedCell, program: str) -> Row:
    """The log's tail and the command to try again, for a cell or a task that failed."""
    failed = [
        record
        for record in cell.rounds
        if (record.status == "failed" and not skipped(record))
        or any(task.status == "failed" for task in record.tasks.values())
        or (record.quality is not None and record.quality.status == "failed")
    ]
    if not failed:
        return {}
    tail = failed[0].log_tail or ""
    return {
        "retry": retry.command(program, failed[0]),
        "log_tail": "\n".join(tail.splitlines()[-LOG_LINES:]) or None,
    }


def _over(records: list[Round], value: Callable[[Round], Any], combine: Callable[[list[Any]], Any]) -> Any:
    """``combine`` of the values that are not None; None if there is none."""
    found = [each for record in records if (each := value(record)) is not None]
    return combine(found) if found else None
