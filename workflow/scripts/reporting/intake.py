"""CSVs of strangers, checked as a whole: each fault is refused with file, line and column.

``tables.lines`` checks one field at a time; here stands what only a whole line or a whole file shows. The plan of a
run, report.md and the page read published tables here, so that all of them take and refuse the same. It needs
Python's own library alone: the plan looks before anything is measured, in the environment of Snakemake.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from reporting import claims, standing, tables
from reporting.columns import BEHIND, PUBLISHED_STATUSES, Row
from reporting.listing import MOST_BYTES

MOST_ROWS = 100_000
FIELD_LIMIT = 2**31 - 1  # of the CSV reader, so that it is the checks below which refuse, naming the column
SHOWN = 5  # faults listed in one message
STAMPS = ("source", "evidence", *BEHIND)  # keys of a row that the reader sets, and no file may

Gate = Mapping[str, Mapping[str, float]]  # by lane: the tolerances, and close_factor


def read(paths: Iterable[Path], statuses: tuple[str, ...], gate: Gate | None = None) -> list[Row]:
    """All rows of these CSVs as ``tables.read`` gives them, after further checks.

    Raises ValueError, with file, line and column, for what ``tables.lines`` refuses, for bytes that are not
    UTF-8, files and text of absurd size, a cell twice in one file, and what ``claims.faults`` finds: figures that
    cannot be, and figures that contradict each other. ``gate`` has the tolerances by lane; without it nothing is
    held against them.
    """
    return [row for path in paths for row in _file(path, statuses, gate)]


def published(paths: Iterable[Path], recomputed: Iterable[Path] = (), gate: Gate | None = None) -> list[Row]:
    """The rows of tables that were measured elsewhere, each with ``source``, its file's name, and ``evidence``;
    ``records`` has the path.

    ``recomputed`` are the CSVs that take_submission.py made of records (``NAME.csv`` of ``NAME.jsonl``).
    A row that passes by its own word, with figures beyond the tolerances of ``gate``, comes as ``close``.
    Raises ValueError as ``read`` does, and for two files of the same bytes.
    """
    rows: list[Row] = []
    known: dict[bytes, Path] = {}
    for path in paths:
        data = _bytes(path)
        if (first := known.setdefault(hashlib.sha256(data).digest(), path)) is not path:
            raise ValueError(f"{path}: the same bytes as {first}; remove one")
        evidence = standing.of(path, data)
        found = _file(path, PUBLISHED_STATUSES, gate)
        stamp = {"source": path.name, "evidence": evidence, "records": [path.as_posix()]}
        rows += [row | stamp | {"status": claims.status(row, gate)} for row in found]
    for path in recomputed:
        name = path.with_suffix(".jsonl").name
        found = _file(path, PUBLISHED_STATUSES, gate)
        stamp = {"source": name, "evidence": standing.RECOMPUTED, "records": [path.as_posix()]}
        rows += [row | stamp for row in found]
    return rows


def _file(path: Path, statuses: tuple[str, ...], gate: Gate | None) -> list[Row]:
    _check_encoding(path, _bytes(path))
    with _long_fields():
        _check_length(path)
        numbered = list(tables.lines(path, statuses))
    found: dict[tuple[int, str], None] = {}
    seen: dict[tuple[Any, ...], int] = {}
    for stamp in STAMPS:
        if numbered and stamp in numbered[0][1]:
            raise ValueError(f"{path}:1: column {stamp!r} is for the reader to fill; remove it")
    for line, row in numbered:
        key = tuple(row.get(name) for name in ("platform_id", "platform", "model", "framework", "row"))
        if (first := seen.setdefault(key, line)) != line:
            cell = " / ".join(part for part in key if part)
            raise ValueError(f"{path}:{line}: {cell} is also at {path}:{first}; expected each cell once")
    faults = claims.faults([row for _, row in numbered], gate)
    for index, fault in sorted(faults, key=lambda pair: pair[0]):
        found[numbered[index][0], fault] = None
    if found:
        lines = [f"{path}:{line}: {fault}" for line, fault in islice(found, SHOWN)]
        raise ValueError("\n".join(lines + [f"and {len(found) - SHOWN} more"] * (len(found) > SHOWN)))
    return [row for _, row in numbered]


def _bytes(path: Path) -> bytes:
    """A file's bytes. Raises ValueError for what is no file, or too long to be a table."""
    if not path.is_file():
        what = "a directory" if path.is_dir() else "a link to nothing" if path.is_symlink() else "no file"
        raise ValueError(f"{path}: {what}; expected a CSV")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ValueError(
            f"{path}: {size / 1e6:.0f} MB; expected a table of {MOST_BYTES / 1e6:.0f} MB at most"
        )
    return path.read_bytes()


@contextmanager
def _long_fields() -> Iterator[None]:
    old = csv.field_size_limit(FIELD_LIMIT)
    try:
        yield
    finally:
        csv.field_size_limit(old)


def _check_encoding(path: Path, data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise ValueError(
            f"{path}:{line}: byte {column} ({data[error.start]:#04x}) is not UTF-8; save the file as UTF-8"
        ) from error


def _check_length(path: Path) -> None:
    """Refuse a table of too many rows before its fields are looked at. What is no CSV is refused later."""
    with open(path, encoding="utf-8-sig", newline="") as stream:
        try:
            if next(islice(csv.reader(stream, strict=True), MOST_ROWS + 1, None), None) is not None:
                raise ValueError(f"{path}: more than {MOST_ROWS} rows; expected a table that people can read")
        except csv.Error:
            return
