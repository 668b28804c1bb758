"""What speed costs: compile time, disk, memory, exactness; figures of each cell, and findings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reporting import markdown as md
from reporting.columns import Row
from reporting.groups import BETWEEN, Finding, Group, Ratio, baseline, cell, of, ratio, stored, times

#: What speed is held against, less being better: its name on the page and its unit.
COSTS = {
    "error": ("Error of the output", "relative L2"),
    "disk": ("Bytes on disk", "MB"),
    "memory": ("Peak memory of inference", "MB"),
}


def costs(rows: Sequence[Row]) -> list[dict[str, float]]:
    """Of each row of one machine, model and precision, those of COSTS that are known and above 0.

    Memory is the device's, by the framework's own count, if any of the rows tells it: then the host's is not what
    matters, and rows that do not tell the device's have none.
    """
    on_device = any(row.get("inference_device_mb") for row in rows)
    columns = {
        "error": "relative_l2",
        "disk": "footprint_mb",
        "memory": "inference_device_mb" if on_device else "inference_peak_mb",
    }
    return [{name: row[column] for name, column in columns.items() if row.get(column)} for row in rows]


def compile_pays(groups: list[Group]) -> list[Finding]:
    """After how many calls a longer compilation than the baseline's has paid for itself.

    Calls n at which compile + n × time are equal: n = (compile − compile₀) / (time₀ − time). The interval
    is that of the ratio of the times; compile times are measured once and taken as they are.
    """  # noqa: RUF002
    found = []
    for group in groups:
        base = baseline(group.rows) if group.own else None
        if base is None:
            continue
        for row in group.ranked("inference_ms"):
            extra = (row.get("compile_s") or 0.0) - (base.get("compile_s") or 0.0)
            share = stored(row, "inference_ratio")
            if row is base or share is None or extra <= 0:
                continue
            found.append(_payback(group, row, base, extra, share))
    return found


def _payback(group: Group, row: Row, base: Row, extra: float, share: Ratio) -> Finding:
    def calls(ratio: float) -> float:
        return extra * 1000 / (base["inference_ms"] * (1 - ratio)) if ratio < 1 else math.inf

    low, point, high = calls(share.low), calls(share.point), calls(share.high)
    costs = f"{row['framework']} compiles {md.seconds(extra)} s longer than {base['framework']}"
    if math.isinf(low):
        text = f"{costs} and is not faster: it never pays."
    elif math.isinf(high):
        least = md.significant(low)
        text = f"{costs}; whether it is faster is within the noise (never, or from {least} calls on)."
    else:
        interval = md.interval(low, high)
        text = f"{costs} and has paid for it after {md.significant(point)} calls ({interval})."
    cells = tuple(
        cell(group, each, column) for each in (row, base) for column in ("compile_s", "inference_ms")
    )
    calls_to_pay = None if math.isinf(high) else Ratio(point, low, high, BETWEEN)
    return of(group, "compile", f"{group.where()}: {text}", "inference", calls_to_pay, cells)


def small_and_fast(groups: list[Group]) -> list[Finding]:
    """The frameworks that no other beats in both disk footprint and inference time (the Pareto front)."""
    found = []
    for group in groups:
        rows = [row for row in group.ranked("inference_ms") if row.get("footprint_mb")]
        front: list[Row] = []
        for row in rows:  # fastest first: each further one must be smaller than all before
            if not front or row["footprint_mb"] < front[-1]["footprint_mb"]:
                front.append(row)
        if len(rows) < 2:
            continue
        steps = ", ".join(
            f"{row['framework']} ({md.milliseconds(row['footprint_mb'])} MB, "
            f"{md.milliseconds(row['inference_ms'])} ms)"
            for row in front
        )
        lead = stored(front[-1], "inference_to_best") or ratio(front[-1], front[0], "inference_ms")
        cells = tuple(
            cell(group, row, column) for row in front for column in ("footprint_mb", "inference_ms")
        )
        text = f"{steps} is the smallest on disk and the fastest."
        if len(front) > 1:
            text = (
                f"nothing is both smaller and faster than {steps}; the smallest takes {times(lead)} times as "
            )
            text += "long as the fastest."
        found.append(of(group, "footprint", f"{group.where()}: {text}", "inference", lead, cells))
    return found


def reduced_precision(groups: list[Group]) -> list[Finding]:
    """What fewer bits than float32 gain in inference time, and what they do to the output."""
    found = []
    for group in groups:
        for row in group.ranked("inference_ms"):
            share = stored(row, "inference_float32_ratio")
            if share is None:
                continue
            speed = share.inverse()
            text = (
                f"{group.where()}: {row['framework']} is {times(speed)} times as fast as {row['float32_row']}"
            )
            losses = [("relative L2 error", row.get("relative_l2")), ("mean KL", row.get("mean_kl"))]
            told = ", ".join(f"{name} {md.tiny(value)}" for name, value in losses if value is not None)
            text += f", at {told}." if told else "."
            names = ("inference_ms", "relative_l2", "mean_kl")
            cells = tuple(cell(group, row, name) for name in names)
            found.append(of(group, "precision", text, "inference", speed, cells))
    return found
