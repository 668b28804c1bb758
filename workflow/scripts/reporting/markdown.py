"""Text and numbers as GitHub-flavoured Markdown. Text from a CSV is a stranger's: nothing in it is markup."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

SPECIAL = re.compile(r"([\\`*_\[\]|~$#]|:(?=//))")  # the colon: bare addresses become links
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class Markdown(str):
    """Text that is Markdown already; everything else is escaped before it is printed."""

    __slots__ = ()


DASH = Markdown("—")
CROSS = Markdown("✗")


def escaped(value: Any) -> Markdown:
    """Any value as inline Markdown that shows it literally, on one line. None gives nothing."""
    if isinstance(value, Markdown):
        return value
    if value is None:
        return Markdown("")
    text = "".join(ENTITIES.get(char, char) for char in one_line(str(value)))
    return Markdown(SPECIAL.sub(r"\\\1", text))


def one_line(text: str) -> str:
    """``text`` without line breaks, control and formatting characters (which may reorder a line)."""
    return " ".join("".join(" " if _control(char) else char for char in text).split())


def _control(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")


def code(text: str) -> Markdown:
    """An inline code span; not for tables, where a pipe would end the cell."""
    text = one_line(text)
    fence = "`" * (_longest_run(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return Markdown(f"{fence}{pad}{text}{pad}{fence}")


def block(text: str) -> Markdown:
    """A fenced block that shows ``text`` literally; tabs and line breaks stay, other controls go."""
    lines = ["".join(c for c in line if c == "\t" or not _control(c)) for line in text.splitlines()]
    fence = "`" * max(3, _longest_run(text) + 1)
    return Markdown("\n".join([f"{fence}text", *lines, fence]))


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def link(text: str, url: str | None) -> Markdown:
    """A link if ``url`` is a plain http(s) address, else the text alone."""
    if url and re.fullmatch(r"https?://[^\s<>()\[\]|\\`]+", url):
        return Markdown(f"[{escaped(text)}]({url})")
    return escaped(text)


def milliseconds(value: float) -> Markdown:
    """As the original's tables print times: whole from 10 on, one decimal below; never a false zero."""
    if round(value, 1) >= 10:
        return Markdown(f"{value:.0f}")
    return _decimals(value, 1)


def seconds(value: float) -> Markdown:
    """Two decimals; never a false zero."""
    return _decimals(value, 2)


def _decimals(value: float, decimals: int) -> Markdown:
    if 0 < value < 10**-decimals:
        return significant(value, 2)
    return Markdown(f"{value:.{decimals}f}")


def significant(value: float, digits: int = 3) -> Markdown:
    """``digits`` significant digits in plain notation, at least all digits before the point."""
    if value == 0:
        return Markdown("0")
    if math.isinf(value):
        return Markdown("∞" if value > 0 else "−∞")  # noqa: RUF001
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return Markdown(f"{round(value, places):.{max(0, places)}f}")


def interval(low: float, high: float, digits: int = 3) -> Markdown:
    """Two ends of an interval."""
    return Markdown(f"{significant(low, digits)}–{significant(high, digits)}")  # noqa: RUF001


def tiny(value: float | None) -> Markdown:
    """An error figure: two significant digits in scientific notation."""
    if value is None:
        return DASH
    return Markdown("0" if value == 0 else f"{value:.1e}")
