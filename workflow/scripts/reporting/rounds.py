"""Read the rounds, verdicts and weight sources of one platform, and refuse what does not fit together."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from arena import files
from arena.contract import round as contract_round
from arena.contract import verdict as contract_verdict
from arena.contract.round import Round
from arena.contract.verdict import Verdict
from arena.weights import source
from reporting import allotments


@dataclass(frozen=True)
class RecordedCell:
    """All that was recorded of one (model, row): its rounds in order, and the gate's verdict."""

    model: str
    row: str
    rounds: list[Round]
    paths: list[Path]  # of the rounds
    verdict: Verdict
    # What names each round among those of other cells, where the platform was measured in parts; else its number.
    allotted: list[Hashable] | None = None
    allocations: str | None = None  # those parts, in words

    @property
    def blocks(self) -> list[Hashable]:
        """For each round, what is the same for the cells that were measured in turn with it."""
        return self.allotted or [record.round for record in self.rounds]


#: The code of a cell that was to be measured, and that nobody measured: time was up.
NOT_MEASURED_CODE = "not-measured"


@dataclass(frozen=True)
class Unmeasured:
    """A (model, row) of which there is no round: nobody came to it, or its framework cannot run the model."""

    model: str
    row: str
    framework: str
    lane: str
    why: str
    code: str = NOT_MEASURED_CODE


def cells(
    rounds: Iterable[Path],
    validations: Iterable[Path],
    platform: str,
    models: list[str],
    rows: list[str],
    allocations: Sequence[Path] = (),
    unmeasured: Iterable[Unmeasured] = (),
) -> list[RecordedCell]:
    """Every cell of ``models`` x ``rows`` that is not ``unmeasured``, in that order. ``allocations``: the account of
    allotted rounds (workflow/tools/allocations.py), where they were measured in parts; else nothing.

    Raises ValueError naming the file or the cell if a file is no such record or of another platform, a cell
    lacks a round or its verdict, there is one too many, or ``status`` and verdict contradict each other.
    """
    by_cell: dict[tuple[str, str], dict[int, tuple[Path, Round]]] = {}
    for path in rounds:
        record = contract_round.read(path)
        _check(path, record.cell.platform, platform)
        known = by_cell.setdefault((record.cell.model, record.cell.row), {})
        if record.round in known:
            first = known[record.round][0]
            raise ValueError(f"{path}: round {record.round} of its cell is also in {first}; give one")
        known[record.round] = (path, record)
    verdicts: dict[tuple[str, str], Verdict] = {}
    for path in validations:
        verdict = contract_verdict.read(path)
        _check(path, verdict.platform, platform)
        if (verdict.model, verdict.row) in verdicts:
            raise ValueError(f"{path}: a second verdict on {verdict.model} / {verdict.row}; give one")
        verdicts[verdict.model, verdict.row] = verdict

    absent = {(each.model, each.row) for each in unmeasured}
    wanted = [(model, row) for model in models for row in rows if (model, row) not in absent]
    for name, found in (("round", by_cell), ("verdict", verdicts)):
        for model, row in wanted:
            if (model, row) not in found:
                raise ValueError(f"{model} / {row}: no {name} among the files given; expected one or more")
        for model, row in found:
            if (model, row) not in wanted:
                raise ValueError(f"{model} / {row}: a {name} of a cell that --models and --rows do not name")
    accounts = [allotments.read(path) for path in allocations]
    found_cells = [_cell(*key, by_cell[key], verdicts[key]) for key in wanted]
    return [allotted(cell, accounts[0]) for cell in found_cells] if accounts else found_cells


def allotted(cell: RecordedCell, account: allotments.Account) -> RecordedCell:
    """The cell with the allocations that its rounds are of. Raises ValueError for a round that is of none."""
    name, known = f"{cell.model}/{cell.row}", allotments.blocks(account)
    for record in cell.rounds:
        if (name, record.round) not in known:
            raise ValueError(
                f"{name}: round {record.round} is in no allocation's account; merge the allocations again"
            )
    blocks = [known[name, record.round] for record in cell.rounds]
    return replace(cell, allotted=blocks, allocations=allotments.words(account, name))


def weights(sources: Iterable[Path], models: list[str]) -> dict[str, source.Weights]:
    """Where each model's weights came from, by the name of the directory that holds the file."""
    found = {path.parent.name: path for path in sources}
    words: dict[str, source.Weights] = {}
    for model in models:
        if model not in found:
            raise ValueError(f"{model}: no {model}/source.json among --sources")
        try:
            words[model] = source.of(files.read_json(found[model]))
        except KeyError as error:
            raise ValueError(f"{found[model]}: key {error} is missing; make the weights again") from error
        except ValueError as error:
            raise ValueError(f"{found[model]}: {error}") from error
    return words


def _check(path: Path, found: str, platform: str) -> None:
    if found != platform:
        raise ValueError(f"{path}: platform is {found!r}; expected {platform!r}")


def _cell(
    model: str,
    row: str,
    found: dict[int, tuple[Path, Round]],
    verdict: Verdict,
) -> RecordedCell:
    numbers = sorted(found)
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(f"{model} / {row}: rounds {numbers}; expected 1 to {max(numbers)} without a gap")
    records = [found[number][1] for number in numbers]
    measured = all(record.status == "ok" for record in records)
    if measured and verdict.verdict is None and verdict.unjudged is None:
        raise ValueError(f"{model} / {row}: every round is ok, yet its verdict is null; validate again")
    return held_to_nothing(
        RecordedCell(model, row, records, [found[number][0] for number in numbers], verdict)
    )


def held_to_nothing(cell: RecordedCell) -> RecordedCell:
    """The cell; its rounds that are well have failed, with the verdict's reason, where nothing could be judged."""
    why = cell.verdict.unjudged
    if why is None:
        return cell
    records = [
        replace(record, status="failed", reason=why, tasks={}, quality=None)
        if record.status == "ok"
        else record
        for record in cell.rounds
    ]
    return replace(cell, rounds=records)
