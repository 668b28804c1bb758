"""report.md made for tests, through the script's own main, and its tables read back."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import render_report
from runner import REPOSITORY

TEMPLATE = REPOSITORY / "report" / "report.md.j2"


def page(
    directory: Path,
    own: Path,
    published: Iterable[Path] = (),
    caption: dict[str, Any] | None = None,
    notes: Iterable[str] = (),
) -> str:
    """The report's text; ``caption`` replaces keys of the model's."""
    captions = {
        "Tiny": {"title": "Tiny model", "url": "https://example.org/tiny", "caveats": []} | (caption or {})
    }
    command = ["render", "--platforms", own, "--template", TEMPLATE, "--captions", json.dumps(captions)]
    command += ["--out", directory / "report.md", "--published", *published, "--notes", *notes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(map(str, command)))
        render_report.main()
    return (directory / "report.md").read_text(encoding="utf-8")


def table_lines(text: str, heading: str, before: str = "\n#") -> list[list[str]]:
    """Cells of the lines of the first table under a heading."""
    section = text.split(heading, 1)[1].split(before, 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]
