"""One platform's table from several allocations of its machine: `allocations.py pack ...`, `allocations.py merge ...`.

A machine that is lent for minutes is measured in parts. `pack` puts the records of one allocation (rounds, verdicts and
weights' sources; no tensors) into an archive, to be brought back; `merge` lays the archives of all of them out as the
results of one platform, each allocation's rounds after those of the earlier ones, and writes what each was:

    python allocations.py pack --results results --platform h200 --id a1 --out a1.tar.gz
    python allocations.py merge a1.tar.gz a2.tar.gz --into results --platform h200

A table that was published goes on so, too: `merge report/published/NAME.jsonl a3.tar.gz`.

The allocations must agree in card, driver, weights, settings and the code that measures, and each must hold the
baseline's row; in models and other rows they may differ. What two cards of a host measured in one results directory
become two allocations, ID-1 and ID-2.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import library  # noqa: F401  (the path)
from allocating.parts import FACTS, SCHEMA, AllocationError, Part, one_card_each, parts_of, renumbered
from allocating.sameness import refuse_others
from arena import files
from arena.contract import codec
from arena.contract import round as contract_round
from arena.contract.round import Round
from reporting import allotments
from reporting.counted import counted

SEVERITY = ("pass", "close", "different", None)  # of verdicts, the last one the worst
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    pack_ = commands.add_parser("pack", help="one allocation's records into an archive")
    pack_.add_argument("--results", type=Path, default=Path("results"))
    pack_.add_argument("--platform", required=True, help="its name in the configuration there")
    pack_.add_argument("--id", required=True, help="the allocation's name")
    pack_.add_argument("--out", type=Path, required=True, help="the archive, .tar.gz")
    merge_ = commands.add_parser("merge", help="archives of several allocations into a results directory")
    merge_.add_argument("archives", nargs="+", type=Path)
    merge_.add_argument(
        "--into", type=Path, default=Path("results"), help="a directory without this platform's records"
    )
    merge_.add_argument("--platform", required=True, help="its name in the configuration here")
    merge_.add_argument(
        "--missing",
        action="append",
        default=[],
        metavar="MODEL/ROW=WHY",
        help="cells that no part measured (* stands for any characters), and why; may be given several times",
    )
    merge_.add_argument("--baseline", default="pytorch-eager", help="row that every allocation must hold")
    return parser.parse_args(given)


def main() -> None:
    args = arguments()
    try:
        if args.command == "pack":
            print(pack(args.results, args.platform, args.id, args.out))
        else:
            missing = [_missing(text) for text in args.missing]
            print(merge(args.archives, args.into, args.platform, args.baseline, missing))
    except (AllocationError, OSError, ValueError) as error:
        sys.exit(f"allocations: {error}")


def pack(results: Path, platform: str, identity: str, out: Path) -> str:
    """Write the archive; what it holds, in words."""
    if not NAME.fullmatch(identity):
        raise AllocationError(f"--id {identity!r}: expected letters, digits, dots, dashes")
    rounds = sorted(results.glob(f"benchmarks/{platform}/*/*/round-*.json"))
    if not rounds:
        raise AllocationError(
            f"{results}/benchmarks/{platform} holds no round-*.json; was it measured under this name?"
        )
    rounds, verdicts = counted(results, platform, rounds)
    for cell, path in verdicts.items():
        if not path.exists():
            missing = f"results/{path.relative_to(results)}"
            raise AllocationError(f"{cell} has no verdict; make {missing} first")
    records = [contract_round.read(path) for path in rounds]
    one_card_each(records)
    sources = sorted(results.glob("models/*/source.json")) + sorted(results.glob("models/*/config.json"))
    out.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(out) as part, tarfile.open(part, "w:gz") as archive:
        _add(archive, FACTS, json.dumps({"schema": SCHEMA, "id": identity}).encode())
        for path in rounds:
            archive.add(path, f"benchmarks/{path.relative_to(results / 'benchmarks' / platform)}")
        for cell, path in verdicts.items():
            archive.add(path, f"validation/{cell}.json")
        for path in sources:
            archive.add(path, f"models/{path.relative_to(results / 'models')}")
    cells = len({path.parent for path in rounds})
    return f"{out}: {len(rounds)} rounds of {cells} cells, {out.stat().st_size / 1e6:.1f} MB"


def _missing(text: str) -> allotments.Missing:
    cells, _, why = text.partition("=")
    try:
        return allotments.Missing(cells=cells, why=why.strip())
    except codec.ContractError as error:
        raise AllocationError(f"--missing {text!r}: expected MODEL/ROW=WHY") from error


def merge(
    archives: list[Path],
    into: Path,
    platform: str,
    baseline: str,
    missing: Sequence[allotments.Missing] = (),
) -> str:
    """Lay the allocations out below ``into`` and write ``allocations/PLATFORM.json``; what came of it, in words.

    ``missing`` says of cells that no allocation measured why; of the others a table that is published already does.
    """
    target = into / "benchmarks" / platform
    if target.exists():
        raise AllocationError(f"{target} exists; merge into a directory without this platform's records")
    parts = sorted(
        (part for path in archives for part in parts_of(path)), key=lambda part: part.records[0].started
    )
    refuse_others(parts, baseline)
    hosts: dict[str | None, str] = {}
    shares: dict[str, list[tuple[allotments.Share, Round]]] = {}
    rounds: dict[tuple[str, int], Round] = {}
    counts: Counter[str] = Counter()
    for part in parts:
        hosts.setdefault(part.host, f"host {len(hosts) + 1}")
        shares[part.id] = []
        for cell, records in sorted(part.rounds.items()):
            for record in records:
                counts[cell] += 1
                share = allotments.Share(cell=cell, there=record.round, here=counts[cell])
                renamed = replace(record.cell, platform=platform)
                rounds[cell, share.here] = replace(record, cell=renamed, round=share.here)
                shares[part.id].append((share, rounds[cell, share.here]))
    owners = {
        cell: max((part for part in parts if cell in part.verdicts), key=lambda part: _badness(part, cell))
        for cell in counts
    }
    found = [
        allotments.described(
            part.id, hosts[part.host], [cell for cell in owners if owners[cell] is part], shares[part.id]
        )
        for part in parts
    ]
    told = {each: None for part in parts for each in part.missing if each.cells not in counts}
    account = allotments.Account(allocations=allotments.together(found, rounds), missing=[*missing, *told])
    try:
        allotments.hold(account, rounds)
    except ValueError as error:
        raise AllocationError(str(error)) from error
    for (cell, number), record in rounds.items():
        codec.write(target / cell / f"round-{number}.json", record)
    for cell, owner in owners.items():
        numbers = {share.there: share.here for share, _ in shares[owner.id] if share.cell == cell}
        judged = owner.verdicts[cell] | {"platform": platform}
        files.write_json(into / "validation" / platform / f"{cell}.json", renumbered(judged, numbers))
    for name, value in parts[0].models.items():
        files.write_json(into / "models" / name, value)
    codec.write(into / "allocations" / f"{platform}.json", account)
    return f"{into}: {len(rounds)} rounds of {len(counts)} cells from {len(parts)} allocations"


def _badness(part: Part, cell: str) -> tuple[int, float]:
    verdict = part.verdicts[cell]
    error = (verdict["parts"].get("inference") or {}).get("relative_l2")
    return SEVERITY.index(verdict["verdict"]), float("inf") if error is None else error


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


if __name__ == "__main__":
    main()
