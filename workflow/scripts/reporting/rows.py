"""Turn the cells of one platform into the rows of its CSV."""

from __future__ import annotations

import json
import shlex
import statistics as plain
from collections.abc import Callable, Mapping
from typing import Any

from reporting import generation, gpu, nodes
from reporting.columns import TASKS, TIMED, Row
from reporting.fields import flag, megabytes, six
from reporting.outcome import culprit, reason_of, status
from reporting.rounds import RecordedCell
from reporting.timing import add_ratios, timings

MEASURED_BY = "arena"
LOG_LINES = 20


def rows(
    cells: list[RecordedCell],
    label: str,
    baseline: str,
    weights: dict[str, str],
    seed: int = 0,
    retry: str = "snakemake --cores all",
    float32_rows: Mapping[str, str] | None = None,
    work: Mapping[str, Row] | None = None,
) -> list[Row]:
    """One row per cell, in the cells' order; columns as in ``reporting.columns``.

    ``label`` may be ``auto``: the accelerator that the first successful cell reports, else the CPU.
    ``baseline`` is a row id; where that cell is missing or its results are wrong, no ratio to it is
    given. ``seed`` varies the bootstrap. ``retry`` is the command line of the run, to which the files of
    a failed cell are added. ``float32_rows`` names the float32 row for rows of reduced precision,
    ``work`` each model's ``scale_of`` and ``forward_flops``.
    """
    float32_rows = float32_rows or {}
    label = automatic_label(cells) if label == "auto" else label
    labels = {cell.row: cell.rounds[0]["label"] for cell in cells}
    result = []
    for cell in cells:
        row: Row = {"platform": label, "weights": weights[cell.model]} | identity(cell)
        row |= {"baseline": labels.get(baseline, baseline)}
        row |= {"float32_row": labels.get(float32_rows.get(cell.row, ""))}
        row |= (work or {}).get(cell.model, {}) | gpu.figures(cell) | nodes.figures(cell)
        row |= verdict_figures(cell) | costs(cell) | machine(cell) | failure(cell, retry)
        for task in TIMED:
            row |= timings(cell, task, seed)
        if row["decode_status"] == "ok":
            row |= generation.figures(cell, seed)
        result.append(row)
    for task in TIMED:
        add_ratios(cells, result, task, baseline, float32_rows, seed)
    return result


def automatic_label(cells: list[RecordedCell]) -> str:
    """The machine's name in the report, from its own rounds."""
    records = [record for cell in cells for record in cell.rounds]
    for record in records:
        if record["status"] == "ok" and record.get("accelerator", "cpu") != "cpu" and record.get("device"):
            return str(record["device"])
    return str(records[0]["machine"]["cpu"])


def identity(cell: RecordedCell) -> Row:
    """Who this cell is and how it ended."""
    first, index = cell.rounds[0], culprit(cell)
    reason = {"code": None, "detail": None} if index is None else reason_of(cell.rounds[index]["reason"])
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


def _first(cell: RecordedCell, key: str) -> Any:
    """The first round's value that is not null."""
    return next((record[key] for record in cell.rounds if record.get(key) is not None), None)


def verdict_figures(cell: RecordedCell) -> Row:
    """The gate's figures, six significant digits."""
    parts, noise = cell.verdict["parts"], cell.verdict["noise"]
    inference, latency, training = (parts.get(task) or {} for task in TASKS)
    floor = noise.get("inference") or {}
    output = ("relative_l2", "max_error", "top1_agreement")
    figures = {name: inference.get(name) for name in (*output, "loss_error", "loss_change", "mean_kl")}
    figures |= {f"latency_{name}": latency.get(name) for name in output}
    figures |= {name: training.get(name) for name in ("gradient_norm_error", "gradient_cosine")}
    figures |= {"training_loss_error": training.get("loss_error")}
    figures |= {f"noise_{name}": floor.get(name) for name in ("relative_l2", "max_error")}
    # A cosine of 1 - 1e-9 would round to 1; it keeps its digits.
    rounded = {name: value if name == "gradient_cosine" else six(value) for name, value in figures.items()}
    return rounded | {"worst_tensor": training.get("worst_tensor")}


def costs(cell: RecordedCell) -> Row:
    """Compile, import and load times, memory, disk. Nothing of a cell that did not end well."""
    if culprit(cell) is not None:
        return {}
    first, later = cell.rounds[0], cell.rounds[1:]
    compiles = {task: (first["tasks"].get(task) or {}).get("compile_s") for task in TIMED[1:]}
    return {
        "compile_s": six(first.get("compile_s")),
        "compile_warm_s": six(_over(later, lambda record: record.get("compile_s"), plain.median)),
        **{f"{task}_compile_s": six(seconds) for task, seconds in compiles.items()},
        "cold_start_s": six(first.get("cold_start_s")),
        "restart_s": six(_over(later, lambda record: record.get("cold_start_s"), plain.median)),
        "import_s": six(_over(cell.rounds, lambda record: record.get("import_s"), plain.median)),
        "load_s": six(_over(cell.rounds, lambda record: record.get("load_s"), plain.median)),
        "inference_peak_mb": _over(cell.rounds, lambda record: _peak_mb(record, "inference"), max),
        "training_peak_mb": _over(cell.rounds, lambda record: _peak_mb(record, "training"), max),
        "decode_peak_mb": _over(cell.rounds, lambda record: _peak_mb(record, "decode"), max),
        "footprint_mb": megabytes(_over(cell.rounds, lambda record: record.get("footprint_bytes"), max)),
    }


def _peak_mb(record: dict[str, Any], task: str) -> float | None:
    """Peak above the process's size before it loaded the weights, in MB."""
    memory = record.get("memory") or {}
    peak, before = memory.get(f"{task}_peak_bytes"), memory.get("baseline_bytes")
    return None if peak is None or before is None else megabytes(max(0, peak - before))


def machine(cell: RecordedCell) -> Row:
    """Where the cell ran, and what disturbed it."""
    first = cell.rounds[0]
    facts, threads = first["machine"], first["threads"]
    memory = facts.get("memory_bytes")

    def disturbance(name: str) -> Callable[[dict[str, Any]], float | None]:
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
        "steal_max": six(_over(cell.rounds, disturbance("steal"), max)),
        "load_max": six(_over(cell.rounds, disturbance("load_before"), max)),
        "offline": flag(_over(cell.rounds, lambda record: record.get("offline"), all)),
        "network_attempts": _over(cell.rounds, lambda record: record.get("network_attempts"), max),
    }


def failure(cell: RecordedCell, command: str) -> Row:
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


def _over(
    records: list[dict[str, Any]],
    value: Callable[[dict[str, Any]], Any],
    combine: Callable[[list[Any]], Any],
) -> Any:
    """``combine`` of the values that are not None; None if there is none."""
    found = [each for record in records if (each := value(record)) is not None]
    return combine(found) if found else None
