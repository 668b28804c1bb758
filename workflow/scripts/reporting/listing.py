"""Which tables and submissions lie in the folder of what was published, and a text that changes with files.

A run that has nothing to do reads no more of them than this, so little is imported here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from reporting.submissions import strict_json

MOST_BYTES = 32 * 2**20  # of one CSV
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+()-]{0,99}", re.ASCII)


def of(directory: Path) -> tuple[list[Path], list[Path]]:
    """The CSVs and the submissions of a folder of published tables, by name.

    Raises ValueError, a line each, for a directory, a link to nothing or a name that Snakemake cannot take where
    a table would be; for a table that is there twice; and for an account that is not of the CSV beside it.
    """
    kinds: dict[str, list[Path]] = {".csv": [], ".jsonl": [], ".json": []}
    faults = []
    for path in sorted(directory.iterdir()):
        if path.suffix not in kinds or path.name.startswith("."):
            continue
        if path.is_dir():
            faults.append(f"{path}: a directory; expected a file, or another name")
        elif not path.exists():
            faults.append(f"{path}: a link to nothing ({path.readlink()}); put the file there, or remove it")
        elif not FILE_NAME.fullmatch(path.name):
            faults.append(
                f"{path}: expected a name of up to 100 letters, digits, spaces and . _ + - ( ); rename it"
            )
        else:
            kinds[path.suffix].append(path)
    tables, submissions, accounts = kinds.values()
    for path in submissions:
        if (table := path.with_suffix(".csv")) in tables:
            faults.append(f"{table}: its records are beside it, in {path.name}; remove the table")
    for path in accounts:
        if (table := path.with_suffix(".csv")) in tables:
            faults += _account(path, table)
    if faults:
        raise ValueError("\n".join(faults))
    return tables, submissions


def digest(paths: Iterable[Path], *texts: str) -> str:
    """SHA-256 of files, their names and contents, and of texts."""
    found = hashlib.sha256()
    for path in paths:
        found.update(f"{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    for text in texts:
        found.update(hashlib.sha256(text.encode()).digest())
    return found.hexdigest()


def _account(path: Path, table: Path) -> list[str]:
    """What is wrong with the account of a table; nothing if it is the one of this very table."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return [f"{path}: {path.stat().st_size / 1e6:.0f} MB; expected {MOST_BYTES / 1e6:.0f} MB at most"]
        account = strict_json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return [f"{path}: {error}"]
    told = account.get("table_sha256") if isinstance(account, dict) else None
    found = hashlib.sha256(table.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    if told != found:
        return [
            f"{path}: key table_sha256: {str(told)[:64]!r}, yet {table.name} has {found}; send both of one run"
        ]
    return []
