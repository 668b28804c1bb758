"""The table of a model and its larger variants: how much arithmetic each framework achieves."""

from __future__ import annotations

from typing import Any

from reporting import markdown as md
from reporting.columns import Row
from reporting.details import label
from reporting.machines import Key, key, named

FACTORS = {"inference": 1, "training": 3}  # of the forward pass's operations: models/flops.py says why
SHOWN = ("pass", "close")


def is_variant(row: Row) -> bool:
    """Whether this cell is of a model that varies another."""
    return bool(row.get("scale_of"))


def tflops(row: Row, task: str) -> float | None:
    """Achieved 10^12 operations a second of a task; None where a figure is missing."""
    time, operations = row.get(f"{task}_ms"), row.get("forward_flops")
    return FACTORS[task] * operations / time / 1e9 if time and operations else None


def share(row: Row, task: str) -> float | None:
    """Achieved share of the card's peak in the row's lane."""
    rate, peak = tflops(row, task), row.get("peak_tflops")
    return rate / peak if rate and peak else None


def table(own: list[Row], published: list[Row]) -> list[dict[str, Any]]:
    """Lines by model, machine and lane: every variant with the model it varies, the smallest work first.

    Only models with a variant on that machine, and cells whose results are not wrong.
    """
    rows = [(key(row, True), row) for row in own] + [(key(row, False), row) for row in published]
    families = {(where, row["scale_of"]) for where, row in rows if is_variant(row)}
    found = [
        (where, row)
        for where, row in rows
        if (where, row.get("scale_of") or row["model"]) in families
        and row["status"] in SHOWN
        and row.get("forward_flops")
    ]
    names = named(found)
    found.sort(key=lambda pair: _order(*pair))
    return [_line(names[where], row) for where, row in found]


def _order(where: Key, row: Row) -> tuple[Any, ...]:
    family = row.get("scale_of") or row["model"]
    return (family, *map(str, where), row["forward_flops"], row["model"], row.get("lane") or "")


def _line(machine: str, row: Row) -> dict[str, Any]:
    line: dict[str, Any] = {
        "model": row["model"],
        "platform": machine,
        "framework": label(row),
        "lane": row.get("lane") or "float32",
        "peak": _number(row.get("peak_tflops")),
    }
    for task in FACTORS:
        part = share(row, task)
        line |= {
            f"{task}_ms": _number(row[f"{task}_ms"]),
            f"{task}_tflops": _number(tflops(row, task)),
            f"{task}_share": md.DASH if part is None else f"{100 * part:.2g} %",
        }
    return line


def _number(value: float | None) -> md.Markdown:
    return md.DASH if value is None else md.significant(value, 3)
