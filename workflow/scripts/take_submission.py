"""Recompute the table of one submission, report/published/NAME.jsonl: its platform's CSV, as a run here writes it,
and the account of how its figures came about.

docs/submitting.md says what a submission is, and what is checked of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from arena import files
from arena.contract import codec
from provenance import provenance
from reporting import export, intake
from reporting.columns import OWN_STATUSES
from reporting.submissions import evidence, table


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--submission", type=Path, required=True, help="the records, as make submission packs them"
    )
    parser.add_argument("--gate", type=json.loads, required=True, help="JSON {lane: its tolerances}")
    parser.add_argument(
        "--catalogue",
        type=json.loads,
        required=True,
        help="JSON: this project's models and rows (reporting.catalogue)",
    )
    parser.add_argument("--least-difference", type=float, required=True, help="as of this run's tables")
    parser.add_argument("--out", type=Path, required=True, help="the table, CSV")
    parser.add_argument("--account", type=Path, required=True, help="how its figures came about, JSON")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        submission = evidence.read(args.submission, args.catalogue)
        found = table.recomputed(submission, args.gate, args.catalogue, args.least_difference)
        with files.replacing(args.out) as temporary:
            temporary.write_text(export.csv_text(found), encoding="utf-8")
            intake.read([temporary], OWN_STATUSES, args.gate)
        facts = provenance(
            [record for cell in submission.cells for record in cell.rounds], None, files.sha256(args.out)
        )
        if submission.account:
            facts["allocations"] = codec.encode(submission.account)["allocations"]
        facts["missing"] = [vars(each) for each in submission.unmeasured]
        files.write_json(args.account, facts)
    except (OSError, ValueError) as error:
        sys.exit(f"take_submission.py: {error}")


if __name__ == "__main__":
    main()
