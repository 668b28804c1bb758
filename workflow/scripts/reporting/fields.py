"""How values are written into analyses and CSVs, and how text is read back from them."""

from __future__ import annotations

import re
import unicodedata

NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
FORMULA = tuple("=+-@\t\r\n")  # what a spreadsheet takes for the beginning of something to compute
QUOTE = "'"  # what keeps it from doing so
JOINERS = "\u200c\u200d"  # formatting characters that belong to the text of some languages


def six(value: float | None) -> float | None:
    """Six significant digits: enough for any reader, and equal on every machine."""
    return None if value is None else float(f"{value:.6g}")


def flag(value: bool | None) -> bool | None:
    """A truth value of Python's own: NumPy's is none that JSON knows."""
    return None if value is None else bool(value)


def megabytes(count: int | None) -> float | None:
    """Bytes in MB (10^6 bytes)."""
    return None if count is None else round(count / 1e6, 3)


def guarded(text: str) -> str:
    """Text as a CSV may hold it: a spreadsheet computes nothing from it. Numbers stay as they are.

    An apostrophe goes before text that begins with one of ``= + - @``, a tab or an end of line, and before text
    that has apostrophes there already, so that ``unguarded`` gives back every text.
    """
    return QUOTE + text if _computed(text) and not NUMBER.fullmatch(text) else text


def unguarded(text: str) -> str:
    """The text that ``guarded`` was given."""
    return text[1:] if text.startswith(QUOTE) and _computed(text) else text


def _computed(text: str) -> bool:
    return text.lstrip(QUOTE).startswith(FORMULA)


def harmless(text: str) -> str:
    """``text`` without characters that show nothing and may reorder what stands beside them.

    Directional marks, zero-width characters and control characters go; ends of lines and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(char for char in text if char in "\n\t" or char in JOINERS or not _hidden(char))


def _hidden(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
