"""The platform CSV: the rows of an analysis as text, for readers, spreadsheets and report/published/."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from reporting.columns import NAMES, Row
from reporting.fields import guarded


def csv_text(rows: Iterable[Row]) -> str:
    """The whole file: the columns of docs/platform-csv.md in their order, lines ended by a line feed.

    Floats are written with all digits that tell them from their neighbours, so that a reader gets the same number.
    Text is no formula to a spreadsheet (``fields.guarded``).
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(NAMES)
    writer.writerows([_field(row.get(name)) for name in NAMES] for row in rows)
    return stream.getvalue()


def _field(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return guarded(value)
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else value
