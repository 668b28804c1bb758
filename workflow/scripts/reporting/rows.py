"""Turn the cells of one platform into the rows of its CSV."""

from __future__ import annotations

import json
import shlex
import statistics as plain
from collections.abc import Callable
from typing import Any

import numpy as np
from arena import statistics

from reporting.columns import TASKS
from reporting.rounds import Cell

MEASURED_BY = "arena"
LOG_LINES = 20
RANKED = "pass"
JUDGED_WELL = ("pass", "close")

Row = dict[str, Any]


def rows(
    cells: list[Cell],
    label: str,
    baseline: str,
    weights: dict[str, str],
    seed: int = 0,
    retry: str = "snakemake --cores all",
) -> list[Row]:
    """One row per cell, in the cells' order; columns as in ``reporting.columns``.

    ``label`` may be ``auto``: the accelerator that the first successful cell reports, else the CPU.
    ``baseline`` is a row id; where that cell is missing or its results are wrong, no ratio to it is
    given. ``seed`` varies the bootstrap. ``retry`` is the command line of the run, to which the files of
    a failed cell are added.
    """
    label = automatic_label(cells) if label == "auto" else label
    base_label = next((cell.rounds[0]["label"] for cell in cells if cell.row == baseline), baseline)
    result = []
    for cell in cells:
        row = {"platform": label, "baseline": base_label, "weights": weights[cell.model]} | identity(cell)
        row |= verdict_figures(cell) | costs(cell) | machine(cell) | failure(cell, retry)
        for task in TASKS:
            row |= timings(cell, task, seed)
        result.append(row)
    for task in TASKS:
        add_ratios(cells, result, task, baseline, seed)
    return result


def automatic_label(cells: list[Cell]) -> str:
    """The machine's name in the report, from its own rounds."""
    records = [record for cell in cells for record in cell.rounds]
    for record in records:
        if record["status"] == "ok" and record.get("accelerator", "cpu") != "cpu" and record.get("device"):
            return record["device"]
    return records[0]["machine"]["cpu"]


def status(cell: Cell) -> str:
    """``failed`` or ``unsupported`` if any round is, else the gate's verdict."""
    found = {record["status"] for record in cell.rounds}
    for bad in ("failed", "unsupported"):
        if bad in found:
            return bad
    return cell.verdict["verdict"]


def _culprit(cell: Cell) -> int | None:
    """Index of the round that explains a failed or unsupported cell, None if all are ok."""
    bad = [index for index, record in enumerate(cell.rounds) if record["status"] == status(cell)]
    # Later rounds of a cell whose first failed say only "skipped".
    telling = [i for i in bad if (cell.rounds[i]["reason"] or {}).get("code") != "skipped"]
    return (telling or bad or [None])[0]


def _reason(reason: dict[str, str] | None) -> dict[str, str]:
    return reason or {"code": "error", "detail": "no reason was recorded"}


def identity(cell: Cell) -> Row:
    """Who this cell is and how it ended."""
    first, index = cell.rounds[0], _culprit(cell)
    reason = {"code": None, "detail": None} if index is None else _reason(cell.rounds[index]["reason"])
    return {
        "model": cell.model,
        "framework": first["label"],
        "version": _first(cell, "version"),
        "backend": _first(cell, "backend"),
        "status": status(cell),
        "loss": first.get("loss") if index is None else None,
        "measured_by": MEASURED_BY,
        "date": first["started"][:10],
        "commit": first.get("commit"),
        "platform_id": first["platform"],
        "row": cell.row,
        "framework_family": first["framework"],
        "lane": first["lane"],
        "verdict": cell.verdict["verdict"],
        "verdict_reasons": "; ".join(cell.verdict["reasons"]) or None,
        "reason_code": reason["code"],
        "reason_detail": reason["detail"],
        "rounds": len(cell.rounds),
    }


def _first(cell: Cell, key: str) -> Any:
    """The first round's value that is not null."""
    return next((record[key] for record in cell.rounds if record.get(key) is not None), None)


