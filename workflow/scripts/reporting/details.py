"""The tables of a model's details, and the caveats."""

from __future__ import annotations

from typing import Any

from reporting import allotments, fallbacks, nodes, origins, series
from reporting import markdown as md
from reporting import marks as standing
from reporting.columns import TIMED, Row
from reporting.outcome import is_exact

STEAL = 0.02  # share of CPU time lost to other guests from which a platform's times are doubted
MEASURED = ("pass", "close", "different")
SERIES = {series.FALLING: "still falling", series.JUMPS: "jumps"}  # what the samples do in time


def label(row: Row) -> md.Markdown:
    """The framework's name alone, struck through or marked by its verdict."""
    name = md.escaped(row["framework"])
    return {
        standing.STRUCK: md.Markdown(f"~~{name}~~"),
        standing.CLOSE: md.Markdown(f"{name} ≈"),
    }.get(standing.standing(row), name)


def framework(row: Row, weights_mark: str = "") -> md.Markdown:
    """The framework's name with version, lane unless float32, backend, and marks: `close`, other weights, a fallback.

    An output that is the reference's to the last bit is said to be implausibly exact.
    """
    text = " ".join(filter(None, (row["framework"], row["version"])))
    if row.get("lane") not in (None, "float32"):
        text += f", {row['lane']}"
    if asked := origins.asks_for(row):
        text += f", {asked}"
    if is_exact(row):
        text += ", implausibly exact"
    if row["backend"]:
        text += f" ({row['backend']})"
    close = "≈" if standing.standing(row) == standing.CLOSE else ""
    return md.Markdown(" ".join(filter(None, (md.escaped(text), close, weights_mark, fallbacks.mark(row)))))


def timings(rows: list[Row], task: str) -> list[dict[str, Any]]:
    """Lines of one task's full table; cells without figures are left to the lists at the end."""
    lines = []
    for row in rows:
        if row[f"{task}_ms"] is None:
            continue
        lines.append(
            {
                "framework": label(row),
                "median": md.significant(row[f"{task}_ms"], 4),
                "interval": between(row[f"{task}_low_ms"], row[f"{task}_high_ms"]),
                "p95": md.significant(row[f"{task}_p95_ms"], 4),
                "min": md.significant(row[f"{task}_min_ms"], 4),
                "samples": samples(row, task),
                "seconds": seconds(row, task),
                "ratio": ratio(row, f"{task}_ratio"),
                "to_best": ratio(row, f"{task}_to_best"),
                "marks": marks(row, task),
            }
        )
    return lines


def between(low: float | None, high: float | None) -> md.Markdown:
    """The ends of an interval with four digits; a dash where none is known, as of one process."""
    return md.DASH if low is None or high is None else md.interval(low, high, 4)


def samples(row: Row, task: str) -> str:
    """Processes, and samples in each."""
    return f"{row['rounds']:.0f} × {row[f'{task}_samples'] / row['rounds']:.0f}"  # noqa: RUF001


def seconds(row: Row, task: str) -> str:
    """Seconds of samples in a process, and behind them those that are worth it, where that is known."""
    taken, worth = row[f"{task}_sampled_s"], row[f"{task}_worth_s"]
    if taken is None:
        return "—"
    return md.significant(taken, 2) + ("" if worth is None else f" ({md.significant(worth, 2)})")


def marks(row: Row, task: str) -> str:
    """What is to be said against the figures of one task."""
    found = {
        "noisy": row[f"{task}_noisy"],
        **{SERIES[name]: row[f"{task}_series"] == name for name in SERIES},
        "one process": row["rounds"] == 1,
    }
    return ", ".join(name for name, given in found.items() if given)


def ratio(row: Row, name: str) -> md.Markdown:
    """A ratio with its interval; a dash where there is none to give."""
    point, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if point is None or row["status"] == "different":  # a wrong result has no speed to compare
        return md.DASH
    if low == high:
        return md.significant(point)
    return md.Markdown(f"{md.significant(point)} ({md.interval(low, high)})")


