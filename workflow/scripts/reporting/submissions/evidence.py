"""A submission's records held against each other, against the protocol that they name, and against this project."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from arena.contract import codec
from arena.contract.round import Round
from arena.contract.verdict import Verdict
from arena.judging import verdict as judging
from arena.judging.widening import parted
from arena.weights import source
from reporting import allotments
from reporting.claims import LANES
from reporting.rounds import RecordedCell, Unmeasured, allotted, held_to_nothing
from reporting.submissions import lines, rounds_held, verdicts_held
from reporting.submissions.lines import SubmissionError

LONGEST_NAME = 200

HEADER: dict[str, type] = {
    "format": str, "schema": int, "sha256": str, "platform": str, "label": str, "measured_by": str,
    "baseline": str, "gate": dict,
}  # fmt: skip
MISSING: dict[str, type] = dict.fromkeys(("model", "row", "framework", "lane", "why"), str)
MODEL: dict[str, type] = {
    "name": str, "definition": str, "loss": str, "architecture": dict, "workload": dict, "source": dict,
}  # fmt: skip


@dataclass(frozen=True)
class Submission:
    """One platform's records, found whole and in agreement with each other."""

    path: Path
    platform: str
    label: str
    measured_by: str
    baseline: str
    gate: dict[str, dict[str, float]]  # by lane: the tolerances that the verdicts were reached with
    models: dict[str, dict[str, Any]]  # by name: definition, loss, architecture, workload, source
    cells: list[RecordedCell]
    account: allotments.Account | None = None  # where it was measured in several allocations
    unmeasured: tuple[Unmeasured, ...] = ()


def read(path: Path, catalogue: Mapping[str, Any] | None = None) -> Submission:
    """The submission in a file.

    ``catalogue`` is this project's: ``{"models": {name: {definition, loss, architecture, workload}}, "rows": {row:
    {framework, lane}}}``; what it names must be what the records are of. Without it nothing is held against it.
    Raises SubmissionError naming the file, the line and the reason.
    """
    header, records = lines.read(path)
    try:
        _typed(header, HEADER)
        _names(header["label"], header["measured_by"])
        if not lines.NAME.fullmatch(header["platform"]):
            raise ValueError(f"platform {header['platform'][:60]!r}: expected letters, digits, dots, dashes")
        gate = _gate(header["gate"])
    except ValueError as error:
        raise SubmissionError(f"{path}:1: {error}") from error
    models: dict[str, dict[str, Any]] = {}
    for number, record in records["model"]:
        with At(path, number):
            _model(record, models, catalogue)
    rounds: dict[tuple[str, str], list[tuple[int, Round]]] = {}
    samples: dict[bytes, str] = {}
    for number, record in records["round"]:
        with At(path, number):
            found = rounds_held.decoded(record)
            rounds_held.identity(found, header["platform"], models, gate, catalogue)
            rounds_held.plausible(record)
            rounds_held.timed(found)
            rounds_held.own_samples(found, samples)
        rounds.setdefault((found.cell.model, found.cell.row), []).append((number, found))
    verdicts: dict[tuple[str, str], tuple[int, Verdict]] = {}
    for number, record in records["verdict"]:
        with At(path, number):
            judged = codec.decode(Verdict, record)
            key = judged.model, judged.row
            if key in verdicts:
                raise ValueError(
                    f"a second verdict on {' / '.join(key)}; the first is in line {verdicts[key][0]}"
                )
            if key not in rounds:
                raise ValueError(f"a verdict on {' / '.join(key)}, of which there is no round")
            verdicts[key] = number, judged
    account = _account(path, records["allocation"], rounds)
    cells = []
    for key in rounds:
        number, first = rounds[key][0]
        if key not in verdicts:
            raise SubmissionError(
                f"{path}:{number}: {' / '.join(key)} has no verdict; expected one for each cell"
            )
        with At(path, number):
            ordered = rounds_held.whole(rounds[key])
        judged_on = allotments.judged_rounds(account, "/".join(key)) if account else None
        with At(path, verdicts[key][0]):
            verdicts_held.agree(
                verdicts[key][1],
                [each for each in ordered if judged_on is None or each.round in judged_on],
                gate[first.cell.lane],
            )
        places = [Path(f"{path}:{line}") for line, _ in sorted(rounds[key], key=lambda pair: pair[1].round)]
        cell = held_to_nothing(RecordedCell(*key, ordered, places, verdicts[key][1]))
        cells.append(allotted(cell, account) if account else cell)
    if not cells:
        raise SubmissionError(f"{path}: no rounds; expected the records of a platform")
    if header["baseline"] not in {cell.row for cell in cells}:
        raise SubmissionError(f"{path}:1: baseline {header['baseline'][:60]!r} is no row of these records")
    return Submission(
        path,
        header["platform"],
        header["label"],
        header["measured_by"],
        header["baseline"],
        gate,
        models,
        cells,
        account,
        tuple(_unmeasured(path, records["missing"], models, gate, rounds, catalogue)),
    )


