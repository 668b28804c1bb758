"""What a row's users lose: the text that round 1 predicted, beside the reference and the framework's float32 row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reporting import markdown as md
from reporting.columns import Row
from reporting.details import label, ratio
from reporting.fields import six
from reporting.outcome import culprit, reason_of
from reporting.rounds import RecordedCell
from reporting.timing import JUDGED_WELL, Key

#: Columns of a row -> the figure of a verdict that they are.
FIGURES = {
    "quality_perplexity": "perplexity",
    "quality_perplexity_change": "perplexity_change",
    "quality_perplexity_change_error": "perplexity_change_error",
    "quality_top1": "top1_agreement",
    "quality_kl": "mean_kl",
    "quality_kl_error": "mean_kl_error",
}
#: What the page draws speed against: a name, a unit, and what it makes of a row.
MEASURES = {
    "kl": ("Divergence", "nats, mean KL from the reference"),
    "perplexity": ("Perplexity", "% more than the reference's"),
    "top1": ("Top-1", "% of the tokens, another first choice"),
}


def figures(cell: RecordedCell) -> Row:
    """The columns of a cell whose round 1 was to predict a text; nothing of one that did not end well."""
    told, found = cell.rounds[0].quality, cell.verdict.parts.quality
    if culprit(cell) is not None or told is None:
        return {}
    row: Row = {"quality_status": told.status}
    if told.status != "ok":
        reason = reason_of(told.reason)
        row["quality_reason"] = f"{reason.code}: {reason.detail}"
    if found is None:
        return row
    row |= {"quality_tokens": found.tokens}
    return row | {column: six(getattr(found, name)) for column, name in FIGURES.items()}


def add_changes(rows: Mapping[Key, Row], float32_rows: Mapping[str, str]) -> None:
    """Add in place what rows in reduced precision change of their framework's float32 row, if that one is right."""
    for (model, name), row in rows.items():
        exact = rows.get((model, float32_rows.get(name, "")))
        if exact is None or exact["status"] not in JUDGED_WELL:
            continue
        pairs = {column: (row.get(column), exact.get(column)) for column in ("quality_top1", "quality_kl")}
        row |= {
            f"{column}_float32_change": six(own - theirs)
            for column, (own, theirs) in pairs.items()
            if own is not None and theirs is not None
        }
        own, theirs = (each.get("quality_perplexity") for each in (row, exact))
        if own is not None and theirs:
            row["quality_perplexity_float32_change"] = six(own / theirs - 1)


def known(rows: Iterable[Row]) -> list[Row]:
    """The rows that predicted a text, and of whose outputs something could be said."""
    return [row for row in rows if row.get("quality_kl") is not None]


def table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Lines of one model's table: what it costs in quality, beside the speed; float32 rows too."""
    return [
        {
            "platform": row["platform"],
            "framework": label(row),
            "lane": row["lane"],
            "inference": md.DASH if row["inference_ms"] is None else md.milliseconds(row["inference_ms"]),
            "to_float32": ratio(row, "inference_float32_ratio"),
            "perplexity": md.significant(row["quality_perplexity"], 4),
            "change": with_error(row, "quality_perplexity_change", 100, "{:+.2g} %", "{:.1g}"),
            "change_float32": percent(row.get("quality_perplexity_float32_change")),
            "top1": md.Markdown(f"{100 * row['quality_top1']:.4g} %"),
            "top1_float32": points(row.get("quality_top1_float32_change")),
            "kl": md.Markdown(f"{md.tiny(row['quality_kl'])} ± {md.tiny(row['quality_kl_error'])}"),
            "kl_float32": signed(row.get("quality_kl_float32_change")),
        }
        for row in known(rows)
    ]


def with_error(row: Row, column: str, factor: float, form: str, error_form: str) -> md.Markdown:
    """A figure and, behind ±, its standard error; a dash where it is not known."""
    value, error = row.get(column), row.get(f"{column}_error")
    if value is None or error is None:
        return md.DASH
    return md.Markdown(f"{form.format(factor * value)} ± {error_form.format(factor * error)}")


def percent(share: float | None) -> md.Markdown:
    """A relative change in per cent, with its sign."""
    return md.DASH if share is None else md.Markdown(f"{100 * share:+.2g} %")


def points(share: float | None) -> md.Markdown:
    """A change of a share, in percentage points, with its sign."""
    return md.DASH if share is None else md.Markdown(f"{100 * share:+.2g} points")


def signed(value: float | None) -> md.Markdown:
    """A small difference with its sign."""
    return md.DASH if value is None else md.Markdown(f"{value:+.1e}")


def tokens(rows: Sequence[Row]) -> int:
    """How many tokens the text has that these rows predicted; 0 where none did."""
    return max((int(row["quality_tokens"]) for row in known(rows)), default=0)


def is_language(weights: str | None) -> bool:
    """Whether perplexity means what it says: weights from a seed have learnt no language."""
    return not (weights or "").startswith("seeded")


def drawn(row: Row) -> dict[str, float] | None:
    """What the page draws of a row, by MEASURES; None where it has no such figures, or no time."""
    if row.get("quality_kl") is None or not row.get("inference_ms"):
        return None
    # What is less is float32's own noise, and puts no row in front of another.
    return {
        "kl": round(row["quality_kl"], 6),
        "perplexity": round(100 * row["quality_perplexity_change"], 4),
        "top1": round(100 * (1 - row["quality_top1"]), 2),
    }