def verdict_figures(cell: Cell) -> Row:
    """The gate's figures, six significant digits."""
    parts, noise = cell.verdict["parts"], cell.verdict["noise"]
    inference, latency, training = (parts.get(task) or {} for task in TASKS)
    floor = noise.get("inference") or {}
    output = ("relative_l2", "max_error", "top1_agreement")
    figures = {name: inference.get(name) for name in (*output, "loss_error")}
    figures |= {f"latency_{name}": latency.get(name) for name in output}
    figures |= {name: training.get(name) for name in ("gradient_norm_error", "gradient_cosine")}
    figures |= {"training_loss_error": training.get("loss_error")}
    figures |= {f"noise_{name}": floor.get(name) for name in ("relative_l2", "max_error")}
    # A cosine of 1 - 1e-9 would round to 1; it keeps its digits.
    rounded = {name: value if name == "gradient_cosine" else _six(value) for name, value in figures.items()}
    return rounded | {"worst_tensor": training.get("worst_tensor")}


def costs(cell: Cell) -> Row:
    """Compile, import and load times, memory, disk. Nothing of a cell that did not end well."""
    if _culprit(cell) is not None:
        return {}
    first, later = cell.rounds[0], cell.rounds[1:]
    compiles = {task: (first["tasks"].get(task) or {}).get("compile_s") for task in TASKS[1:]}
    return {
        "compile_s": _six(first.get("compile_s")),
        "compile_warm_s": _six(_over(later, lambda record: record.get("compile_s"), plain.median)),
        "latency_compile_s": _six(compiles["latency"]),
        "training_compile_s": _six(compiles["training"]),
        "import_s": _six(_over(cell.rounds, lambda record: record.get("import_s"), plain.median)),
        "load_s": _six(_over(cell.rounds, lambda record: record.get("load_s"), plain.median)),
        "inference_peak_mb": _over(cell.rounds, lambda record: _peak_mb(record, "inference"), max),
        "training_peak_mb": _over(cell.rounds, lambda record: _peak_mb(record, "training"), max),
        "footprint_mb": _megabytes(_over(cell.rounds, lambda record: record.get("footprint_bytes"), max)),
    }


def _peak_mb(record: dict[str, Any], task: str) -> float | None:
    """Peak above the process's size before it loaded the weights, in MB."""
    memory = record.get("memory") or {}
    peak, before = memory.get(f"{task}_peak_bytes"), memory.get("baseline_bytes")
    return None if peak is None or before is None else _megabytes(max(0, peak - before))


def machine(cell: Cell) -> Row:
    """Where the cell ran, and what disturbed it."""
    first = cell.rounds[0]
    facts, threads = first["machine"], first["threads"]
    memory = facts.get("memory_bytes")

    def disturbance(name: str) -> Callable[[dict], float | None]:
        return lambda record: ((record.get("conditions") or {}).get("disturbance") or {}).get(name)

    return {
        "threads": threads["given"],
        "threads_reported": next(
            (r["threads"]["reported"] for r in cell.rounds if r["threads"].get("reported") is not None), None
        ),
        "device": _first(cell, "device"),
        "cpu": ", ".join(dict.fromkeys(record["machine"]["cpu"] for record in cell.rounds)),
        "cores": facts.get("usable_physical_cores"),
        "memory_gb": None if memory is None else round(memory / 1e9, 1),
        "kernel": facts.get("kernel"),
        "os": facts.get("os"),
        "python": facts.get("python"),
        "packages": json.dumps(first.get("packages") or {}, sort_keys=True),
        "steal_max": _six(_over(cell.rounds, disturbance("steal"), max)),
        "load_max": _six(_over(cell.rounds, disturbance("load_before"), max)),
    }


def failure(cell: Cell, command: str) -> Row:
    """The log's tail and the command to try again, for a cell or a task that failed."""
    failed = [
        index
        for index, record in enumerate(cell.rounds)
        if (record["status"] == "failed" and (record["reason"] or {}).get("code") != "skipped")
        or any(task["status"] == "failed" for task in record["tasks"].values())
    ]
    if not failed:
        return {}
    tail = cell.rounds[failed[0]].get("log_tail") or ""
    path = shlex.quote(str(cell.paths[failed[0]]))
    return {
        "retry": f"{command} --forcerun {path} -- results/report.md",
        "log_tail": "\n".join(tail.splitlines()[-LOG_LINES:]) or None,
    }


