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
import itertools
import json
import re
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import library  # noqa: F401  (the path)
from arena import files
from arena.contract import codec
from arena.contract import round as contract_round
from arena.contract.cell import Cell
from arena.contract.round import Round
from arena.contract.verdict import Verdict
from reporting import allotments
from reporting.counted import counted
from reporting.submissions import evidence, lines

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = 2
READABLE = (1, 2)  # the first told of its rounds what follows from them
FACTS = "allocation.json"
SEVERITY = ("pass", "close", "different", None)  # of verdicts, the last one the worst
# What decides a figure: two allocations whose commits differ in one of these are not one measurement, unless it is
# a framework's own, and the framework of no cell that both have.
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
ROUNDS = re.compile(r"\(round (\d+(?:, \d+)*)\)")  # as a verdict's reasons name them


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
    _one_card_each(records)
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


def _one_card_each(records: list[Round]) -> None:
    """Refuse a cell whose rounds ran on several cards: they would be neither one's nor the other's."""
    cards: dict[str, set[str | None]] = defaultdict(set)
    for record in records:
        cards[f"{record.cell.model}/{record.cell.row}"].add(_card(record))
    for cell, found in cards.items():
        if len(found) > 1:
            raise AllocationError(
                f"{cell} ran on cards {', '.join(sorted(map(str, found)))}; measure all rounds of a cell on one"
            )


def _card(record: Round) -> str | None:
    return record.machine.gpu.uuid if record.machine.gpu else None


@dataclass(frozen=True)
class Part:
    """What one card of an allocation measured. By cell (MODEL/ROW), the rounds in the order of their numbers."""

    path: Path  # the archive
    id: str
    host: str | None
    rounds: dict[str, list[Round]]
    verdicts: dict[str, dict[str, Any]]
    models: dict[str, dict[str, Any]]  # by the file's name below models/: what it holds

    @property
    def records(self) -> list[Round]:
        """All rounds, the earliest first."""
        return sorted((each for cell in self.rounds.values() for each in cell), key=lambda each: each.started)


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

    ``missing`` says of cells that no allocation measured why.
    """
    target = into / "benchmarks" / platform
    if target.exists():
        raise AllocationError(f"{target} exists; merge into a directory without this platform's records")
    parts = sorted(
        (part for path in archives for part in _parts(path)), key=lambda part: part.records[0].started
    )
    _same(parts, baseline)
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
    account = allotments.Account(allocations=allotments.together(found, rounds), missing=list(missing))
    try:
        allotments.hold(account, rounds)
    except ValueError as error:
        raise AllocationError(str(error)) from error
    for (cell, number), record in rounds.items():
        codec.write(target / cell / f"round-{number}.json", record)
    for cell, owner in owners.items():
        numbers = {share.there: share.here for share, _ in shares[owner.id] if share.cell == cell}
        judged = owner.verdicts[cell] | {"platform": platform}
        files.write_json(into / "validation" / platform / f"{cell}.json", _renumbered(judged, numbers))
    for name, value in parts[0].models.items():
        files.write_json(into / "models" / name, value)
    codec.write(into / "allocations" / f"{platform}.json", account)
    return f"{into}: {len(rounds)} rounds of {len(counts)} cells from {len(parts)} allocations"


def _parts(path: Path) -> list[Part]:
    """The allocations in a file: an archive of ``pack``, or the submission of a table that was published."""
    return _published(path) if path.suffix == lines.SUFFIX else by_card(_read(path))


def _published(path: Path) -> list[Part]:
    """The allocations that a submission keeps, as they were before they were put together."""
    try:
        found = evidence.read(path)
    except lines.SubmissionError as error:
        raise AllocationError(str(error)) from error
    if found.account is None:
        raise AllocationError(f"{path} names no allocations; pack its records instead")
    cells = {f"{cell.model}/{cell.row}": cell for cell in found.cells}
    by_number = {(name, record.round): record for name, cell in cells.items() for record in cell.rounds}
    models = {}
    for name, model in found.models.items():
        models |= {f"{name}/source.json": model["source"], f"{name}/config.json": model["architecture"]}
    parts = []
    for allocation in found.account.allocations:
        rounds: dict[str, list[Round]] = defaultdict(list)
        for share in allocation.rounds:
            rounds[share.cell].append(replace(by_number[share.cell, share.here], round=share.there))
        verdicts = {}
        for name in allocation.judged:
            numbers = {share.here: share.there for share in allocation.rounds if share.cell == name}
            verdicts[name] = _renumbered(codec.encode(cells[name].verdict), numbers)
        parts.append(Part(path, allocation.id, allocation.host, dict(rounds), verdicts, models))
    return parts


def by_card(part: Part) -> list[Part]:
    """An archive's parts: where cells ran on several cards of a host, each card is an allocation of its own."""
    cards = list(dict.fromkeys(map(_card, part.records)))
    if len(cards) == 1:
        return [part]
    found = []
    for number, card in enumerate(cards, 1):
        rounds = {cell: records for cell, records in part.rounds.items() if _card(records[0]) == card}
        verdicts = {cell: part.verdicts[cell] for cell in rounds if cell in part.verdicts}
        found.append(replace(part, id=f"{part.id}-{number}", rounds=rounds, verdicts=verdicts))
    return found


