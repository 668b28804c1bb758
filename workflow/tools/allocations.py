"""One platform's table from several allocations of its machine: `allocations.py pack ...`, `allocations.py merge ...`.

A machine that is lent for minutes is measured in parts. `pack` puts the records of one allocation (rounds, verdicts and
weights' sources; no tensors) into an archive, to be brought back; `merge` lays the archives of all of them out as the
results of one platform, each allocation's rounds after those of the earlier ones, and writes what each was:

    python allocations.py pack --results results --platform h200 --id a1 --out a1.tar.gz
    python allocations.py merge a1.tar.gz a2.tar.gz --into results --platform h200

The allocations must agree in card, driver, weights and the code that measures, and each must hold the baseline's row.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import library  # noqa: F401  (the path)
from arena import files
from reporting.counted import counted

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = 1
FACTS = "allocation.json"
SEVERITY = ("pass", "close", "different", None)  # of verdicts, the last one the worst
# What decides a figure: two allocations whose commits differ in one of these are not one measurement.
MEASURES = (
    "workflow/scripts/benchmark.py",
    "workflow/scripts/measure.py",
    "workflow/scripts/validate.py",
    "workflow/scripts/compute_reference.py",
    "workflow/scripts/arena",
    "workflow/scripts/frameworks",
    "workflow/scripts/models",
    "workflow/engines",
)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class AllocationError(Exception):
    """The records cannot be packed or put together; the message names what is wrong."""


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
    merge_.add_argument("--baseline", default="pytorch-eager", help="row that every allocation must hold")
    return parser.parse_args(given)


def main() -> None:
    args = arguments()
    try:
        if args.command == "pack":
            print(pack(args.results, args.platform, args.id, args.out))
        else:
            print(merge(args.archives, args.into, args.platform, args.baseline))
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
    records = [files.read_json(path) for path in rounds]
    sources = sorted(results.glob("models/*/source.json"))
    facts = {"schema": SCHEMA, "id": identity, **described(records)}
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    with tarfile.open(part, "w:gz") as archive:
        _add(archive, FACTS, json.dumps(facts, indent=2).encode())
        for path in rounds:
            archive.add(path, f"benchmarks/{path.relative_to(results / 'benchmarks' / platform)}")
        for cell, path in verdicts.items():
            archive.add(path, f"validation/{cell}.json")
        for path in sources:
            archive.add(path, f"models/{path.relative_to(results / 'models')}")
    part.replace(out)
    cells = len({path.parent for path in rounds})
    return f"{out}: {len(rounds)} rounds of {cells} cells, {out.stat().st_size / 1e6:.1f} MB"


def described(records: list[dict[str, Any]]) -> dict[str, Any]:
    """When, on which card with which driver and clocks, and with which commit records were measured."""
    ordered = sorted(records, key=lambda record: record["started"])
    cards = _distinct(record["machine"].get("gpu") for record in ordered)
    clocks = [mhz for record in ordered for mhz in _clocks(record)]
    return {
        "began": ordered[0]["started"],
        "last_round_began": ordered[-1]["started"],
        "commits": _distinct(record["commit"] for record in ordered),
        "cards": cards,
        "kernels": _distinct(record["machine"].get("kernel") for record in ordered),
        "sm_mhz": [min(clocks), max(clocks)] if clocks else None,
    }


def merge(archives: list[Path], into: Path, platform: str, baseline: str) -> str:
    """Lay the allocations out below ``into`` and write ``allocations/PLATFORM.json``; what came of it, in words."""
    target = into / "benchmarks" / platform
    if target.exists():
        raise AllocationError(f"{target} exists; merge into a directory without this platform's records")
    found = sorted((_read(path) for path in archives), key=lambda one: one["facts"]["began"])
    _same(found, baseline)
    rounds: dict[str, list[dict[str, Any]]] = defaultdict(list)  # by cell, in the order of allocations
    verdicts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in found:
        facts = one["facts"] | {"rounds": []}
        for cell, records in sorted(one["rounds"].items()):
            for record in sorted(records, key=lambda record: record["round"]):
                number = len(rounds[cell]) + 1
                facts["rounds"].append({"cell": cell, "there": record["round"], "here": number})
                rounds[cell].append(_renamed(record, platform) | {"round": number})
        for cell, verdict in one["verdicts"].items():
            verdicts[cell].append(_renamed(verdict, platform))
        one["facts"] = facts
    for cell, records in rounds.items():
        for record in records:
            files.write_json(target / cell / f"round-{record['round']}.json", record)
    for cell, judged in verdicts.items():
        files.write_json(into / "validation" / platform / f"{cell}.json", max(judged, key=_badness))
    for name, source in found[0]["sources"].items():
        files.write_json(into / "models" / name / "source.json", source)
    files.write_json(
        into / "allocations" / f"{platform}.json",
        {"schema": SCHEMA, "allocations": [one["facts"] for one in found]},
    )
    total = sum(map(len, rounds.values()))
    return f"{into}: {total} rounds of {len(rounds)} cells from {len(found)} allocations"


def _read(path: Path) -> dict[str, Any]:
    """An archive's facts, and its records by cell (`MODEL/ROW`)."""
    found: dict[str, Any] = {"path": path, "rounds": defaultdict(list), "verdicts": {}, "sources": {}}
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            stream = archive.extractfile(member)
            if stream is None:
                raise AllocationError(
                    f"{path}: {member.name} is no file; made by something else than `pack`?"
                )
            value = json.load(stream)
            kind, *rest = member.name.split("/")
            if member.name == FACTS:
                found["facts"] = value
            elif kind == "benchmarks" and len(rest) == 3:
                found["rounds"]["/".join(rest[:2])].append(value)
            elif kind == "validation" and len(rest) == 2:
                found["verdicts"]["/".join(rest).removesuffix(".json")] = value
            elif kind == "models" and len(rest) == 2:
                found["sources"][rest[0]] = value
            else:
                raise AllocationError(f"{path}: {member.name} is not expected in an allocation's archive")
    if found.get("facts", {}).get("schema") != SCHEMA:
        raise AllocationError(f"{path}: no {FACTS} of schema {SCHEMA}; pack the allocation again")
    return found


