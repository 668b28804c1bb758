"""The account of a table that was made in several allocations of its machine (docs/gpu.md): which round is of which.

An allocation is a block, as a round is. What the account says of it follows from its rounds' records, so that whoever
has those can hold it against them.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal

from arena.contract import codec
from arena.contract.codec import ContractError, Count
from arena.contract.round import Gpu, Round

CLOCK_S = 1.0  # to which the records know when a round was begun
OF_ONE_CARD = ("uuid", "index")  # keys of a card that tell it from others of its kind


@dataclass(frozen=True, kw_only=True)
class Share:
    """A round of an allocation."""

    cell: Annotated[str, "MODEL/ROW"]
    there: Annotated[Count, "Its number among that allocation's rounds of the cell"]
    here: Annotated[Count, "Its number among all of the cell's rounds"]


@dataclass(frozen=True, kw_only=True)
class Beside:
    """Another allocation of the same host that measured meanwhile."""

    id: Annotated[str, "Its name"]
    rounds: Annotated[Count, "How many of this one's rounds ran while one of the other's did"]


@dataclass(frozen=True, kw_only=True)
class Allotment:
    """One allocation: a card, some cores and a time. Lists have each value that occurred once."""

    id: Annotated[str, "Its name"]
    host: Annotated[str, "Numbered; hosts of one name count as one"]
    began: Annotated[str, "When its first round did; ISO 8601, UTC"]
    ended: Annotated[str, "When its last round did, likewise"]
    commits: Annotated[list[str], "The arena's"]
    cards: Annotated[list[Gpu], "Name, number on the host, driver, memory; none without a card"]
    kernels: Annotated[list[str], "The system's"]
    cpus: Annotated[list[list[Count]], "On which its processes might run; none where the records do not say"]
    cores: Annotated[list[Count], "How many physical ones those are"]
    sm_mhz: Annotated[list[float] | None, "The card's clock while its rounds ran: least and largest seen"]
    beside: Annotated[list[Beside], "Those that measured at the same time on other cards of the host"]
    judged: Annotated[list[str], "The cells whose verdict, the worst of all allocations', is this one's"]
    rounds: Annotated[list[Share], "Its rounds"]


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Cells that no allocation measured."""

    cells: Annotated[str, "MODEL/ROW; * stands for any characters"]
    why: Annotated[str, "In words"]

    def __post_init__(self) -> None:
        if self.cells.count("/") != 1 or not self.why.strip():
            raise ContractError(f"{self.cells!r}, {self.why!r}: expected MODEL/ROW and words")


@dataclass(frozen=True, kw_only=True)
class Account:
    """``results/allocations/{platform}.json``."""

    schema: Annotated[Literal[2], "Of this record"] = 2
    allocations: Annotated[list[Allotment], "In the order of their beginning"]
    missing: Annotated[list[Missing], "What nobody measured; of several that name a cell the first counts"]

    def why_missing(self, model: str, row: str) -> str | None:
        """Why a cell was not measured; None where the account says nothing of it."""
        name = f"{model}/{row}"
        return next((each.why for each in self.missing if fnmatchcase(name, each.cells)), None)


Numbered = Mapping[tuple[str, int], Round]  # by MODEL/ROW and the round's number among all


def read(path: Path) -> Account:
    """The account in a file. Raises ContractError naming file and key, and saying what to do."""
    try:
        return codec.read(Account, path)
    except codec.ContractError as error:
        raise codec.ContractError(f"{error}; merge the allocations again") from error


def described(
    identity: str, host: str, judged: Iterable[str], rounds: Sequence[tuple[Share, Round]]
) -> Allotment:
    """What the records of an allocation say of it; what ran ``beside`` it is for ``together`` to find."""
    records = sorted((record for _, record in rounds), key=lambda record: record.started)
    clocks = [mhz for record in records for mhz in _clocks(record)]
    return Allotment(
        id=identity,
        host=host,
        began=records[0].started,
        ended=max(_span(record)[1] for record in records).isoformat(timespec="seconds"),
        commits=_distinct(record.commit for record in records),
        cards=_distinct(record.machine.gpu for record in records),
        kernels=_distinct(record.machine.kernel for record in records),
        cpus=_distinct(record.machine.cpus for record in records),
        cores=_distinct(record.machine.usable_physical_cores for record in records),
        sm_mhz=[min(clocks), max(clocks)] if clocks else None,
        beside=[],
        judged=sorted(judged),
        rounds=[share for share, _ in rounds],
    )


def together(allotments: Sequence[Allotment], rounds: Numbered) -> list[Allotment]:
    """The same with ``beside``: who measured on the same host at the same time. Records know seconds: less is none."""
    spans = {
        each.id: [
            _span(record) for share in each.rounds if (record := rounds[share.cell, share.here]).duration_s
        ]
        for each in allotments
    }
    second = datetime.timedelta(seconds=CLOCK_S)

    def meanwhile(one: str, other: str) -> int:
        return sum(
            any(
                min(ended, their_end) - max(began, their_begin) > second
                for their_begin, their_end in spans[other]
            )
            for began, ended in spans[one]
        )

    return [
        replace(
            each,
            beside=[
                Beside(id=other.id, rounds=count)
                for other in allotments
                if other is not each and other.host == each.host and (count := meanwhile(each.id, other.id))
            ],
        )
        for each in allotments
    ]


