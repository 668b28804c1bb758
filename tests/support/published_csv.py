"""The published CSVs, and small ones of their form."""

from __future__ import annotations

from pathlib import Path

from reporting import columns
from runner import REPOSITORY

PUBLISHED = sorted((REPOSITORY / "report" / "published").glob("*.csv"))
ORIGINAL = [path for path in PUBLISHED if not path.with_suffix(".json").exists()]  # the parent's tables
ELEVEN = columns.NAMES[:11]
HEADER = ",".join(ELEVEN)
LINE = "Desk,Tiny,PyTorch,2.13.0,CPU,pass,1.50,40,4.0,120,6.01"


def write_csv(path: Path, *lines: str, header: str = HEADER) -> Path:
    """A CSV of these lines; its path."""
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path