def _read(path: Path) -> Part:
    """What an archive holds."""
    facts: dict[str, Any] = {}
    rounds: dict[str, list[Round]] = defaultdict(list)
    verdicts: dict[str, dict[str, Any]] = {}
    models: dict[str, dict[str, Any]] = {}
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
                facts = value
            elif kind == "benchmarks" and len(rest) == 3:
                rounds["/".join(rest[:2])].append(_decoded(Round, value, f"{path}: {member.name}"))
            elif kind == "validation" and len(rest) == 2:
                _decoded(Verdict, value, f"{path}: {member.name}")
                verdicts["/".join(rest).removesuffix(".json")] = value
            elif kind == "models" and len(rest) == 2:
                models["/".join(rest)] = value
            else:
                raise AllocationError(f"{path}: {member.name} is not expected in an allocation's archive")
    if facts.get("schema") not in READABLE:
        raise AllocationError(f"{path}: no {FACTS} of schema {SCHEMA}; pack the allocation again")
    for cell, records in rounds.items():
        records.sort(key=lambda record: record.round)
        if cell not in verdicts:
            raise AllocationError(f"{path}: {cell} has no verdict; pack the allocation again")
        worst = {
            each
            for part in verdicts[cell]["parts"].values()
            if part
            for each in (part["rounds"] or {}).values()
        }
        if foreign := worst - {record.round for record in records}:
            raise AllocationError(
                f"{path}: the verdict on {cell} tells of round {min(foreign)}, which is not there; validate it again"
            )
    _one_card_each([record for records in rounds.values() for record in records])
    host = next(iter(rounds.values()))[0].machine.hostname
    return Part(path, facts["id"], host, dict(rounds), verdicts, models)


def _decoded(kind: type[codec.T], value: Any, where: str) -> codec.T:
    try:
        return codec.decode(kind, value)
    except codec.ContractError as error:
        raise AllocationError(f"{where}: {error}") from error


