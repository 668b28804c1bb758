"""Compare two runs, or two platform CSVs: what got faster, slower, broke or was fixed, as Markdown.

Each side is a platform CSV or a results directory of a run, whose samples then give sharper intervals.
Exit status: 0 if nothing got worse, 1 if a cell got slower or broke, 2 if a side cannot be read.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np

import library  # noqa: F401
from arena import files
from arena.contract import codec
from arena.contract.round import Round
from reporting import changes, tables
from reporting import markdown as md
from reporting.changes import Change, Samples
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
        (old, before), (new, after) = read(args.old), read(args.new)
        one = changes.one_platform(old, new)
        found = changes.compare(old, new, args.threshold, (samples(before, one), samples(after, one)))
    except (OSError, ValueError) as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2
    text = render(found, args)
    if args.out:
        files.write_text(args.out, text)
    else:
        print(text, end="")
    return int(any(change.kind in changes.WORSE for change in found))


def read(side: Path) -> tuple[list[Row], list[Path]]:
    """The rows of one side, and the files of its rounds if it is a results directory.

    Raises ValueError if there is no CSV, or one that cannot be trusted.
    """
    if not side.is_dir():
        return tables.read([side], PUBLISHED_STATUSES), []
    csvs = sorted((side / "platforms").glob("*.csv"))
    if not csvs:
        raise ValueError(f"{side}: no platforms/*.csv; expected a results directory or a platform CSV")
    return tables.read(csvs, PUBLISHED_STATUSES), sorted((side / "benchmarks").glob("*/*/*/round-*.json"))


def samples(paths: list[Path], one_platform: bool) -> Samples:
    """Durations in ns by cell and task, a vector for each process; only of tasks that are ok throughout.

    A cell with a round that cannot be read, as one that an older arena recorded, is said and left out: its
    figures in the table are compared.
    """
    found: dict[changes.Key, dict[str, list[np.ndarray]]] = {}
    spoilt: set[tuple[changes.Key, str]] = set()
    for record in itertools.chain.from_iterable(map(cell_rounds, by_cell(paths))):
        cell = record.cell
        key = ("" if one_platform else cell.platform, cell.model, cell.row, cell.lane)
        for task, result in record.tasks.items():
            if result.status == "ok":
                found.setdefault(key, {}).setdefault(task, []).append(np.asarray(result.samples_ns))
            else:
                spoilt.add((key, task))
    return {
        key: {task: vectors for task, vectors in tasks.items() if (key, task) not in spoilt}
        for key, tasks in found.items()
    }


def by_cell(paths: list[Path]) -> list[list[Path]]:
    """The files of each cell's rounds, which lie in one directory."""
    return [list(group) for _, group in itertools.groupby(sorted(paths), key=lambda path: path.parent)]


def cell_rounds(paths: list[Path]) -> list[Round]:
    """The rounds of one cell; none, and a word of it, if one cannot be read."""
    try:
        return [codec.read(Round, path) for path in paths]
    except codec.ContractError as error:
        print(f"compare.py: {error}; the cell is compared by its table alone", file=sys.stderr)
        return []


def render(found: list[Change], args: argparse.Namespace) -> str:
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