def _same(found: list[dict[str, Any]], baseline: str) -> None:
    """Refuse allocations that are not parts of one measurement."""
    identities = [one["facts"]["id"] for one in found]
    if len(set(identities)) < len(identities):
        raise AllocationError(f"allocations {', '.join(identities)}: each needs a name of its own")
    first = found[0]
    for one in found:
        name = one["facts"]["id"]
        if not any(cell.endswith(f"/{baseline}") for cell in one["rounds"]):
            raise AllocationError(
                f"{one['path']}: allocation {name} measured no {baseline}, which every one must"
            )
        cards, known = one["facts"]["cards"], first["facts"]["cards"]
        if _models(cards) != _models(known):
            raise AllocationError(
                f"{one['path']}: card and driver are {cards}; {first['facts']['id']} had {known}"
            )
        for model, source in one["sources"].items():
            if first["sources"].setdefault(model, source) != source:
                raise AllocationError(
                    f"{one['path']}: {model}'s weights have another source than in {first['path']}"
                )
    commits = _distinct(commit for one in found for commit in one["facts"]["commits"])
    for commit in commits:
        if commit is None or commit.endswith("-dirty"):
            raise AllocationError(
                f"commit {commit}: allocations are put together by commit; measure from a clean checkout"
            )
    for commit in commits[1:]:
        changed = _changed(commits[0], commit)
        if changed:
            raise AllocationError(
                f"between {commits[0]} and {commit} changed what measures: {', '.join(changed[:5])}"
            )


def _changed(old: str, new: str) -> list[str]:
    command = ["git", "-C", str(ROOT), "diff", "--name-only", old, new, "--", *MEASURES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AllocationError(f"git knows not both {old} and {new}: {done.stderr.strip()}")
    return done.stdout.split()


def _models(cards: list[Any]) -> list[Any]:
    """Cards without what tells two of a kind apart."""
    if not all(isinstance(card, dict) for card in cards):
        return cards
    return [{key: value for key, value in card.items() if key != "uuid"} for card in cards]


def _renamed(record: dict[str, Any], platform: str) -> dict[str, Any]:
    """The record under the platform's name here."""
    if "cell" in record:
        return record | {"cell": record["cell"] | {"platform": platform}}
    return record | {"platform": platform}


def _badness(verdict: dict[str, Any]) -> tuple[int, float]:
    error = (verdict["parts"].get("inference") or {}).get("relative_l2")
    return SEVERITY.index(verdict["verdict"]), float("inf") if error is None else error


def _clocks(record: dict[str, Any]) -> list[float]:
    watch = ((record.get("conditions") or {}).get("during") or {}).get("gpu") or {}
    return [mhz for mhz in watch.get("sm_mhz") or [] if mhz is not None]


def _distinct(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


if __name__ == "__main__":
    main()
