"""What a model costs where it serves: generation at batch 1, start-up, disk, memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reporting import markdown as md
from reporting.columns import Row
from reporting.comparison import platforms
from reporting.details import MEASURED, between, label, marks, samples


def generation(rows: list[Row]) -> list[dict[str, Any]]:
    """Lines of one model's table of generation speeds, every lane; without cells that did not generate."""
    return [
        {
            "platform": row["platform"],
            "framework": label(row),
            "lane": row["lane"],
            "prefill": md.significant(row["prefill_tokens_per_s"], 4),
            "prefill_interval": _interval(row, "prefill_tokens_per_s"),
            "decode": md.significant(row["decode_tokens_per_s"], 4),
            "decode_interval": _interval(row, "decode_tokens_per_s"),
            "samples": samples(row, "decode"),
            "tokens": tokens(row),
            "marks": marks(row, "decode"),
        }
        for row in rows
        if row["decode_tokens_per_s"] is not None
    ]


def _interval(row: Row, name: str) -> md.Markdown:
    return between(row[f"{name}_low"], row[f"{name}_high"])


def tokens(row: Row) -> str | md.Markdown:
    """How many tokens are the reference's, and how narrow its choice was where the first differs."""
    if row["matching_tokens"] is None:
        return md.DASH
    count = f"{row['matching_tokens']:.0f} of {row['new_tokens']:.0f}"
    margin = row["divergence_margin"]
    return count if margin is None else f"{count}, then a lead of {md.tiny(margin)}"


def upkeep(rows: list[Row]) -> list[dict[str, Any]]:
    """Lines of the table of what a framework costs to have; figures as ranges over the models."""
    lines = []
    for (_, platform), members in platforms([row for row in rows if row["status"] in MEASURED]).items():
        by_row: dict[str, list[Row]] = {}
        for row in members:
            by_row.setdefault(row["row"], []).append(row)
        for same in by_row.values():
            lines.append(
                {"platform": platform, "framework": md.escaped(same[0]["framework"])}
                | {name: _range(same, name, md.seconds) for name in ("import_s", "load_s")}
                | {name: _range(same, name, md.seconds) for name in ("cold_start_s", "restart_s")}
                | {
                    name: _range(same, name, md.milliseconds)
                    for name in ("footprint_mb", "inference_peak_mb")
                }
            )
    return lines


def _range(rows: list[Row], name: str, form: Callable[[float], md.Markdown]) -> md.Markdown:
    values = [row[name] for row in rows if row[name] is not None]
    if not values:
        return md.DASH
    ends = dict.fromkeys((form(min(values)), form(max(values))))
    return md.Markdown("–".join(ends))  # noqa: RUF001