def costs(rows: list[Row]) -> list[dict[str, Any]]:
    """Lines of the table of one-time costs and memory."""
    names = (
        *("compile_s", "compile_warm_s", "latency_compile_s", "training_compile_s"),
        *("import_s", "load_s", "cold_start_s", "restart_s"),
    )
    sizes = ("inference_peak_mb", "training_peak_mb", "footprint_mb")
    return [
        {"framework": label(row)}
        | {name: md.DASH if row[name] is None else md.seconds(row[name]) for name in names}
        | {name: md.DASH if row[name] is None else md.milliseconds(row[name]) for name in sizes}
        for row in rows
        if row["status"] in MEASURED
    ]


def verdicts(rows: list[Row]) -> list[dict[str, Any]]:
    """Lines of the table of correctness figures."""
    figures = (
        "relative_l2",
        "max_error",
        "mean_kl",
        "loss_error",
        "latency_relative_l2",
        "gradient_norm_error",
    )
    lines = []
    for row in rows:
        if row["status"] not in MEASURED:
            continue
        top1, cosine = row["top1_agreement"], row["gradient_cosine"]
        lines.append(
            {
                "framework": label(row),
                "verdict": row["verdict"],
                "loss": md.DASH if row["loss"] is None else md.significant(row["loss"], 6),
                "top1": md.DASH if top1 is None else f"{100 * top1:.4g} %",
                "cosine": md.DASH if cosine is None else md.tiny(1 - cosine),
            }
            | {name: md.tiny(row[name]) for name in figures}
        )
    return lines


def objections(rows: list[Row]) -> list[dict[str, Any]]:
    """What the gate says against the rows that it did not pass, against those that are too good, and what noise let
    pass."""
    found = []
    for row in rows:
        if row["status"] in ("close", "different") or (row["status"] == "pass" and is_exact(row)):
            text = f"{row['status']}: {row['verdict_reasons']}"
            found.append({"framework": row["framework"], "text": text})
        if row["status"] == "pass" and row.get("widened"):
            lane = row["lane"]
            text = f"pass, by tolerances that {lane}'s own noise on these weights widens: {row['widened']}"
            found.append({"framework": row["framework"], "text": text})
    return found


def caveats(rows: list[Row]) -> list[str]:
    """What the recorded conditions say against one machine's figures of one model."""
    found = []
    timed = [row for row in rows if row["status"] in MEASURED]
    for task in TIMED:
        for name, column, bad in (
            ("noisy", "noisy", True),
            ("still getting faster while timed", "series", series.FALLING),
            ("jump while timed", "series", series.JUMPS),
        ):
            names = [row["framework"] for row in timed if row[f"{task}_{column}"] == bad]
            if names:
                found.append(f"{task}: {name}: {', '.join(names)}")
    if any(row["rounds"] == 1 for row in timed):
        found.append(
            "one process per cell: nothing is known of the variation between processes, so there are no "
            "intervals, and ties and differences of a few percent mean nothing"
        )
    stolen = max((row["steal_max"] or 0.0 for row in timed), default=0.0)
    if stolen > STEAL:
        found.append(
            f"the hypervisor took up to {100 * stolen:.0f} % of the CPU time while this was measured"
        )
    if parts := allotments.said(row["allocations"] for row in timed):
        found.append(f"{parts}; column allocations of the table has which cell in which")
    processors = dict.fromkeys(row["cpu"] for row in timed)
    if len(processors) > 1:
        found.append(f"measured on different processors, so not comparable: {'; '.join(processors)}")
    for row in timed:
        if row["condition"] in (nodes.NOISY, nodes.INVALID):
            found.append(f"{row['framework']}: {row['condition']}: {row['condition_reasons']}")
        if row["network_attempts"]:
            found.append(f"{row['framework']} tried {row['network_attempts']:.0f} times to reach a network")
        given, reported = row["threads"], row["threads_reported"]
        if reported is not None and reported != given:
            found.append(f"{row['framework']} was given {given:.0f} threads and reports {reported:.0f}")
    return found
