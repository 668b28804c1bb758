"""How far the figures of an analysis are rounded."""

from __future__ import annotations


def six(value: float | None) -> float | None:
    """Six significant digits: enough for any reader, and equal on every machine."""
    return None if value is None else float(f"{value:.6g}")


def flag(value: bool | None) -> bool | None:
    """A truth value of Python's own: NumPy's is none that JSON knows."""
    return None if value is None else bool(value)


def megabytes(count: int | None) -> float | None:
    """Bytes in MB (10^6 bytes)."""
    return None if count is None else round(count / 1e6, 3)
