"""Say how a platform's figures came about, as JSON: to be published beside its CSV.

The machine, the card and its driver, every version, the command, and for each round when it ran, in what
state the card was before, during and after, and what else was on it. The figures themselves are in the CSV.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from arena import files
from arena.contract import codec
from arena.contract import round as rounds
from arena.contract.round import Round

SCHEMA = 1
PRIVATE = ("hostname",)  # nobody's business but the owner's


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, help="the platform's CSV; its SHA-256 is noted")
    parser.add_argument("--rounds", nargs="+", type=Path, required=True, help="round-*.json of every cell")
    parser.add_argument(
        "--allocations", nargs="*", type=Path, default=[], help="allocations.py's account, if any"
    )
    parser.add_argument(
        "--unmeasured",
        type=json.loads,
        default=[],
        help="JSON [{model, row, …, why}] of cells without rounds",
    )
    parser.add_argument("--command", required=True, help="the run's command line")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        records = [rounds.read(path) for path in args.rounds]
        facts = provenance(records, args.command, files.sha256(args.table))
        for account in args.allocations:
            facts["allocations"] = files.read_json(account)["allocations"]
        facts["missing"] = args.unmeasured
        files.write_json(args.out, facts)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"provenance.py: {type(error).__name__}: {error}")


def provenance(records: list[Round], command: str | None, table_sha256: str) -> dict[str, Any]:
    """What is common to all rounds, each value that occurred once, and a line for each round. ``command``: null where
    nobody knows it.
    """
    ordered = sorted(records, key=lambda record: record.started)
    machines = [
        {name: value for name, value in codec.encode(record.machine).items() if name not in PRIVATE}
        for record in ordered
    ]
    return {
        "schema": SCHEMA,
        "table_sha256": table_sha256,
        "command": command,
        "commits": _distinct(record.commit for record in ordered),
        "began": ordered[0].started,
        "last_round_began": ordered[-1].started,
        "machines": _distinct(machines),
        "accelerators": _distinct(record.cell.accelerator for record in ordered),
        "packages": _packages(ordered),
        "rounds": [_line(record) for record in ordered],
    }


def _packages(records: Iterable[Round]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for record in records:
        known = found.setdefault(record.cell.framework, [])
        if record.packages and record.packages not in known:
            known.append(record.packages)
    return found


def _line(record: Round) -> dict[str, Any]:
    conditions = record.conditions
    moments = {
        when: codec.encode(conditions and getattr(conditions, when).gpu)
        for when in ("before", "during", "after")
    }
    return {
        "model": record.cell.model,
        "row": record.cell.row,
        "round": record.round,
        "started": record.started,
        "duration_s": record.duration_s,
        "backend": record.backend,
        "device": record.device,
        "threads": {"given": record.cell.threads, "reported": record.threads_reported},
        "status": record.status,
        "reason": record.reason and record.reason.code,
        "gpu": moments,
        "offline": record.offline,
        "disturbance": codec.encode(conditions and conditions.disturbance),
    }


def _distinct(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


if __name__ == "__main__":
    main()
