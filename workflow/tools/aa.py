"""Measure one row under several names, and see whether the report tells them apart (`make aa`).

    python workflow/tools/aa.py --row onnxruntime --copies 3
    python workflow/tools/aa.py --configfile config/test.yaml --directory miniature -- --cores 2

An A/A check: every difference that is found is a false one. The copies are measured as platform `aa`, whose table is
results/platforms/aa.csv; weights, references and exports of a run in the same directory are used again, and its
tables and reports stay as they are. What follows `--` are further arguments of Snakemake's.

Exit status: 1 if more than one of 20 comparisons, rounded up, tells equal rows apart; 2 if there is nothing to
compare; Snakemake's if that fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

import library
from arena import files
from arena.configuration.loader import catalogues
from reporting import markdown as md
from reporting import tables
from reporting.columns import OWN_STATUSES, TIMED, Row
from reporting.details import ratio

ROOT = Path(__file__).resolve().parents[2]
PLATFORM = "aa"
ALLOWED = 20  # one comparison of so many may tell equal rows apart


def overlay(frameworks: dict[str, Any], row: str, copies: int, models: list[str] | None) -> dict[str, Any]:
    """A configuration that measures ``row`` under ``copies`` names. Raises ValueError if there is no such row."""
    name = next((name for name, entry in frameworks.items() if row in entry["rows"]), None)
    if name is None:
        known = ", ".join(each for entry in frameworks.values() for each in entry["rows"])
        raise ValueError(f"--row: {row!r} is no row of the catalogue; expected one of {known}")
    variant = frameworks[name]["rows"][row]
    names = [row, *(f"{row}-{number}" for number in range(2, copies + 1))]
    again = {
        other: variant | {"label": f"{variant['label']} ({number})"}
        for number, other in enumerate(names[1:], 2)
    }
    run = {"rows": names, "baseline": row} | ({"models": models} if models else {})
    return {
        "run": run,
        "platforms": [{"name": PLATFORM}],
        "frameworks": {name: {"rows": again}},
    }


def comparisons(rows: list[Row]) -> Iterable[tuple[str, str, Row]]:
    """(model, task, row) of each ranked row that is not the fastest itself: one comparison of equal rows each."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        for task in TIMED:
            if row[f"{task}_first"] is not None:
                groups.setdefault((row["model"], task, row["lane"]), []).append(row)
    for (model, task, _), members in groups.items():
        best = min(members, key=lambda row: row[f"{task}_ms"])
        yield from ((model, task, row) for row in members if row is not best)


def report(rows: list[Row]) -> tuple[str, int]:
    """A Markdown table of the comparisons and what they come to; exit status."""
    found = list(comparisons(rows))
    if not found:
        return "Nothing to compare: no row passed in two copies; see the reasons in the table.", 2
    lines = ["| Model | Task | Slower copy | Ratio to the faster | Told apart |", "|---|---|---|---|---|"]
    apart = 0
    for model, task, row in found:
        told = row[f"{task}_first"] is False
        apart += told
        values = [model, task, row["framework"], ratio(row, f"{task}_to_best"), "yes" if told else "no"]
        lines.append(f"| {' | '.join(map(md.escaped, values))} |")
    allowed = -(-len(found) // ALLOWED)
    lines += ["", f"{apart} of {len(found)} comparisons of equal rows tell them apart; up to {allowed} may."]
    return "\n".join(lines), int(apart > allowed)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--row", default="pytorch-eager", help="id of the row (default: %(default)s)")
    parser.add_argument("--copies", type=int, default=2, help="names that it gets (default: 2)")
    parser.add_argument("--models", nargs="+", help="models to run (default: those of the configuration)")
    parser.add_argument(
        "--configfile", nargs="+", type=Path, default=[], help="overlays to lay below this one"
    )
    parser.add_argument("--directory", type=Path, default=Path(), help="where results/ is (default: here)")
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="arguments for Snakemake")
    args = parser.parse_args()
    if args.copies < 2:
        parser.error(f"--copies: {args.copies}; expected 2 or more")
    try:
        chosen = overlay(catalogues(ROOT)["frameworks"], args.row, args.copies, args.models)
    except ValueError as error:
        print(f"aa.py: {error}", file=sys.stderr)
        return 2
    config = (args.directory / "results" / "aa.yaml").absolute()
    files.write_text(config, yaml.safe_dump(chosen))
    table = Path("results") / "platforms" / f"{PLATFORM}.csv"
    command = [*library.SNAKEMAKE, "--snakefile", str(ROOT / "Snakefile"), *args.arguments]
    command += ["--directory", str(args.directory), "--configfile", *map(str, [*args.configfile, config])]
    ended = subprocess.run([*command, "--", str(table)], check=False).returncode
    if ended:
        return ended
    try:
        text, status = report(tables.read([args.directory / table], OWN_STATUSES))
    except (OSError, ValueError) as error:
        print(f"aa.py: {error}", file=sys.stderr)
        return 2
    print(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