def _same(parts: list[Part], baseline: str) -> None:
    """Refuse allocations that are not parts of one measurement. The first one gets the models of all."""
    identities = [part.id for part in parts]
    if len(set(identities)) < len(identities):
        raise AllocationError(f"allocations {', '.join(identities)}: each needs a name of its own")
    first = parts[0]
    definitions: dict[str, tuple[Part, Cell]] = {}
    for part in parts:
        if not any(cell.endswith(f"/{baseline}") for cell in part.rounds):
            raise AllocationError(
                f"{part.path}: allocation {part.id} measured no {baseline}, which every one must"
            )
        cards, known = (_cards(each) for each in (part, first))
        if cards != known:
            raise AllocationError(f"{part.path}: card and driver are {cards}; {first.id} had {known}")
        for cell, records in part.rounds.items():
            # The platform gets another name, and a node may leave fewer threads to one round.
            for record in records:
                mine = replace(record.cell, platform="", threads=0)
                owner, known_cell = definitions.setdefault(cell, (part, mine))
                if mine != known_cell:
                    keys = [key for key in vars(mine) if getattr(mine, key) != getattr(known_cell, key)]
                    raise AllocationError(
                        f"{part.path}: {cell} differs in {', '.join(keys)} from what {owner.path} has; measure all "
                        "parts with one configuration"
                    )
        for name, value in part.models.items():
            if first.models.setdefault(name, value) != value:
                what = (
                    "weights have another source" if name.endswith("source.json") else "architecture differs"
                )
                raise AllocationError(
                    f"{part.path}: {name.split('/')[0]}'s {what}: not that of an earlier allocation ({name})"
                )
    commits = list(dict.fromkeys(record.commit for part in parts for record in part.records))
    for commit in commits:
        if commit is None or commit.endswith("-dirty"):
            raise AllocationError(
                f"commit {commit}: allocations are put together by commit; measure from a clean checkout"
            )
    for one, other in itertools.combinations(parts, 2):
        for old, new in itertools.product(_commits(one), _commits(other)):
            if old != new and (changed := decisive(_changed(old, new), _shared(one, other))):
                raise AllocationError(
                    f"between {old} and {new} changed what measures: {', '.join(changed[:5])}"
                )


def _commits(part: Part) -> list[str]:
    return list(dict.fromkeys(str(record.commit) for record in part.records))


def _shared(one: Part, other: Part) -> set[str]:
    """The frameworks of the cells that both measured."""
    return {one.rounds[cell][0].cell.framework for cell in one.rounds.keys() & other.rounds.keys()}


def decisive(changed: list[str], shared: Collection[str]) -> list[str]:
    """Those of the files that decide a figure of more than one allocation: what a framework has for itself only
    does where both measured a cell of it (``shared``)."""
    engines = {path.name.removeprefix("arena-") for path in (ROOT / "workflow" / "engines").glob("arena-*")}

    def matters(path: str) -> bool:
        match Path(path).parts[1:]:
            case ("scripts", "frameworks", folder, _, *_):
                return folder in shared
            case ("engines", folder, *_) if folder.startswith("arena-"):
                name = folder.removeprefix("arena-")  # arena-burn is also burn-wgpu's and burn-cuda's
                return any(each == name or each.startswith(f"{name}-") for each in shared)
            case ("engines", *_):
                return not engines.isdisjoint(shared)
        return True

    return [path for path in changed if matters(path)]


def _cards(part: Part) -> list[Any]:
    cards = [record.machine.gpu for record in part.records if record.machine.gpu]
    return [codec.encode(card) for card in allotments.kind(cards)]


def _changed(old: str, new: str) -> list[str]:
    command = ["git", "-C", str(ROOT), "diff", "--name-only", old, new, "--", *MEASURES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AllocationError(f"git knows not both {old} and {new}: {done.stderr.strip()}")
    return done.stdout.split()


def _badness(part: Part, cell: str) -> tuple[int, float]:
    verdict = part.verdicts[cell]
    error = (verdict["parts"].get("inference") or {}).get("relative_l2")
    return SEVERITY.index(verdict["verdict"]), float("inf") if error is None else error


def _renumbered(verdict: dict[str, Any], numbers: dict[int, int]) -> dict[str, Any]:
    """The verdict, naming rounds by their numbers here."""

    def named(match: re.Match[str]) -> str:
        return f"(round {', '.join(str(numbers.get(int(each), each)) for each in match[1].split(', '))})"

    parts = {
        name: part and part | {"rounds": {key: numbers[each] for key, each in part["rounds"].items()}}
        if part and part["rounds"]
        else part
        for name, part in verdict["parts"].items()
    }
    return verdict | {
        "parts": parts,
        "reasons": [ROUNDS.sub(named, reason) for reason in verdict["reasons"]],
    }


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


if __name__ == "__main__":
    main()
