"""What a report is made of: this run's analyses and the published tables, read once for every writer."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reporting import analysis, intake
from reporting.columns import PUBLISHED_STATUSES, Row
from reporting.document import build
from reporting.document.types import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what the document is made of."""
    parser.add_argument("--analyses", nargs="+", type=Path, required=True, help="this run's platforms, JSON")
    parser.add_argument("--published", nargs="*", type=Path, default=[], help="CSVs measured elsewhere")
    parser.add_argument("--captions", required=True, help="JSON: {model: {title, url, caveats: [text]}}")


def report(args: argparse.Namespace, notes: Sequence[str] = ()) -> Report:
    """The document. Raises ValueError for what cannot be trusted to be shown, OSError for what cannot be read."""
    own = analysis.read(args.analyses)
    captions = parse_captions(args.captions, own)
    return build.report(own, published(args.published), captions, notes)


def published(paths: Sequence[Path]) -> list[Row]:
    """The rows of these CSVs (``intake.read``), each with its file under ``records``."""
    rows = intake.read(paths, PUBLISHED_STATUSES)
    files = [path for path in paths for _ in range(_records(path))]
    return [row | {"records": [path.as_posix()]} for row, path in zip(rows, files, strict=True)]


def _records(path: Path) -> int:
    """How many rows a CSV has that has been read before."""
    with open(path, encoding="utf-8-sig", newline="") as stream:
        return sum(1 for fields in csv.reader(stream, strict=True) if fields) - 1


def parse_captions(text: str, own: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """The captions by model. Raises ValueError if they are no JSON object or lack a model of this run."""
    try:
        captions: dict[str, dict[str, Any]] = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"--captions: not JSON ({error}); expected {{model: {{title, …}}}}") from error
    for model in dict.fromkeys(row["model"] for row in own):
        if not isinstance(captions, dict) or not isinstance(captions.get(model), dict):
            raise ValueError(f"--captions: no object for model {model!r}; expected title, url, caveats")
    return captions