def hold(account: Account, rounds: Numbered) -> None:
    """Refuse an account that is not one of these rounds. Raises ValueError naming allocation, key and value."""
    names = [each.id for each in account.allocations]
    shares = Counter((share.cell, share.here) for each in account.allocations for share in each.rounds)
    _refuse_other_cards(account.allocations)
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"allocation {name!r} is there {count} times; expected each once")
    for each in account.allocations:
        if not each.rounds:
            raise ValueError(f"allocation {each.id!r}: no rounds; leave it out")
    for (cell, number), count in shares.items():
        if count > 1 or (cell, number) not in rounds:
            what = f"is named {count} times" if count > 1 else "is named, and there is no record of it"
            raise ValueError(f"round {number} of {cell} {what}; expected each round in one allocation")
    if lost := sorted(rounds.keys() - shares.keys()):
        raise ValueError(f"round {lost[0][1]} of {lost[0][0]} is in no allocation; expected it in one")
    found = [
        described(
            each.id,
            each.host,
            each.judged,
            [(share, rounds[share.cell, share.here]) for share in each.rounds],
        )
        for each in account.allocations
    ]
    for told, follows in zip(account.allocations, together(found, rounds), strict=True):
        twice = Counter((share.cell, share.there) for share in told.rounds).most_common(1)[0]
        if twice[1] > 1:
            raise ValueError(f"allocation {told.id!r}: round {twice[0][1]} of {twice[0][0]} is there twice")
        for field in fields(Allotment):
            if (said := getattr(told, field.name)) != (expected := getattr(follows, field.name)):
                raise ValueError(
                    f"allocation {told.id!r}: {field.name} is {_short(said)}, its rounds say {_short(expected)}"
                )
    judged = Counter(cell for each in account.allocations for cell in each.judged)
    for cell in sorted({name for name, _ in rounds}):
        owners = [each for each in account.allocations if cell in each.judged]
        if len(owners) != 1 or not any(share.cell == cell for share in owners[0].rounds):
            raise ValueError(f"judged: {cell} is {judged[cell]} times there; expected it once, where it ran")


def _refuse_other_cards(allotments: Sequence[Allotment]) -> None:
    """Raise ValueError where allocations are not of one kind of card and one driver."""
    first = allotments[0] if allotments else None
    for each in allotments:
        if first and kind(each.cards) != kind(first.cards):
            raise ValueError(
                f"card and driver of allocation {each.id!r} are {_short(kind(each.cards))}; {first.id!r} had "
                f"{_short(kind(first.cards))}"
            )


def kind(cards: Iterable[Gpu]) -> list[Gpu]:
    """Cards without what tells two of a kind apart."""
    return _distinct(replace(card, **dict.fromkeys(OF_ONE_CARD)) for card in cards)


def blocks(account: Account) -> dict[tuple[str, int], Hashable]:
    """By MODEL/ROW and a round's number among all: the allocation that it ran in, and its number there."""
    return {
        (share.cell, share.here): (each.id, share.there)
        for each in account.allocations
        for share in each.rounds
    }


def judged_rounds(account: Account, cell: str) -> set[int]:
    """The numbers of those rounds that a cell's verdict is on."""
    return {
        share.here
        for each in account.allocations
        if cell in each.judged
        for share in each.rounds
        if share.cell == cell
    }


def words(account: Account, cell: str) -> str:
    """The allocations of a cell: ``a1 (2 rounds, card 0, CPUs 0-15, beside a2); …``."""
    said = []
    for each in account.allocations:
        count = sum(share.cell == cell for share in each.rounds)
        if not count:
            continue
        facts = [f"{count} round{'s' * (count > 1)}"]
        facts += [f"card {card.index}" for card in each.cards if card.index is not None]
        facts += [f"CPUs {ranges(cpus)}" for cpus in each.cpus] or [f"{count} cores" for count in each.cores]
        facts += [f"beside {', '.join(other.id for other in each.beside)}"] if each.beside else []
        said.append(f"{each.id} ({', '.join(facts)})")
    return "; ".join(said)


def said(texts: Iterable[str | None]) -> str | None:
    """What is to be said of a table whose cells have these ``words``; None of one made in one go."""
    beside: dict[str, bool] = {}
    for each in "; ".join(filter(None, texts)).split("; "):
        name, _, facts = each.partition(" (")
        beside[name] = beside.get(name, False) or "beside " in facts
    if beside.keys() <= {""}:
        return None
    told = f"measured in {len(beside)} allocation{'s' * (len(beside) > 1)}"
    count = sum(beside.values())
    if not count:
        return told
    which = "" if len(beside) == 1 else ", each" if count == len(beside) else f", {count} of them"
    return f"{told}{which} while another card of the host was busy"


def ranges(numbers: Sequence[int]) -> str:
    """Numbers in short: ``0-15, 32``."""
    runs = [
        [number for _, number in run]
        for _, run in groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0])
    ]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _span(record: Round) -> tuple[datetime.datetime, datetime.datetime]:
    began = datetime.datetime.fromisoformat(record.started)
    return began, began + datetime.timedelta(seconds=record.duration_s)


def _clocks(record: Round) -> list[float]:
    watch = record.conditions and record.conditions.during.gpu
    return list(watch.sm_mhz or []) if watch else []


def _distinct(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value is not None and value not in found:
            found.append(value)
    return found


def _short(value: Any) -> str:
    text = repr(codec.encode(value))
    return text if len(text) <= 200 else f"{text[:200]}…"
