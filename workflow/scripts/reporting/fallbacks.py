"""Rows measured without a part of their framework, because it fails on their machine: the mark, and its note."""

from __future__ import annotations

from collections.abc import Sequence

from reporting import markdown as md
from reporting.columns import Row

MARK = "▿"


def mark(row: Row) -> str:
    """``▿`` where the row says what it did without, else nothing. Tables of others may lack the column."""
    return MARK if row.get("fallback") else ""


def notes(rows: Sequence[Row]) -> list[md.Markdown]:
    """What to say of the marks in a table: a line for each framework and reason."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if mark(row):
            found.setdefault(row["fallback"], []).append(row["framework"])
    return [
        md.Markdown(f"{MARK} {md.escaped(', '.join(dict.fromkeys(names)))}: measured {md.escaped(without)}.")
        for without, names in found.items()
    ]
