"""Why a figure is bold, plain, struck or missing, in words that stand by themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reporting import markdown as md
from reporting.columns import Row
from reporting.marks import ABSENT, BEST, CLOSE, FAILED, STRUCK
from reporting.quantities import Quantity
from reporting.rounds import NOT_MEASURED_CODE

PART = re.compile(r"(?:^|; )(inference|latency|decode|training): ")
JUDGED = {STRUCK: "wrong", CLOSE: "close, so not ranked"}
NOT_MEASURED = "not measured"
WHOLE = {STRUCK: "all of it is struck", CLOSE: "none of it is ranked"}
UNSAID = {
    STRUCK: "wrong by its source's own rule, which gives no figure",
    CLOSE: "close, so not ranked; its source gives no figure",
    FAILED: "failed; its source does not say why",
    ABSENT: NOT_MEASURED,
}


def why(row: Row, quantity: Quantity, mark: str, first: Sequence[Row]) -> str:
    """Why a figure has its mark. ``first``: the rows that share the first place of its column."""
    if mark in JUDGED:
        return _judged(row, quantity, mark)
    if mark in (FAILED, ABSENT):
        return _missing(row, quantity, mark)
    if not row[quantity.column]:
        return f"a printed {quantity.form(0.0)} is no {'rate' if quantity.more else 'time'}"
    if mark == BEST:
        others = [one["framework"] for one in first if one is not row]
        return f"shares the first place with {listed(others)}" if others else "first"
    return _behind(row, quantity, first)


def _judged(row: Row, quantity: Quantity, mark: str) -> str:
    objections = row.get("verdict_reasons")
    if not objections:
        return UNSAID[mark]
    part = "inference" if quantity.task == "compile" else quantity.task
    text = f"{JUDGED[mark]}: {objections}"
    if part in PART.findall(objections):
        return text
    return f"{text}; a row is judged as a whole, so {WHOLE[mark]}"


def _missing(row: Row, quantity: Quantity, mark: str) -> str:
    if row.get("reason_code") == NOT_MEASURED_CODE and row["status"] == "unsupported":
        return f"{NOT_MEASURED}: {row.get('reason_detail')}"
    if row["status"] in ("failed", "unsupported"):
        reason = ": ".join(filter(None, (row.get("reason_code"), row.get("reason_detail"))))
        state = row["status"]
    else:
        reason, state = row.get(f"{quantity.task}_reason") or "", row.get(f"{quantity.task}_status")
    if reason:
        return f"{state}: {reason}"
    return "unsupported, by its source" if row["status"] == "unsupported" else UNSAID[mark]


def _behind(row: Row, quantity: Quantity, first: Sequence[Row]) -> str:
    if not first:
        return "nobody is first: a printed zero is the smallest, and no time"
    name = quantity.column if quantity.more else quantity.task
    ratio, low, high = (row.get(f"{name}_to_best{end}") for end in ("", "_low", "_high"))
    if ratio is None:
        return f"behind {listed([one['framework'] for one in first])}"
    interval = "" if low is None or high is None else f" ({md.interval(low, high)})"
    leader = first[0]["framework"]
    if quantity.more:
        return f"{leader} has {md.significant(ratio)}{interval} times this rate"
    return f"{md.significant(ratio)}{interval} times the time of {leader}"


def listed(names: Sequence[str]) -> str:
    """``A``, ``A and B``, ``A, B and C``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
