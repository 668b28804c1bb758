"""Decide which cells of a platform get rounds after the planned ones, and how many: docs/statistics.md says how.

What was decided before, in the file that is written, holds on for cells that were not measured again since.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from arena.contract import codec, decision
from arena.contract import round as contract_round
from arena.contract import verdict as contract_verdict
from arena.contract.round import Round
from reporting import adaptive


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--platform", required=True, help="the platform's name in the config")
    parser.add_argument(
        "--rounds", nargs="+", type=Path, required=True, help="every cell's planned round-*.json"
    )
    parser.add_argument(
        "--validations", nargs="+", type=Path, required=True, help="verdict on those of every cell"
    )
    parser.add_argument("--planned", type=int, required=True, help="how many each cell has")
    parser.add_argument("--max-rounds", type=int, required=True, help="how many a cell gets at most")
    parser.add_argument("--target", type=float, required=True, help="half-width, as a share of the time")
    parser.add_argument("--max-seconds", type=float, help="for all of them together (default: no limit)")
    parser.add_argument("--out", type=Path, required=True, help="the decision; what it says already holds on")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        earlier = decision.read(args.out) if args.out.exists() else None
        found = adaptive.decide(
            cells(args.rounds, args.platform),
            verdicts(args.validations, args.platform),
            args.platform,
            args.planned,
            args.max_rounds,
            args.target,
            earlier,
            args.max_seconds,
        )
        codec.write(args.out, found)
    except (OSError, ValueError) as error:
        sys.exit(f"decide_rounds.py: {error}")


def cells(paths: list[Path], platform: str) -> dict[str, list[Round]]:
    """Rounds in their order, by MODEL/ROW. Raises ValueError naming a file that is of another platform."""
    found: dict[str, list[Round]] = {}
    for path in paths:
        record = contract_round.read(path)
        if record.cell.platform != platform:
            raise ValueError(f"{path}: platform is {record.cell.platform!r}; expected {platform!r}")
        found.setdefault(f"{record.cell.model}/{record.cell.row}", []).append(record)
    return {name: sorted(records, key=lambda record: record.round) for name, records in found.items()}


def verdicts(paths: list[Path], platform: str) -> dict[str, str | None]:
    """The gate's, by MODEL/ROW. Raises ValueError naming a file that is of another platform."""
    found: dict[str, str | None] = {}
    for path in paths:
        record = contract_verdict.read(path)
        if record.platform != platform:
            raise ValueError(f"{path}: platform is {record.platform!r}; expected {platform!r}")
        found[f"{record.model}/{record.row}"] = record.verdict
    return found


if __name__ == "__main__":
    main()
