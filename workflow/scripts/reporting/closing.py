"""What stands at the report's end: failures, what is unsupported, the machines; and how many cells ended how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from reporting import markdown as md
from reporting.columns import TIMED, Row
from reporting.comparison import platforms
from reporting.details import MEASURED, framework
from reporting.rounds import NOT_MEASURED_CODE

ABSENT = "not measured"
TEXTS = ("cpu", "cpu_id", "device", "kernel", "os", "python", "commit")  # facts of a machine


def failures(rows: list[Row]) -> list[dict[str, Any]]:
    """Failed cells, and failed tasks of cells that otherwise ran."""
    lines = []
    for row in rows:
        if row["status"] == "failed":
            reasons = [f"{row['reason_code']}: {row['reason_detail']}"]
        else:
            tasks = [task for task in TIMED if row[f"{task}_status"] == "failed"]
            reasons = [f"{task}: {row[f'{task}_reason']}" for task in tasks]
        if reasons:
            lines.append(
                {name: row[name] for name in ("model", "platform", "framework")}
                | {
                    "reasons": reasons,
                    "retry": md.code(row["retry"]) if row["retry"] else None,
                    "log": md.block(row["log_tail"]) if row["log_tail"] else None,
                }
            )
    return lines


def unsupported(rows: list[Row]) -> list[dict[str, Any]]:
    """Cells and tasks that a framework cannot do; models with the same reason share a line."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for row in rows:
        tasks = (task for task in TIMED if row[f"{task}_status"] == "unsupported")
        found: list[tuple[str, str]] = [(task, row[f"{task}_reason"]) for task in tasks]
        if row["status"] == "unsupported":
            found = [("all", f"{row['reason_code']}: {row['reason_detail']}")]
        for part, reason in found:
            groups.setdefault((row["platform"], row["framework"], part, reason), []).append(row["model"])
    names = ("platform", "framework", "part", "reason")
    return [dict(zip(names, key, strict=True)) | {"models": ", ".join(m)} for key, m in groups.items()]


def machines(rows: list[Row]) -> list[dict[str, Any]]:
    """Facts of each machine of this run; a fact that varies between cells shows every value."""
    lines = []
    for (name, platform), members in platforms(rows).items():
        versions = {row["row"]: row for row in members if row["packages"]}
        lines.append(
            {"id": name, "platform": platform}
            | {key: _values(members, key) for key in TEXTS}
            | {key: _values(members, key, "{:g}".format) for key in ("cores", "memory_gb", "threads")}
            | {
                "dates": _span([row["date"] for row in members if row["date"]]),
                "steal": _most(members, "steal_max", 100, " %"),
                "load": _most(members, "load_max", 1, ""),
                "offline": _values(members, "offline", {True: "yes", False: "no"}.__getitem__),
                "packages": [
                    {"framework": framework(row), "versions": _versions(row)} for row in versions.values()
                ],
            }
        )
    return lines


def _values(rows: list[Row], key: str, form: Callable[[Any], str] = str) -> str | md.Markdown:
    values = dict.fromkeys(form(row[key]) for row in rows if row[key] is not None)
    return ", ".join(values) or md.DASH


def _span(dates: list[str]) -> str | md.Markdown:
    if not dates:
        return md.DASH
    return min(dates) if min(dates) == max(dates) else f"{min(dates)} to {max(dates)}"


def _most(rows: list[Row], key: str, factor: float, unit: str) -> str | md.Markdown:
    values = [row[key] for row in rows if row[key] is not None]
    return f"{factor * max(values):.2g}{unit}" if values else md.DASH


def _versions(row: Row) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(row["packages"].items()))


def tally(rows: list[Row]) -> str:
    """How many cells ended how, in words."""
    counts = Counter(ABSENT if row.get("reason_code") == NOT_MEASURED_CODE else row["status"] for row in rows)
    order = (*MEASURED, "failed", "unsupported", ABSENT)
    return ", ".join(f"{counts[status]} {status}" for status in order if counts[status])
