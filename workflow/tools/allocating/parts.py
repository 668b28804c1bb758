"""The allocations in a file, as `allocations.py` packs them, or as a submission keeps them."""

from __future__ import annotations

import json
import re
import tarfile
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import library  # noqa: F401  (the path)
from arena.contract import codec
from arena.contract.round import Round
from arena.contract.verdict import Verdict
from reporting.allotments import Missing

SCHEMA = 2
READABLE = (1, 2)  # the first told of its rounds what follows from them
FACTS = "allocation.json"
ROUNDS = re.compile(r"\(round (\d+(?:, \d+)*)\)")  # as a verdict's reasons name them


class AllocationError(Exception):
    """The records cannot be packed or put together; the message names what is wrong."""


@dataclass(frozen=True)
class Part:
    """What one card of an allocation measured. By cell (MODEL/ROW), the rounds in the order of their numbers."""

    path: Path  # the archive
    id: str
    host: str | None
    rounds: dict[str, list[Round]]
    verdicts: dict[str, dict[str, Any]]
    models: dict[str, dict[str, Any]]  # by the file's name below models/: what it holds
    missing: tuple[Missing, ...] = ()  # what a published table says that it lacks

    @property
    def records(self) -> list[Round]:
        """All rounds, the earliest first."""
        return sorted((each for cell in self.rounds.values() for each in cell), key=lambda each: each.started)


def parts_of(path: Path) -> list[Part]:
    """The allocations in a file: an archive of ``pack``, or the submission of a table that was published."""
    return _published(path) if path.suffix == ".jsonl" else by_card(_read(path))


def _published(path: Path) -> list[Part]:
    """The allocations that a submission keeps, as they were before they were put together."""
    # Here, because it needs more than the Python of a measuring machine may have, where `pack` runs.
    from reporting.submissions import evidence, lines

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
    missing = tuple(Missing(cells=f"{each.model}/{each.row}", why=each.why) for each in found.unmeasured)
    parts = []
    for allocation in found.account.allocations:
        rounds: dict[str, list[Round]] = defaultdict(list)
        for share in allocation.rounds:
            rounds[share.cell].append(replace(by_number[share.cell, share.here], round=share.there))
        verdicts = {}
        for name in allocation.judged:
            numbers = {share.here: share.there for share in allocation.rounds if share.cell == name}
            verdicts[name] = renumbered(codec.encode(cells[name].verdict), numbers)
        parts.append(Part(path, allocation.id, allocation.host, dict(rounds), verdicts, models, missing))
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
    one_card_each([record for records in rounds.values() for record in records])
    host = next(iter(rounds.values()))[0].machine.hostname
    return Part(path, facts["id"], host, dict(rounds), verdicts, models)


def _decoded(kind: type[codec.T], value: Any, where: str) -> codec.T:
    try:
        return codec.decode(kind, value)
    except codec.ContractError as error:
        raise AllocationError(f"{where}: {error}") from error


def one_card_each(records: list[Round]) -> None:
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


def renumbered(verdict: dict[str, Any], numbers: dict[int, int]) -> dict[str, Any]:
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
