"""Compare two runs, or two platform CSVs: what got faster, slower, broke or was fixed, as Markdown.

Each side is a platform CSV, or a results directory, of which the tables are read.
Exit status: 0 if nothing got worse, 1 if a cell got slower or broke, 2 if a side cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import library  # noqa: F401
from arena import files
from reporting import changes, tables, versions
from reporting import markdown as md
from reporting.changes import Change
from reporting.columns import PUBLISHED_STATUSES, Row

TITLES = {
    changes.BROKE: "Broke",
    changes.SLOWER: "Slower",
    changes.FASTER: "Faster",
    changes.FIXED: "Fixed",
    changes.RESTATED: "Other status",
    changes.ADDED: "New cells",
    changes.REMOVED: "Cells that are gone",
    changes.UNSURE: "Without an interval, so not judged",
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("old", type=Path, help="platform CSV or results directory")
    parser.add_argument("new", type=Path, help="the same, measured later")
    parser.add_argument(
        "--threshold", type=float, default=1.05,
        help="least ratio that counts as slower, or whose inverse as faster (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="file for the Markdown (default: standard output)")
    args = parser.parse_args()
    if not args.threshold >= 1:
        parser.error(f"--threshold: {args.threshold}; expected 1 or more")
    return args


def main() -> int:
    args = arguments()
    try:
        old, new = read(args.old), read(args.new)
        found = changes.compare(old, new, args.threshold)
        moved = versions.moved(old, new)
    except (OSError, ValueError) as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2
    text = render(found, moved, args)
    if args.out:
        files.write_text(args.out, text)
    else:
        print(text, end="")
    return int(any(change.kind in changes.WORSE for change in found))


def read(side: Path) -> list[Row]:
    """The rows of one side. Raises ValueError if there is no CSV, or one that cannot be trusted."""
    if not side.is_dir():
        return tables.read([side], PUBLISHED_STATUSES)
    csvs = sorted((side / "platforms").glob("*.csv"))
    if not csvs:
        raise ValueError(f"{side}: no platforms/*.csv; expected a results directory or a platform CSV")
    return tables.read(csvs, PUBLISHED_STATUSES)


def render(found: list[Change], moved: list[versions.Moved], args: argparse.Namespace) -> str:
    """The comparison as Markdown."""
    counts = ", ".join(
        f"{number} {kind}"
        for kind in (*TITLES, changes.SAME)
        if (number := sum(change.kind == kind for change in found))
    )
    lines = [
        "# What changed",
        "",
        f"From {md.escaped(args.old)} to {md.escaped(args.new)}: {counts or 'nothing to compare'}.",
        "",
        "Ratios are of times, new over old, so above 1 is slower. A figure counts as changed if the 95 % "
        f"interval of its ratio excludes 1 and the ratio is at least {args.threshold:g}, or its inverse is. "
        "Compile times, which are measured once, are not compared.",
    ]
    if moved:
        lines += ["", "## Versions", "", *(f"- {md.escaped(each.words())}" for each in moved)]
    for kind, title in TITLES.items():
        members = [change for change in found if change.kind == kind]
        if members:
            lines += ["", f"## {title}", "", *table(members)]
    return "\n".join(lines) + "\n"


def table(members: list[Change]) -> list[str]:
    """Lines of a table of changes."""
    lines = ["| Machine | Model | Framework | Column | Old | New | Ratio | Interval |", "|---" * 8 + "|"]
    for change in members:
        lane = f", {change.lane}" if change.lane not in ("", "float32") else ""
        values = [change.platform, change.model, change.framework + lane, change.column]
        values += [_value(change.old), _value(change.new), *_interval(change)]
        lines.append(f"| {' | '.join(map(md.escaped, values))} |")
    return lines


def _value(value: object) -> md.Markdown:
    if value is None:
        return md.DASH
    return md.significant(value, 4) if isinstance(value, float) else md.escaped(value)


def _interval(change: Change) -> tuple[md.Markdown, md.Markdown]:
    if change.ratio is None:
        return md.DASH, md.DASH
    ends = md.DASH if change.low is None else md.interval(change.low, change.high)
    return md.significant(change.ratio), md.Markdown(f"{ends} ({change.basis})" if change.low else ends)


if __name__ == "__main__":
    sys.exit(main())
