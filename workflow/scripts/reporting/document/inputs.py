"""What a report is made of: this run's analyses and the published tables, read once for every writer."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reporting import analysis, intake
from reporting.columns import Row
from reporting.document import build
from reporting.document.types import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what the document is made of."""
    parser.add_argument("--analyses", nargs="+", type=Path, required=True, help="this run's platforms, JSON")
    parser.add_argument("--published", nargs="*", type=Path, default=[], help="CSVs measured elsewhere")
    parser.add_argument("--recomputed", nargs="*", type=Path, default=[], help="CSVs by take_submission.py")
    parser.add_argument(
        "--gate", type=json.loads, help="JSON {lane: tolerances}, to hold published rows against"
    )
    parser.add_argument("--captions", required=True, help="JSON: {model: {title, url, caveats: [text]}}")


def report(args: argparse.Namespace, notes: Sequence[str] = ()) -> Report:
    """The document. Raises ValueError for what cannot be trusted to be shown, OSError for what cannot be read."""
    own = analysis.read(args.analyses)
    captions = parse_captions(args.captions, own)
    published = intake.published(args.published, args.recomputed, args.gate)
    return build.report(own, published, captions, notes)


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
