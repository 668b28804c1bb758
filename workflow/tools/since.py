"""What changed since last time: each platform's table against the newest different one of its history.

The comparison is compare.py's, with the intervals that the tables hold. Exit status: 1 if a cell got slower
or broke, 2 if a table cannot be read or there is none, else 0.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import library  # noqa: F401
from reporting import history


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--directory", "-d", type=Path, default=Path(), help="of the run, as Snakemake's (default: this one)"
    )
    parser.add_argument("--results", type=Path, help="results directory (default: the run's results)")
    args = parser.parse_args()
    args.results = args.results or args.directory / "results"
    status = 0
    tables = sorted((args.results / "platforms").glob("*.csv"))
    if not tables:
        print(f"{args.results / 'platforms'} holds no table; `make report` writes one", file=sys.stderr)
        return 2
    for table in tables:
        before = history.latest_other(args.results, table.stem)
        if before is None:
            print(f"{table.stem}: no other table in {args.results / 'history' / table.stem}")
            continue
        command = [sys.executable, str(Path(__file__).with_name("compare.py")), str(before), str(table)]
        status = max(status, subprocess.run(command, check=False).returncode)
    return status


if __name__ == "__main__":
    sys.exit(main())
