"""Platform tables of earlier runs: ``results/history/{platform}/{time}-{sum}.csv``, one file for each state.

A table is a row a cell, so all that a comparison needs costs some kilobytes; the samples of the run before
are not kept. Files are only ever added, under a name made of their content, so that the histories of several
directories are merged by copying.
"""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

from arena import files
from reporting import tables
from reporting.columns import OWN_STATUSES, Row

DIGITS = 8  # of the SHA-256 in a name
NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
MOST = 50  # tables that a page looks back to, the present one included


def keep(results: Path) -> list[Path]:
    """Copy every table in ``results/platforms`` that is not in the history yet; the new files, sorted."""
    made = []
    for table in sorted((results / "platforms").glob("*.csv")):
        sum_ = files.sha256(table)[:DIGITS]
        folder = results / "history" / table.stem
        if any(folder.glob(f"*-{sum_}.csv")):
            continue
        written = datetime.fromtimestamp(table.stat().st_mtime, UTC)
        kept = folder / f"{written:%Y%m%dT%H%M%SZ}-{sum_}.csv"
        with files.replacing(kept) as temporary:
            shutil.copyfile(table, temporary)
        made.append(kept)
    return made


def earlier(folder: Path, platform: str) -> list[list[Row]]:
    """The newest MOST - 1 tables kept of a platform in ``folder``, ``results/history``: their rows, oldest first.

    Raises ValueError naming the file for one that is no platform's table, or not called as ``keep`` calls it.
    """
    found = sorted((folder / platform).glob("*.csv"))
    for path in found:
        if not NAME.fullmatch(path.stem):
            raise ValueError(
                f"{path}: expected a name such as 20261128T185408Z-91c915e5.csv; move it elsewhere"
            )
    try:
        return [tables.read([path], OWN_STATUSES) for path in found[-(MOST - 1) :]]
    except ValueError as error:
        raise ValueError(
            f"{error}; move the table elsewhere to leave it out of the page's history"
        ) from error


def latest_other(results: Path, platform: str) -> Path | None:
    """The newest kept table of a platform that differs from its present one; None if there is none."""
    table = results / "platforms" / f"{platform}.csv"
    now = files.sha256(table)[:DIGITS] if table.exists() else ""
    kept = sorted((results / "history" / platform).glob("*.csv"))
    others = [path for path in kept if not path.stem.endswith(f"-{now}")]
    return others[-1] if others else None
