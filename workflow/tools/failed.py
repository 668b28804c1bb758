"""Which files a run has to make again so that what failed is measured again, one a line: for `results/retry`.

Of a failed cell that is its first failed round, with those of its weights, its reference, its exports and its build
that were not made.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import library  # noqa: F401
from arena import files
from arena.contract import codec, failures
from arena.contract.failures import Failure
from arena.weights import unmade


def forced(found: Iterable[Failure], cell: str, number: int) -> list[str]:
    """What to make again for all of ``found``, or for ``cell`` from round ``number`` on if that is not empty."""
    chosen = [failure for failure in found if cell in ("", failure.cell)]
    wanted = [f"results/benchmarks/{cell}/round-{number}.json"] if cell else []
    # A cell whose tasks failed in several rounds is measured from the first of them on.
    first: dict[str, Failure] = {}
    for failure in chosen:
        if failure.cell not in first or failure.round < first[failure.cell].round:
            first[failure.cell] = failure
    # One that was measured, and held to nothing, needs a reference alone.
    measured_again = [each for each in first.values() if each.code != unmade.NO_REFERENCE]
    wanted += [] if cell else [failure.record for failure in measured_again]
    prepared = [path for failure in chosen for path in failure.prepared if not made(Path(path))]
    return list(dict.fromkeys([*prepared, *wanted]))


def made(record: Path) -> bool:
    """Whether what this record is of was made, or need not be tried again."""
    if not record.is_file():
        return False
    found = files.read_json(record)
    return found.get("status", found.get("kind")) != "failed" and unmade.KEY not in found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("failures", nargs="+", type=Path, help="results/failures/*.json of the run")
    parser.add_argument("--cell", default="", help="PLATFORM/MODEL/ROW alone, whether or not it failed")
    parser.add_argument("--round", type=int, default=1, help="of that cell (default: %(default)s)")
    args = parser.parse_args()
    try:
        found = [
            failure for path in args.failures if path.exists() for failure in failures.read(path).failures
        ]
    except (OSError, codec.ContractError) as error:
        raise SystemExit(f"failed.py: {error}") from error
    print("\n".join(forced(found, args.cell, args.round)))


if __name__ == "__main__":
    main()
