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
from platform_csv import analysis_of
from runner import REPOSITORY

TEMPLATE = REPOSITORY / "report" / "report.md.j2"
DETAILS = REPOSITORY / "report" / "details.md.j2"


def page(
    directory: Path,
    own: Path,
    published: Iterable[Path] = (),
    caption: dict[str, Any] | None = None,
    notes: Iterable[str] = (),
    more: Iterable[Any] = (),
) -> str:
    """The report's text, its details in ``details.md`` beside it; ``caption`` replaces keys of the model's, ``more``
    are further arguments.
    """
    captions = {
        "Tiny": {"title": "Tiny model", "url": "https://example.org/tiny", "caveats": []} | (caption or {})
    }
    command = ["render", "--analyses", analysis_of(own), "--captions", json.dumps(captions)]
    command += ["--template", TEMPLATE, "--details-template", DETAILS, "--details", directory / "details.md"]
    command += ["--out", directory / "report.md", "--published", *published, "--notes", *notes]
    command += more
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(map(str, command)))
        render_report.main()
    return (directory / "report.md").read_text(encoding="utf-8")


def details(directory: Path, *arguments: Any, **options: Any) -> str:
    """The text of the details that ``page`` writes."""
    page(directory, *arguments, **options)
    return (directory / "details.md").read_text(encoding="utf-8")


def table_lines(text: str, heading: str, before: str = "\n#") -> list[list[str]]:
    """Cells of the lines of the first table under a heading."""
    section = text.split(heading, 1)[1].split(before, 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]
