"""What was recorded of an NVIDIA GPU, as columns of the platform CSV."""

from __future__ import annotations

import statistics as plain
from typing import Any

from reporting.columns import TASKS, Row
from reporting.fields import megabytes, six
from reporting.outcome import culprit, task_status
from reporting.peaks import peak
from reporting.rounds import RecordedCell

HARMLESS = {"idle", "clock set", "sync boost", "display clock"}  # reasons for a clock that are no throttling


def figures(cell: RecordedCell) -> Row:
    """Driver, clocks, power, device memory, device times and energy; empty for a cell without a GPU.

    Clocks, power and temperature are of the looks while the processes ran, start and compiling included.
    """
    card = cell.rounds[0]["machine"].get("gpu")
    if card is None or cell.rounds[0].get("accelerator") != "cuda":
        return {}
    row: Row = {
        "gpu": card["name"],
        "gpu_driver": card["driver"],
        "gpu_power_limit_w": card["power_limit_w"],
        "peak_tflops": peak(card["name"], cell.rounds[0]["lane"]),
    }
    if culprit(cell) is not None:
        return row
    looks = [record["conditions"]["during"]["gpu"] for record in cell.rounds]
    looks = [look for look in looks if look]
    row |= {
        "gpu_sm_mhz": _extreme(looks, "sm_mhz", 1, plain.median),
        "gpu_sm_max_mhz": _extreme(looks, "sm_mhz", 2, max),
        "gpu_power_max_w": _extreme(looks, "power_w", 2, max),
        "gpu_celsius_max": _extreme(looks, "celsius", 2, max),
        "gpu_throttle": ", ".join(sorted({word for look in looks for word in look["throttle"]} - HARMLESS)),
        "gpu_others": max((len(look["others"]) for look in looks), default=None),
        "inference_device_mb": _memory(cell, ["inference"]),
        "device_peak_mb": _memory(cell, list(cell.rounds[0]["tasks"])),
    }
    row |= {f"{task}_device_ms": device_ms(cell, task) for task in TASKS}
    return row | energy(cell)


def device_ms(cell: RecordedCell, task: str) -> float | None:
    """Median of the processes' medians by the device's own clock, in ms; None without such a clock."""
    if task_status(cell, task)[0] != "ok":
        return None
    rounds = [record["tasks"][task].get("device_ns") for record in cell.rounds]
    if not all(rounds):
        return None
    return round(float(plain.median(plain.median(samples) for samples in rounds)) / 1e6, 6)


def energy(cell: RecordedCell) -> Row:
    """Joules an inference and mean power while it repeated, over all rounds that counted."""
    found = [record["tasks"].get("inference", {}).get("energy") for record in cell.rounds]
    found = [each for each in found if each]
    if not found:
        return {}
    joules, seconds, count = (sum(each[key] for each in found) for key in ("joules", "seconds", "iterations"))
    return {"inference_energy_j": six(joules / count), "inference_power_w": six(joules / seconds)}


def _extreme(looks: list[dict[str, Any]], name: str, index: int, combine: Any) -> float | None:
    values = [look[name][index] for look in looks if look[name]]
    return combine(values) if values else None


def _memory(cell: RecordedCell, tasks: list[str]) -> float | None:
    held = [record["memory"].get(f"device_{task}_peak_bytes") for record in cell.rounds for task in tasks]
    return megabytes(max((bytes_ for bytes_ in held if bytes_ is not None), default=None))
