"""What was recorded of an NVIDIA GPU, as columns of the platform CSV."""

from __future__ import annotations

import statistics as plain
from typing import Any

from arena.contract.cell import TaskName
from arena.contract.measured import Memory
from arena.contract.round import GpuWatch
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
    first = cell.rounds[0]
    card = first.machine.gpu
    if card is None or first.cell.accelerator != "cuda":
        return {}
    row: Row = {
        "gpu": card.name,
        "gpu_driver": card.driver,
        "gpu_power_limit_w": card.power_limit_w,
        "peak_tflops": peak(card.name, first.cell.lane),
    }
    if culprit(cell) is not None:
        return row
    conditions = [record.conditions for record in cell.rounds if record.conditions]
    looks = [each.during.gpu for each in conditions if each.during.gpu]
    row |= {
        "gpu_sm_mhz": _extreme(looks, "sm_mhz", 1, plain.median),
        "gpu_sm_max_mhz": _extreme(looks, "sm_mhz", 2, max),
        "gpu_power_max_w": _extreme(looks, "power_w", 2, max),
        "gpu_celsius_max": _extreme(looks, "celsius", 2, max),
        "gpu_throttle": ", ".join(sorted({word for look in looks for word in look.throttle} - HARMLESS)),
        "gpu_others": max((len(look.others) for look in looks), default=None),
        "inference_device_mb": _memory(cell, ["inference"]),
        "device_peak_mb": _memory(cell, list(first.tasks)),
    }
    row |= {f"{task}_device_ms": device_ms(cell, task) for task in TASKS}
    return row | energy(cell)


def device_ms(cell: RecordedCell, task: TaskName) -> float | None:
    """Median of the processes' medians by the device's own clock, in ms; None without such a clock."""
    if task_status(cell, task)[0] != "ok":
        return None
    rounds = [samples for record in cell.rounds if (samples := record.tasks[task].device_ns)]
    if len(rounds) < len(cell.rounds):
        return None
    return round(float(plain.median(plain.median(samples) for samples in rounds)) / 1e6, 6)


def energy(cell: RecordedCell) -> Row:
    """Joules an inference and mean power while it repeated, over all rounds that counted."""
    tasks = [record.tasks["inference"] for record in cell.rounds if "inference" in record.tasks]
    found = [task.energy for task in tasks if task.energy]
    if not found:
        return {}
    joules, seconds, count = (
        sum(getattr(each, key) for each in found) for key in ("joules", "seconds", "iterations")
    )
    return {"inference_energy_j": six(joules / count), "inference_power_w": six(joules / seconds)}


def _extreme(looks: list[GpuWatch], name: str, index: int, combine: Any) -> float | None:
    values = [values[index] for look in looks if (values := getattr(look, name))]
    return combine(values) if values else None


def _memory(cell: RecordedCell, tasks: list[str]) -> float | None:
    held = [
        getattr(record.memory or Memory(), f"device_{task}_peak_bytes")
        for record in cell.rounds
        for task in tasks
    ]
    return megabytes(max((bytes_ for bytes_ in held if bytes_ is not None), default=None))
