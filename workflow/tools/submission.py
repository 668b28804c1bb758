"""Pack one platform's records into one small file, from which anyone can recompute its table.

    make submission PLATFORM=local OUT=report/published/my-machine.jsonl

The file holds rounds, verdicts, where weights came from and the sums of outputs, and no tensors. Names of users, hosts
and jobs, paths and what looks like a secret are left out; read the file before you send it. docs/submitting.md tells
the rest. Exit status 2 if the records cannot be packed, or would be refused.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import library  # noqa: F401  (the path)
from arena import files
from arena.configuration import loader
from reporting import catalogue
from reporting.submissions import evidence, lines, packing

ROOT = Path(__file__).resolve().parents[2]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results", type=Path, default=Path("results"), help="the run's (default: %(default)s)"
    )
    parser.add_argument("--platform", help="its name in the configuration (default: the only one there)")
    parser.add_argument("--configfile", nargs="+", type=Path, default=[], help="the overlays of the run")
    parser.add_argument(
        "--label", default="auto", help="the machine's name in reports (default: as it says itself)"
    )
    parser.add_argument("--rows", nargs="+", help="ids of the rows to send (default: all there are)")
    parser.add_argument("--by", default="", help="your name or project, for the reports")
    parser.add_argument(
        "--out", type=Path, help="the file, NAME.jsonl (default: report/published/PLATFORM.jsonl)"
    )
    args = parser.parse_args(argv)
    try:
        print(pack(args))
    except (OSError, ValueError) as error:
        print(f"submission: {error}", file=sys.stderr)
        return 2
    return 0


def pack(args: argparse.Namespace) -> str:
    """Write the file, if the intake takes it; what it holds, in words."""
    platform = args.platform or only(args.results)
    out = args.out or ROOT / "report" / "published" / f"{platform}{lines.SUFFIX}"
    if out.suffix != lines.SUFFIX:
        raise ValueError(f"--out {out}: expected a name that ends in {lines.SUFFIX}")
    config = resolved(args.configfile)
    text = packing.packed(args.results, platform, config, args.label, args.by, args.rows)
    with files.replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
        try:
            found = evidence.read(temporary, catalogue.of(config))
        except lines.SubmissionError as error:
            raise ValueError(
                f"the records would be refused: {str(error).replace(str(temporary), str(out))}"
            ) from None
    rounds = sum(len(cell.rounds) for cell in found.cells)
    return (
        f"{out}: {rounds} rounds of {len(found.cells)} cells, {len(text.encode()) / 1e3:.0f} kB.\n"
        "Names of users, hosts and jobs, paths and what looks like a secret were left out. Read it before you send it."
    )


def only(results: Path) -> str:
    """The platform of these results, if there is one."""
    names = sorted(path.name for path in (results / "benchmarks").glob("*") if path.is_dir())
    if len(names) != 1:
        raise ValueError(
            f"{results}/benchmarks: {', '.join(names) or 'nothing'}; say which one with --platform"
        )
    return names[0]


def resolved(overlays: list[Path]) -> dict[str, Any]:
    """The configuration of a run with these overlays."""
    user: Any = loader.read_yaml(ROOT / "config" / "config.yaml")
    for path in overlays:
        user = loader.merge(user, loader.read_yaml(path))
    return loader.resolve(user, ROOT)


if __name__ == "__main__":
    sys.exit(main())
