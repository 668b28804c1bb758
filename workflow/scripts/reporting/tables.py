"""Read platform CSVs, our own and those of strangers, and refuse what cannot be trusted to be shown."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from reporting.columns import BOOLEAN, NUMERIC, REQUIRED, SIGNED, Row
from reporting.fields import NUMBER, harmless, unguarded

SHOWN = 60  # characters of a value that a message quotes
INFINITE = "∞"  # what the original printed for a loss that overflowed; no time can be that
MOST_COLUMNS, LONGEST_COLUMN = 1000, 100
LONGEST_PACKAGES = 100_000  # characters
LONGEST_NUMBER = 40  # characters: a float has 24 at most
NAMED = ("platform", "model", "framework")  # may not be empty


def read(paths: Iterable[Path], statuses: tuple[str, ...]) -> list[Row]:
    """All rows of these CSVs, in order; numbers as float, empty fields as None.

    Text comes without what kept a spreadsheet from computing it, and without marks of direction. Columns beyond
    those of ``reporting.columns`` are kept as text. Raises ValueError naming file, line, column, what was found
    and what was expected: one of the first eleven columns missing, a status not in ``statuses``, a figure that is
    no finite number or negative, or a cell that occurs twice.
    """
    rows: list[Row] = []
    seen: dict[tuple[Any, ...], str] = {}
    for path in paths:
        for line, row in lines(path, statuses):
            place = f"{path}:{line}"
            key = tuple(row.get(name) for name in ("platform_id", "platform", "model", "framework", "row"))
            if key in seen:
                cell = " / ".join(part for part in key if part)
                raise ValueError(f"{place}: {cell} is also at {seen[key]}; expected each cell once")
            seen[key] = place
            rows.append(row)
    return rows


def lines(path: Path, statuses: tuple[str, ...]) -> Iterator[tuple[int, Row]]:
    """The rows of one CSV, each with the number of its last line. Raises ValueError as ``read`` does."""
    with open(path, encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, strict=True)
        try:
            header = [harmless(name) for name in next(reader, [])]
            _check_header(path, header)
            for fields in reader:
                line = reader.line_num  # of the record's last line
                if not fields:
                    continue
                if len(fields) != len(header):
                    raise ValueError(
                        f"{path}:{line}: {len(fields)} fields; expected {len(header)}, as in the header"
                    )
                try:
                    row = {
                        name: _value(name, text, statuses) for name, text in zip(header, fields, strict=True)
                    }
                except ValueError as error:
                    raise ValueError(f"{path}:{line}: {error}") from error
                yield line, row
        except csv.Error as error:
            raise ValueError(f"{path}:{reader.line_num}: not CSV ({error}); check its quotes") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not UTF-8 ({error}); save it as UTF-8") from error


def _check_header(path: Path, header: list[str]) -> None:
    for column in REQUIRED:
        if column.name not in header:
            raise ValueError(
                f"{path}:1: no column {column.name!r}; expected at least "
                + ",".join(required.name for required in REQUIRED)
            )
    if len(header) > MOST_COLUMNS:
        raise ValueError(f"{path}:1: {len(header)} columns; expected {MOST_COLUMNS} at most")
    for name in header:
        if len(name) > LONGEST_COLUMN:
            raise ValueError(f"{path}:1: column {short(name)}: a name of {len(name)} characters")
        if header.count(name) > 1:
            raise ValueError(f"{path}:1: column {name!r} occurs twice; expected each once")


def _value(name: str, text: str, statuses: tuple[str, ...]) -> Any:
    """One field as its type. Raises ValueError naming the column, the text and what is allowed."""
    if name == "status" and text not in statuses:
        raise ValueError(f"column 'status': {short(text)}; expected {', '.join(statuses)}")
    text = harmless(unguarded(text))
    if name in NAMED and not text.strip():
        raise ValueError(f"column {name!r}: empty; expected a name")
    if not text:
        return None
    if name == "loss" and text == INFINITE:
        return float("inf")
    if name in NUMERIC:
        value = float(text) if len(text) <= LONGEST_NUMBER and NUMBER.fullmatch(text) else float("nan")
        floor = float("-inf") if name in SIGNED else 0.0
        if not floor <= value < float("inf"):
            kind = "a finite number" if name in SIGNED else "a finite number, zero or more"
            raise ValueError(f"column {name!r}: {short(text)}; expected {kind}, or nothing")
        return value
    if name in BOOLEAN:
        if text not in ("true", "false"):
            raise ValueError(f"column {name!r}: {short(text)}; expected true, false or nothing")
        return text == "true"
    if name == "packages":
        return _packages(text)
    return text


def _packages(text: str) -> dict[str, str]:
    try:
        packages = json.loads(text) if len(text) <= LONGEST_PACKAGES else None
    except (ValueError, RecursionError):
        packages = None
    if not isinstance(packages, dict):
        raise ValueError(f"column 'packages': {text[:40]!r}; expected a JSON object of versions")
    return {harmless(str(name)): harmless(str(version)) for name, version in packages.items()}


def short(text: str) -> str:
    """``text`` as a message quotes it."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")