def task_status(cell: Cell, task: str) -> tuple[str | None, str | None]:
    """Status of one task over all rounds, and its reason: one bad round spoils it.

    (None, None) where the task was not asked for, or the cell's own status says it all.
    """
    if _culprit(cell) is not None:
        return None, None
    missing = False
    for record in cell.rounds:
        result = record["tasks"].get(task)
        if result is None:
            missing = True
        elif result["status"] != "ok":
            reason = _reason(result["reason"])
            return result["status"], f"{reason['code']}: {reason['detail']}"
    if not missing:
        return "ok", None
    crashed = any(
        result["status"] == "failed" for record in cell.rounds for result in record["tasks"].values()
    )
    return ("failed", "skipped: an earlier task failed") if crashed else (None, None)


def samples(cell: Cell, task: str) -> list[np.ndarray] | None:
    """The timed iterations of every round, in nanoseconds; None if the task is not ok throughout."""
    if task_status(cell, task)[0] != "ok":
        return None
    return [np.asarray(record["tasks"][task]["samples_ns"]) for record in cell.rounds]


def timings(cell: Cell, task: str, seed: int) -> Row:
    """The figures of one task; only its status and reason where it has none."""
    state, reason = task_status(cell, task)
    row = {f"{task}_status": state, f"{task}_reason": reason}
    rounds = samples(cell, task)
    if rounds is None:
        return row
    try:
        summary = statistics.summary(rounds, seed)
    except ValueError as error:
        raise ValueError(f"{cell.paths[0].parent}: {task}: {error}; measure the cell again") from error
    figures = {
        "ms": summary.median,
        "low_ms": summary.low,
        "high_ms": summary.high,
        "p95_ms": summary.p95,
        "min_ms": summary.min,
        "iqr_ms": summary.iqr,
    }
    steady = all(record["tasks"][task]["steady"] for record in cell.rounds)
    return (
        row
        | {f"{task}_{name}": round(value / 1e6, 6) for name, value in figures.items()}
        | {
            f"{task}_samples": summary.samples,
            f"{task}_noisy": str(summary.noisy).lower(),
            f"{task}_steady": str(steady).lower(),
        }
    )


def add_ratios(cells: list[Cell], rows: list[Row], task: str, baseline: str, seed: int) -> None:
    """Add the ratios to the baseline (any lane) and to the fastest passing row (same lane), in place."""
    timed = {index: found for index, cell in enumerate(cells) if (found := samples(cell, task)) is not None}
    for model in dict.fromkeys(cell.model for cell in cells):
        mine = [index for index in timed if cells[index].model == model]
        for base in mine:
            if cells[base].row == baseline and rows[base]["status"] in JUDGED_WELL:
                for index in mine:
                    _store(rows[index], f"{task}_ratio", statistics.ratio(timed[index], timed[base], seed))
        ranked = [index for index in mine if rows[index]["status"] == RANKED]
        for lane in dict.fromkeys(rows[index]["lane"] for index in ranked):
            group = {index: timed[index] for index in ranked if rows[index]["lane"] == lane}
            for index, ratio in statistics.ratios_to_best(group, seed).items():
                _store(rows[index], f"{task}_to_best", ratio)


def _store(row: Row, name: str, ratio: statistics.Ratio) -> None:
    row |= {name: _six(ratio.point), f"{name}_low": _six(ratio.low), f"{name}_high": _six(ratio.high)}


def _over(records: list[dict], value: Callable[[dict], Any], combine: Callable[[list], Any]) -> Any:
    """``combine`` of the values that are not None; None if there is none."""
    found = [each for record in records if (each := value(record)) is not None]
    return combine(found) if found else None


def _six(value: float | None) -> float | None:
    """Six significant digits: enough for any reader, and equal on every machine."""
    return None if value is None else float(f"{value:.6g}")


def _megabytes(count: int | None) -> float | None:
    return None if count is None else round(count / 1e6, 3)