def _account(
    path: Path, records: list[lines.Line], rounds: Mapping[tuple[str, str], list[tuple[int, Round]]]
) -> allotments.Account | None:
    """The allocations of a submission, held against its rounds; None where it names none."""
    if not records:
        return None
    by_number = {
        (f"{model}/{row}", record.round): record
        for (model, row), numbered in rounds.items()
        for _, record in numbered
    }
    found = []
    for number, record in records:
        with At(path, number):
            found.append(codec.decode(allotments.Allotment, record))
            for name in (found[-1].id, found[-1].host.replace(" ", "-")):
                if not lines.NAME.fullmatch(name):
                    raise ValueError(
                        f"allocation {lines.short(name)}: expected letters, digits, dots, dashes"
                    )
    account = allotments.Account(allocations=found, missing=[])
    with At(path, records[0][0]):
        allotments.hold(account, by_number)
    return account


def _unmeasured(
    path: Path,
    records: list[lines.Line],
    models: Mapping[str, Any],
    gate: Mapping[str, Any],
    measured: Collection[tuple[str, str]],
    catalogue: Mapping[str, Any] | None,
) -> Iterator[Unmeasured]:
    """The cells that a submission says it lacks, each once, none of which it has."""
    known, seen = catalogue or {}, set(measured)
    for number, record in records:
        with At(path, number):
            _typed(record, MISSING)
            found = Unmeasured(**record)
            rounds_held.named(found.row, found.framework, found.lane, known)
            if found.model not in models and found.model not in known.get("models", {}):
                raise ValueError(
                    f"model {lines.short(found.model)}: expected one of this project or of the file"
                )
            if (found.model, found.row) in seen:
                raise ValueError(f"{found.model} / {found.row} is missing, yet it is there")
            if found.lane not in (*gate, *LANES):
                raise ValueError(f"lane {lines.short(found.lane)}; expected one of {', '.join(LANES)}")
            if not 0 < len(found.why) <= LONGEST_NAME:
                raise ValueError(f"why: expected words, {LONGEST_NAME} characters at most")
            seen.add((found.model, found.row))
            # What a framework cannot run is this project's to say, whatever the file has for a reason.
            reason = known.get("rows", {}).get(found.row, {}).get("unsupported", {}).get(found.model)
            yield replace(found, **reason) if reason else found


class At:
    """Whatever is refused inside is refused with file and line."""

    def __init__(self, path: Path, number: int):
        self.place = f"{path}:{number}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ValueError):
            raise SubmissionError(f"{self.place}: {error}") from error


def _typed(found: Mapping[str, Any], expected: Mapping[str, type]) -> None:
    for name, kind in expected.items():
        if name not in found:
            raise ValueError(f"{name}: missing")
        if type(found[name]) is not kind:
            raise ValueError(f"{name}: expected {kind.__name__}, got {type(found[name]).__name__}")
    if unknown := [name for name in found if name not in expected]:
        raise ValueError(f"{unknown[0][:60]}: unknown; expected only {', '.join(expected)}")


def _names(*texts: str) -> None:
    for text in texts:
        if len(text) > LONGEST_NAME:
            raise ValueError(
                f"name {text[:30]!r}… of {len(text)} characters; expected {LONGEST_NAME} at most"
            )


def _gate(gate: dict[str, Any]) -> dict[str, dict[str, float]]:
    for lane, tolerances in gate.items():
        if not isinstance(tolerances, dict) or "close_factor" not in tolerances:
            raise ValueError(f"gate.{lane}: expected tolerances with close_factor")
        if not all(type(value) in (int, float) for value in tolerances.values()):
            raise ValueError(f"gate.{lane}: expected numbers")
        judging.limits(*parted(tolerances))
    return gate


def _model(record: Mapping[str, Any], models: dict[str, Any], catalogue: Mapping[str, Any] | None) -> None:
    _typed(record, MODEL)
    name = record["name"]
    if not lines.NAME.fullmatch(name) or name in models:
        raise ValueError(
            f"model {name[:60]!r}: expected a name of letters, digits, dots and dashes, each once"
        )
    try:
        source.of(record["source"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"source of {name}'s weights: key {error} is missing") from error
    known = (catalogue or {}).get("models", {}).get(name)
    for key in ("definition", "loss", "architecture", "workload") if known else ():
        expected = known[key]
        if (
            key == "workload" and "quality" not in record[key]
        ):  # it is of before there were texts: all else counts
            expected = {part: each for part, each in expected.items() if part != "quality"}
        if record[key] != expected:
            raise ValueError(
                f"{name}: {key} is {lines.short(_difference(record[key], expected))}; expected this project's: "
                "another model needs another name"
            )
    models[name] = record


def _difference(found: Any, expected: Any) -> Any:
    """Of two objects, what the first has for the first key in which they differ."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in [*expected, *found]:
            if found.get(key) != expected.get(key):
                return {key: _difference(found.get(key), expected.get(key))}
    return found
