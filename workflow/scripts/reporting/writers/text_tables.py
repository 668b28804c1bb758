"""Markdown whose tables read well where nothing renders them: every column as wide as its widest cell."""

from __future__ import annotations

import re
import unicodedata

BAR = re.compile(r"(?<!\\)\|")
FENCE = re.compile(r"`{3,}")
RULE = re.compile(r":?-{3,}:?")


def aligned(text: str) -> str:
    """The text with its tables padded; fenced blocks stay as they are.

    A column is aligned as the rule under its heading asks: ``---:`` to the right, ``:---:`` in the middle.
    """
    lines: list[str] = []
    table: list[str] = []
    fence = ""
    for line in text.split("\n"):
        opened = FENCE.match(line)
        if opened and (not fence or line == fence):
            fence = "" if fence else opened.group()
        if line.startswith("|") and not fence:
            table.append(line)
            continue
        lines += _padded(table)
        table = []
        lines.append(line)
    return "\n".join([*lines, *_padded(table)])


def _padded(table: list[str]) -> list[str]:
    if len(table) < 2:
        return table
    rows = [[cell.strip() for cell in BAR.split(line)[1:-1]] for line in table]
    if len({len(row) for row in rows}) > 1 or not all(RULE.fullmatch(cell) for cell in rows[1]):
        return table  # no table of ours: as it came
    widths = [max(3, *(width(row[at]) for row in [rows[0], *rows[2:]])) for at in range(len(rows[0]))]
    rules = rows[1]
    rows[1] = [
        (":" if rule.startswith(":") else "-") + "-" * (size - 2) + (":" if rule.endswith(":") else "-")
        for rule, size in zip(rules, widths, strict=True)
    ]
    return ["| " + " | ".join(map(_cell, row, widths, rules)) + " |" for row in rows]


def _cell(text: str, size: int, rule: str) -> str:
    room = size - width(text)
    if not rule.endswith(":"):
        return text + " " * room
    left = room // 2 if rule.startswith(":") else room
    return " " * left + text + " " * (room - left)


def width(text: str) -> int:
    """Columns of a terminal that the text takes."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in text
    )
