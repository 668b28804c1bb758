"""Durations, lists of paths and columns, as a terminal shows them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def listed(paths: list[str], limit: int = 3) -> str:
    """The first few of ``paths``, shortened, and how many more there are."""
    more = f" and {len(paths) - limit} more" if len(paths) > limit else ""
    return ", ".join(shortened(path) for path in paths[:limit]) + more


def shortened(path: str) -> str:
    """``path`` relative to the working directory, where it is inside it."""
    here = f"{Path.cwd()}{os.sep}"
    return path.removeprefix(here)


def duration(seconds: float) -> str:
    """Seconds in the two units that matter: 45 s, 12 min, 3 h 20 min."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s" if seconds else "0 s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def estimate(seconds: list[float | None]) -> str:
    """The sum of what is known, and how many jobs are not."""
    known = [value for value in seconds if value is not None]
    unknown = len(seconds) - len(known)
    if not known:
        return "unknown" if unknown else duration(0)
    return duration(sum(known)) + (f" + {unknown} unknown" if unknown else "")


def named(jobs: list[dict[str, Any]], wildcard: str) -> str:
    """The values of a wildcard in a step's jobs: up to two by name, more by their number."""
    values = values_of(jobs, wildcard)
    return ", ".join(values) if len(values) <= 2 else f"{len(values)} {wildcard}s"


def values_of(jobs: list[dict[str, Any]], wildcard: str) -> list[str]:
    return sorted({job["wildcards"][wildcard] for job in jobs if wildcard in job["wildcards"]})


def aligned(lines: list[tuple[str, ...]]) -> str:
    """Lines of cells as columns; a column of figures is flush right, an empty column is left out."""
    columns = [column for column in zip(*lines, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    right = {column[0] for column in columns} & {"jobs", "estimate"}
    text = []
    for cells in zip(*columns, strict=True):
        padded = [
            cell.rjust(width) if column[0] in right else cell.ljust(width)
            for cell, width, column in zip(cells, widths, columns, strict=True)
        ]
        text.append("  ".join(padded).rstrip())
    return "\n".join([text[0], "-" * max(map(len, text)), *text[1:-1], "-" * max(map(len, text)), text[-1]])
