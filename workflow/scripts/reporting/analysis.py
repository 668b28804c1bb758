"""One platform's analysis: every row of its cells with typed values, for the reports of the same run.

The figures are computed once, by ``reporting.rows``, and pass from there to every report as numbers: JSON gives each
back as it was. The platform's CSV (``reporting.export``) is for readers; nothing of a run reads it back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from arena import files
from reporting.columns import BEHIND, BOOLEAN, NAMES, NUMERIC, OWN_STATUSES, Row

SCHEMA = 1
AGAIN = "delete the file and collect this run's platform again"


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows, atomically; every column of each, null where there is nothing to say.

    Raises ValueError, naming cell and column, for what ``read`` would refuse.
    """
    whole = [{name: _known(row.get(name)) for name in (*NAMES, *BEHIND)} for row in rows]
    for row in whole:
        _check(row)
    files.write_json(path, {"schema": SCHEMA, "rows": whole})


def _known(value: Any) -> Any:
    """An empty text says as much as none at all; NumPy's numbers become Python's."""
    return None if value == "" else value.item() if hasattr(value, "item") else value


def read(paths: Iterable[Path]) -> list[Row]:
    """All rows of these analyses, in order, numbers as float.

    Raises ValueError naming file, cell and column, what was found and what was expected: another schema, no
    rows, a column that is missing or one too many, a value of another type, a cell that occurs twice.
    """
    rows: list[Row] = []
    seen: dict[tuple[str, ...], Path] = {}
    for path in paths:
        for row in _of_file(path):
            key = tuple(str(row[name]) for name in ("platform_id", "model", "row"))
            if key in seen:
                raise ValueError(f"{path}: {' / '.join(key)} is also in {seen[key]}; expected each cell once")
            seen[key] = path
            rows.append(row)
    return rows


def _of_file(path: Path) -> list[Row]:
    told = files.read_json(path)
    if not isinstance(told, dict) or told.get("schema") != SCHEMA or not told.get("rows"):
        raise ValueError(f"{path}: no analysis of schema {SCHEMA} with rows; {AGAIN}")
    for row in told["rows"]:
        try:
            _check(row)
        except ValueError as error:
            raise ValueError(f"{path}: {error}; {AGAIN}") from error
    return [
        {
            name: float(value) if name in NUMERIC and value is not None else value
            for name, value in row.items()
        }
        for row in told["rows"]
    ]


def _check(row: Row) -> None:
    """Raise ValueError, naming the cell, for a row without a column, with one too many, or with another type."""
    cell = " / ".join(str(row.get(name)) for name in ("platform_id", "model", "row"))
    expected = {*NAMES, *BEHIND}
    if expected != set(row):
        lacks, more = (sorted(names) for names in (expected - set(row), set(row) - expected))
        words = [f"{word} {', '.join(names)}" for word, names in (("no", lacks), ("unknown", more)) if names]
        raise ValueError(f"{cell}: column(s): {'; '.join(words)}")
    for name, value in row.items():
        kind = _expected(name)
        if not _fits(name, value):
            raise ValueError(f"{cell}: column {name!r}: {value!r}; expected {kind}")


def _expected(name: str) -> str:
    kinds = {
        "records": "a list of paths",
        "packages": "an object of versions",
        "status": ", ".join(OWN_STATUSES),
    }
    if name in NUMERIC:
        return "a finite number, or null"
    return kinds.get(name, "true, false or null" if name in BOOLEAN else "text, or null")


def _fits(name: str, value: Any) -> bool:
    if name == "status":
        return value in OWN_STATUSES
    if name == "records":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if name in ("platform", "model", "framework"):
        return isinstance(value, str) and bool(value)
    if value is None:
        return True
    if name == "packages":
        return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
    if name in BOOLEAN:
        return isinstance(value, bool)
    if name in NUMERIC:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, str)
