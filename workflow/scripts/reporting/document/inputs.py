"""What a report is made of: this run's analyses and the published tables, read once for every writer."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reporting import analysis, history, intake, releases, tables
from reporting.columns import OWN_STATUSES, Row
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
    parser.add_argument(
        "--history", type=Path, help="folder of tables of earlier runs, which may not be there yet"
    )
    parser.add_argument(
        "--releases", nargs="*", type=Path, default=[], help="CSVs with frameworks before and after a release"
    )
    parser.add_argument("--release-days", type=Path, help="CSV: package, version, released")
    parser.add_argument("--packages", type=json.loads, default={}, help="JSON {framework's id: its package}")


def earlier(args: argparse.Namespace, own: Sequence[Row]) -> dict[str, list[list[Row]]]:
    """The tables of earlier runs by the platform's name in the config, the oldest first."""
    names = dict.fromkeys(row["platform_id"] for row in own if row.get("platform_id"))
    return {name: history.earlier(args.history, name) for name in names} if args.history else {}


def report(args: argparse.Namespace, notes: Sequence[str] = ()) -> Report:
    """The document. Raises ValueError for what cannot be trusted to be shown, OSError for what cannot be read."""
    own = analysis.read(args.analyses)
    captions = parse_captions(args.captions, own)
    published = intake.published(args.published, args.recomputed, args.gate)
    elsewhere = tables.read(args.releases, OWN_STATUSES) if args.releases else []
    days = releases.read_days(args.release_days) if args.release_days else {}
    moved = releases.find(own, elsewhere, earlier(args, own), args.packages, days)
    return build.report(own, published, captions, notes, moved)


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
