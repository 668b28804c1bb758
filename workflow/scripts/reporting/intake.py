"""CSVs of strangers, checked as a whole: each fault is refused with file, line and column.

``tables.read`` checks one field at a time; here stands what only a whole line or a whole file shows, as a
pandera schema: pandera names the failing record of a table of any size, and a check is one line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from reporting import tables
from reporting.columns import BOOLEAN, NUMERIC, TASKS, TIMED, Row

NAME_LIMIT = 200  # characters of a name: more is no name, and makes a table unreadable
TEXT_LIMIT = 100_000  # of a log's tail, a list of packages or a column of the stranger's own
FIELD_LIMIT = 2**31 - 1  # of the CSV reader, so that it is the checks below which refuse, naming the column
NAMES = (
    "platform",
    "model",
    "framework",
    "version",
    "backend",
    "status",
    "lane",
    "measured_by",
    "date",
    "row",
)
SHOWN = 5  # faults listed in one message


def read(paths: Iterable[Path], statuses: tuple[str, ...]) -> list[Row]:
    """All rows of these CSVs as ``tables.read`` gives them, after further checks.

    Raises ValueError, with file, line and column, for what ``tables.read`` refuses and for: bytes that are
    not UTF-8, text of absurd length, a median outside its own interval (a sign of mixed units), and
    figures in a cell that failed or is unsupported.
    """
    paths = list(paths)
    for path in paths:
        _check_encoding(path)
    with _long_fields():
        rows = tables.read(paths, statuses)
        if rows:
            _check(rows, paths)
    return rows


@contextmanager
def _long_fields() -> Iterator[None]:
    old = csv.field_size_limit(FIELD_LIMIT)
    try:
        yield
    finally:
        csv.field_size_limit(old)


def _check_encoding(path: Path) -> None:
    data = path.read_bytes()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise ValueError(
            f"{path}:{line}: byte {column} ({data[error.start]:#04x}) is not UTF-8; save the file as UTF-8"
        ) from error


def schema(columns: Iterable[str]) -> pa.DataFrameSchema:
    """The checks of a table with these columns; a null passes each of them."""
    columns = set(columns)
    limits = {name: NAME_LIMIT if name in NAMES else TEXT_LIMIT for name in columns}
    text = {
        name: pa.Column(
            checks=pa.Check.str_length(max_value=limit, error=f"longer than {limit} characters"),
            nullable=True,
        )
        for name, limit in limits.items()
        if name not in NUMERIC | BOOLEAN | {"packages"}
    }
    whole = [
        _ordered(task)
        for task in TIMED
        if {f"{task}_{end}" for end in ("low_ms", "ms", "high_ms")} <= columns
    ]
    return pa.DataFrameSchema(text, checks=[*whole, _no_figures(columns)])


def _ordered(task: str) -> pa.Check:
    low, median, high = f"{task}_low_ms", f"{task}_ms", f"{task}_high_ms"

    def inside(table: pd.DataFrame) -> pd.Series:
        unknown = table[[low, median, high]].isna().any(axis=1)
        # Figures are written with six decimals.
        return unknown | ((table[low] <= table[median] + 1e-6) & (table[median] <= table[high] + 1e-6))

    return pa.Check(
        inside, error=f"column '{median}': outside its interval {low} … {high}; one unit for all?"
    )


def _no_figures(columns: set[str]) -> pa.Check:
    names = [name for name in ("compile_s", *(f"{task}_ms" for task in TASKS)) if name in columns]

    def empty(table: pd.DataFrame) -> pd.Series:
        return ~table["status"].isin(("failed", "unsupported")) | table[names].isna().all(axis=1)

    return pa.Check(empty, error="column 'status': failed or unsupported, yet the cell has figures")


def _check(rows: list[Row], paths: list[Path]) -> None:
    # A column that some files lack and that is empty in the others would be taken for numbers.
    columns = dict.fromkeys(name for row in rows for name in row)
    table = pd.DataFrame(
        {
            name: pd.Series([row.get(name) for row in rows], dtype=float if name in NUMERIC else object)
            for name in columns
        }
    )
    try:
        schema(table.columns).validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise ValueError(_explain(error.failure_cases, paths)) from None


def _explain(cases: pd.DataFrame, paths: list[Path]) -> str:
    """The first faults, a line each, in the order of the files."""
    found: dict[tuple[int, str], None] = {}
    for case in cases.sort_values("index", kind="stable").itertuples():
        whole = case.schema_context == "DataFrameSchema"
        found[int(case.index), case.check if whole else f"column {case.column!r}: {case.check}"] = None
    lines = [f"{_place(paths, index)}: {fault}" for index, fault in islice(found, SHOWN)]
    return "\n".join(lines + [f"and {len(found) - SHOWN} more"] * (len(found) > SHOWN))


def _place(paths: list[Path], index: int) -> str:
    """``file:line`` of the record with this number among those of all files, as ``tables.read`` counts."""
    for path in paths:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            next(reader, None)
            for fields in reader:
                if fields and index == 0:
                    return f"{path}:{reader.line_num}"
                index -= bool(fields)
    raise IndexError(index)
