"""Read the rounds, verdicts and weight sources of one platform, and refuse what does not fit together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arena import files
from arena.weights import source

SCHEMA = 1
STATUSES = ("ok", "failed", "unsupported")
VERDICTS = ("pass", "close", "different", None)
IDENTITY_KEYS = ("platform", "model", "row")
ROUND_KEYS = (
    *IDENTITY_KEYS,
    *("framework", "label", "lane", "round", "status", "reason", "started", "tasks", "threads", "machine"),
)
TASK_KEYS = ("samples_ns", "steady")  # of a task that is ok
VERDICT_KEYS = (*IDENTITY_KEYS, "verdict", "parts", "reasons", "noise")


@dataclass(frozen=True)
class RecordedCell:
    """All that was recorded of one (model, row): its rounds in order, and the gate's verdict."""

    model: str
    row: str
    rounds: list[dict[str, Any]]
    paths: list[Path]  # of the rounds
    verdict: dict[str, Any]


def cells(
    rounds: Iterable[Path], validations: Iterable[Path], platform: str, models: list[str], rows: list[str]
) -> list[RecordedCell]:
    """Every cell of ``models`` x ``rows``, in that order.

    Raises ValueError naming the file or the cell if a file is of another platform or schema, a cell
    lacks a round or its verdict, there is one too many, or ``status`` and verdict contradict each other.
    """
    by_cell: dict[tuple[str, str], dict[int, tuple[Path, dict[str, Any]]]] = {}
    for path in rounds:
        record = _read(path, ROUND_KEYS, platform)
        _check(path, "status", record["status"], STATUSES)
        for task, result in record["tasks"].items():
            _check(path, f"tasks.{task}.status", result.get("status"), STATUSES)
            for key in TASK_KEYS if result["status"] == "ok" else ():
                if key not in result:
                    raise ValueError(f"{path}: key tasks.{task}.{key} is missing; measure the round again")
        known = by_cell.setdefault((record["model"], record["row"]), {})
        if record["round"] in known:
            first = known[record["round"]][0]
            raise ValueError(f"{path}: round {record['round']} of its cell is also in {first}; give one")
        known[record["round"]] = (path, record)
    verdicts: dict[tuple[str, str], dict[str, Any]] = {}
    for path in validations:
        record = _read(path, VERDICT_KEYS, platform)
        _check(path, "verdict", record["verdict"], VERDICTS)
        if (record["model"], record["row"]) in verdicts:
            raise ValueError(f"{path}: a second verdict on {record['model']} / {record['row']}; give one")
        verdicts[record["model"], record["row"]] = record

    wanted = [(model, row) for model in models for row in rows]
    for name, found in (("round", by_cell), ("verdict", verdicts)):
        for model, row in wanted:
            if (model, row) not in found:
                raise ValueError(f"{model} / {row}: no {name} among the files given; expected one or more")
        for model, row in found:
            if (model, row) not in wanted:
                raise ValueError(f"{model} / {row}: a {name} of a cell that --models and --rows do not name")
    return [_cell(*key, by_cell[key], verdicts[key]) for key in wanted]


def weights(sources: Iterable[Path], models: list[str]) -> dict[str, str]:
    """Where each model's weights came from, in words, by the name of the directory that holds the file."""
    found = {path.parent.name: path for path in sources}
    words = {}
    for model in models:
        if model not in found:
            raise ValueError(f"{model}: no {model}/source.json among --sources")
        try:
            words[model] = source.words(files.read_json(found[model]))
        except KeyError as error:
            raise ValueError(f"{found[model]}: key {error} is missing; make the weights again") from error
        except ValueError as error:
            raise ValueError(f"{found[model]}: {error}") from error
    return words


def _read(path: Path, keys: tuple[str, ...], platform: str) -> dict[str, Any]:
    record = files.read_json(path)
    if not isinstance(record, dict):
        raise ValueError(f"{path}: holds a {type(record).__name__}; expected an object")
    _check(path, "schema", record.get("schema"), (SCHEMA,))
    for key in keys:
        if key not in record:
            raise ValueError(f"{path}: key {key!r} is missing; delete the file and run again")
    _check(path, "platform", record["platform"], (platform,))
    return record


def _check(path: Path, key: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{path}: {key} is {value!r}; expected {' or '.join(map(repr, allowed))}")


def _cell(
    model: str, row: str, found: dict[int, tuple[Path, dict[str, Any]]], verdict: dict[str, Any]
) -> RecordedCell:
    numbers = sorted(found)
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(f"{model} / {row}: rounds {numbers}; expected 1 to {max(numbers)} without a gap")
    records = [found[number][1] for number in numbers]
    measured = all(record["status"] == "ok" for record in records)
    if measured and verdict["verdict"] is None:
        raise ValueError(f"{model} / {row}: every round is ok, yet its verdict is null; validate again")
    return RecordedCell(model, row, records, [found[number][0] for number in numbers], verdict)
