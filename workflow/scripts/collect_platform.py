"""Analyse one platform's rounds and verdicts, a row a cell: typed for the reports, and as a CSV for readers.

What failed stands in a file of its own, by which the run's exit status is decided. The CSV's columns are described
in docs/platform-csv.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from arena import files
from arena.contract import codec
from arena.contract.failures import Failures
from reporting import analysis, crashes, export, failed, rounds, rows, stated


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--platform", required=True, help="the platform's name in the config")
    parser.add_argument("--label", required=True, help="its name in the report; auto: from the machine")
    parser.add_argument("--baseline", required=True, help="row to which ratios are given")
    parser.add_argument("--models", nargs="+", required=True, help="models, in the order of the CSV")
    parser.add_argument("--rows", nargs="+", required=True, help="row ids, in the order of the CSV")
    parser.add_argument("--rounds", nargs="+", type=Path, required=True, help="round-*.json of every cell")
    parser.add_argument("--validations", nargs="+", type=Path, required=True, help="verdict of every cell")
    parser.add_argument("--sources", nargs="+", type=Path, required=True, help="every MODEL/source.json")
    parser.add_argument(
        "--allocations", nargs="*", type=Path, default=[], help="allocations.py's account, if any"
    )
    parser.add_argument(
        "--unmeasured", type=json.loads, default=[],
        help="JSON [{model, row, framework, lane, why}] of the cells that no allocation measured",
    )  # fmt: skip
    parser.add_argument("--retry", required=True, help="the program that measures a cell again")
    parser.add_argument("--labels", type=json.loads, required=True, help="JSON {row: its name in the report}")
    parser.add_argument(
        "--sentences",
        type=json.loads,
        default={},
        help="JSON {key: the sentence that it stands for in records}",
    )
    parser.add_argument(
        "--crashes", type=json.loads, default={}, help="JSON {framework's id: its known crashes}"
    )
    parser.add_argument(
        "--float32-rows", type=json.loads, default={}, help="JSON {row: its framework's float32 row}"
    )
    parser.add_argument(
        "--work", type=json.loads, default={}, help="JSON {model: {scale_of, forward_flops}}; null: not known"
    )
    parser.add_argument(
        "--least-difference", type=float, default=0.02,
        help="share by which a row must be slower to lose the first place (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--prepared",
        type=json.loads,
        default={},
        help="JSON {MODEL/ROW: records of its exports and its build}",
    )
    parser.add_argument("--failures", type=Path, required=True, help="what failed, JSON")
    parser.add_argument("--analysis", type=Path, required=True, help="the rows for the reports, JSON")
    parser.add_argument("--out", type=Path, required=True, help="the platform CSV")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    try:
        unmeasured = [rounds.Unmeasured(**each) for each in args.unmeasured]
        cells = rounds.cells(
            args.rounds, args.validations, args.platform, args.models, args.rows, args.allocations, unmeasured
        )
        cells = crashes.explained(cells, args.crashes)
        weights = rounds.weights(args.sources, list(dict.fromkeys(cell.model for cell in cells)))
        table = rows.rows(
            cells,
            args.label,
            args.baseline,
            weights,
            args.retry,
            args.labels,
            args.float32_rows,
            args.work,
            args.least_difference,
        )
        found = failed.failures(cells, args.prepared)
        codec.write(
            args.failures, Failures(platform=args.platform, failures=found, raised=failed.raised(cells))
        )
        for each in unmeasured:
            label, work = args.labels.get(each.row, each.row), args.work.get(each.model)
            table.append(rows.not_measured(each, table[0], label, weights.get(each.model), work))
        table.sort(key=lambda row: (args.models.index(row["model"]), args.rows.index(row["row"])))
        table = stated.in_full(table, args.sentences)
        analysis.write(args.analysis, table)
        files.write_text(args.out, export.csv_text(table))
    except (OSError, ValueError) as error:
        sys.exit(f"collect_platform.py: {error}")


if __name__ == "__main__":
    main()
