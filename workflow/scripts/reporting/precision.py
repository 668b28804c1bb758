"""Rows of reduced precision: what they gain in time, and what that does to the results."""

from __future__ import annotations

from typing import Any

from reporting import markdown as md
from reporting.columns import Row
from reporting.details import MEASURED, label, ratio

STRICT = (None, "float32")  # published rows name no lane


def strict(rows: list[Row]) -> list[Row]:
    """The rows in float32."""
    return [row for row in rows if row.get("lane") in STRICT]


def reduced(rows: list[Row]) -> list[Row]:
    """The rows in any other lane."""
    return [row for row in rows if row.get("lane") not in STRICT]


def table(rows: list[Row]) -> list[dict[str, Any]]:
    """Lines of one model's table of reduced precision: speed beside accuracy."""
    lines = []
    for row in reduced(rows):
        if row["status"] not in MEASURED:
            continue
        change, top1 = row["loss_change"], row["top1_agreement"]
        lines.append(
            {
                "platform": row["platform"],
                "framework": label(row),
                "lane": row["lane"],
                "inference": md.DASH if row["inference_ms"] is None else md.milliseconds(row["inference_ms"]),
                "to_float32": ratio(row, "inference_float32_ratio"),
                "to_baseline": ratio(row, "inference_ratio"),
                "relative_l2": md.tiny(row["relative_l2"]),
                "loss_change": md.DASH if change is None else md.Markdown(f"{change:+.1e}"),
                "mean_kl": md.tiny(row["mean_kl"]),
                "top1": md.DASH if top1 is None else f"{100 * top1:.4g} %",
                "verdict": row["verdict"],
            }
        )
    return lines
