"""What a figure's print says of it: the marks, and which of them a row's status asks for."""

from __future__ import annotations

from reporting.columns import Row

RANKED = ("pass", "match")
BEST, PLAIN, STRUCK, CLOSE, FAILED, ABSENT = "best", "plain", "struck", "close", "failed", "absent"
OF_STATUS = {"failed": FAILED, "unsupported": ABSENT, "different": STRUCK, "close": CLOSE}


def standing(row: Row) -> str:
    """The mark of a row as a whole: PLAIN where it may be ranked."""
    return PLAIN if row["status"] in RANKED else OF_STATUS[row["status"]]


def of_figure(row: Row, column: str, task: str, best: bool) -> str:
    """The mark of one figure; ``best``: whether it is first in its column, if it may be ranked."""
    whole = standing(row)
    if whole == FAILED or row.get(f"{task}_status") == "failed":
        return FAILED
    if whole == ABSENT or row.get(column) is None:
        return ABSENT
    return BEST if whole == PLAIN and best else whole
