"""Say how a platform's figures came about, as JSON: to be published beside its CSV.

The machine, the card and its driver, every version, the command, and for each round when it ran, in what
state the card was before, during and after, and what else was on it. The figures themselves are in the CSV.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from arena import files

SCHEMA = 1
PRIVATE = ("hostname",)  # nobody's business but the owner's


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, help="the platform's CSV; its SHA-256 is noted")
    parser.add_argument("--rounds", nargs="+", type=Path, required=True, help="round-*.json of every cell")
    parser.add_argument("--command", required=True, help="the run's command line")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        records = [files.read_json(path) for path in args.rounds]
        files.write_json(args.out, provenance(records, args.command, files.sha256(args.table)))
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"provenance.py: {type(error).__name__}: {error}")


def provenance(records: list[dict[str, Any]], command: str, table_sha256: str) -> dict[str, Any]:
    """What is common to all rounds, each value that occurred once, and a line for each round.

    Raises KeyError if a record is of another schema.
    """
    ordered = sorted(records, key=lambda record: record["started"])
    machines = [
        {name: value for name, value in record["machine"].items() if name not in PRIVATE}
        for record in ordered
    ]
    return {
        "schema": SCHEMA,
        "table_sha256": table_sha256,
        "command": command,
        "commits": _distinct(record.get("commit") for record in ordered),
        "began": ordered[0]["started"],
        "last_round_began": ordered[-1]["started"],
        "machines": _distinct(machines),
        "accelerators": _distinct(record.get("accelerator") for record in ordered),
        "packages": _packages(ordered),
        "rounds": [_line(record) for record in ordered],
    }


def _packages(records: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for record in records:
        known = found.setdefault(record["framework"], [])
        if record.get("packages") and record["packages"] not in known:
            known.append(record["packages"])
    return found


def _line(record: dict[str, Any]) -> dict[str, Any]:
    reason = (record.get("reason") or {}).get("code")
    names = ("model", "row", "round", "started", "duration_s", "backend", "device", "threads")
    conditions = record.get("conditions") or {}
    moments = {when: (conditions.get(when) or {}).get("gpu") for when in ("before", "during", "after")}
    return (
        {name: record.get(name) for name in names}
        | {"status": record["status"], "reason": reason, "gpu": moments}
        | {"offline": record.get("offline"), "disturbance": conditions.get("disturbance")}
    )


def _distinct(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


if __name__ == "__main__":
    main()
