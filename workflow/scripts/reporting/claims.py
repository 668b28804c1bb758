"""What the rows of one table say of themselves: figures that cannot be, and figures that contradict each other."""

from __future__ import annotations

import datetime
import itertools
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from arena.judging import verdict as judging
from arena.judging.widening import parted
from reporting.columns import ALL, BOOLEAN, NUMERIC, TASKS, TIMED, Row

NAME_LIMIT = 200  # characters of a name: more is no name, and makes a table unreadable
TEXT_LIMIT = 100_000  # of a log's tail or a column of the stranger's own
NAMES = frozenset(
    {"platform", "model", "framework", "version", "backend", "status", "lane", "measured_by", "date", "row"}
)
LARGEST = 1e18  # of any figure: operations, bytes and times stay far below
SMALLEST = 1e-300  # of any figure that is not 0: what follows from it by a division can still be printed
LONGEST_MS = 1e9  # twelve days
SHORTEST_MS = 1e-3  # of an iteration: a call of a function of Python's takes longer than a tenth of that
RATIOS = 1e9  # of a ratio and its inverse
FIRST_DAY = datetime.date(2015, 1, 1)  # no framework of the catalogue is older
DATE = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?", re.ASCII)
LIMIT = re.compile(r"\d{1,3}(?:\.\d{1,20})?(?:e-\d{1,2})?", re.ASCII)
CODE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
LANES = ("float32", "tf32", "bfloat16", "float16", "int8")
STATES = ("ok", "failed", "unsupported")
JUDGED = ("pass", "close", "different")
WORDS: dict[str, tuple[str, ...]] = {
    "verdict": JUDGED,
    "condition": ("clean", "noisy", "invalid"),
    **{f"{task}_status": STATES for task in TIMED},
    # As reporting.series names them, which needs more than Python's own library.
    **{f"{task}_series": ("flat", "falling", "jumps") for task in TIMED},
}
COUNTS = frozenset(column.name for column in ALL if column.unit == "count")
SHARES = ("top1_agreement", "latency_top1_agreement")
SLACK = 1e-6  # figures are written with six decimals or six digits
APART = (
    1.25  # a ratio in the table, over the ratio of the times in it: more is no rounding and no other average
)

#: The figure of the gate by the column that holds it.
GATED = {
    "relative_l2": "relative_l2",
    "max_error": "max_error",
    "top1_agreement": "top1_agreement",
    "loss_error": "loss_error",
    "mean_kl": "mean_kl",
    "median_kl": "median_kl",
    "latency_relative_l2": "relative_l2",
    "latency_max_error": "max_error",
    "latency_top1_agreement": "top1_agreement",
    "latency_mean_kl": "mean_kl",
    "latency_median_kl": "median_kl",
    "training_loss_error": "loss_error",
    "gradient_norm_error": "gradient_norm_error",
    "gradient_cosine": "gradient_cosine",
}

Gate = Mapping[str, Mapping[str, float]]
Fault = tuple[int, str]  # the row's index; the fault, naming the column


def faults(rows: list[Row], gate: Gate | None = None, today: datetime.date | None = None) -> Iterator[Fault]:
    """Every fault of the rows of one table.

    ``gate`` has tolerances and ``close_factor`` by lane: a row that passes with figures beyond even the wider
    limits contradicts itself. No date is later than the day after ``today``.
    """
    latest = (today or datetime.datetime.now(datetime.UTC).date()) + datetime.timedelta(days=1)
    for index, row in enumerate(rows):
        for found in (_lengths(row), _words(row, gate), _sizes(row), _figures(row), _verdict(row, gate)):
            for fault in found:
                yield index, fault
        if row.get("date") and (wrong := _date(row["date"], latest)):
            yield index, f"column 'date': {row['date']!r}; {wrong}"
    yield from _ranks(rows)


def _lengths(row: Row) -> Iterator[str]:
    for name, value in row.items():
        if name in NUMERIC or name in BOOLEAN or not isinstance(value, str):
            continue
        limit = NAME_LIMIT if name in NAMES else TEXT_LIMIT
        if len(value) > limit:
            yield f"column {name!r}: longer than {limit} characters"


def _words(row: Row, gate: Gate | None) -> Iterator[str]:
    lanes = dict.fromkeys((*LANES, *(gate or {})))
    for name, known in (*WORDS.items(), ("lane", tuple(lanes))):
        value = row.get(name)
        if value is not None and value not in known:
            yield f"column {name!r}: {_short(value)}; expected {', '.join(known)}, or nothing"
    code = row.get("reason_code")
    if code is not None and not CODE.fullmatch(code):
        yield f"column 'reason_code': {_short(code)}; expected a code of small letters, digits and dashes"
    if widened(row.get("widened") or "") is None:
        words = "expected a column of the gate and its limit, such as 'gradient_norm_error 0.003', more after '; '"
        yield f"column 'widened': {_short(row['widened'])}; {words}"


def _sizes(row: Row) -> Iterator[str]:
    """Figures that no measurement gives."""
    for name in NUMERIC & row.keys():
        value = row[name]
        if value is None or math.isinf(value):  # a loss that overflowed
            continue
        size, expected = abs(value), ""
        if size > LARGEST or 0 < size < SMALLEST:
            expected = f"0, or a size between {SMALLEST:g} and {LARGEST:g}"
        elif name.endswith("_ms") and size > LONGEST_MS:
            expected = f"{LONGEST_MS:g} ms at most"
        elif name in TIMES and 0 < size < SHORTEST_MS:
            expected = f"{SHORTEST_MS:g} ms or more: nothing that the arena runs takes less"
        elif name in RATIO_COLUMNS and not 1 / RATIOS <= size <= RATIOS:
            expected = f"a ratio between {1 / RATIOS:g} and {RATIOS:g}"
        elif name in COUNTS and value != int(value):
            expected = "a whole number"
        elif name in SHARES and value > 1:
            expected = "a share from 0 to 1"
        elif name == "gradient_cosine" and size > 1 + SLACK:
            expected = "a cosine, from -1 to 1"
        if expected:
            yield f"column {name!r}: {value:g}; expected {expected}"


#: How far a cell's time may lie below its shortest sample: what its rounds or allocations did is taken out of the one,
#: not of the other. Another unit is further away.
TAKEN_OUT = 1.5

TIMES = frozenset(
    f"{task}_{name}" for task in TIMED for name in ("ms", "low_ms", "high_ms", "p95_ms", "min_ms")
)
RATIO_COLUMNS = frozenset(
    column.name
    for column in ALL
    if column.unit == "ratio" and any(word in column.name for word in ("_ratio", "_to_best"))
)
PERIODS = {
    name: (f"{name}_low", f"{name}_high")
    for name in sorted(RATIO_COLUMNS | {f"{part}_tokens_per_s" for part in ("prefill", "decode")})
    if not name.endswith(("_low", "_high"))
}


def _figures(row: Row) -> Iterator[str]:
    """Figures of a line that contradict each other."""
    status, verdict = row["status"], row.get("verdict")
    have = [name for name in ("compile_s", *(f"{task}_ms" for task in TASKS)) if row.get(name) is not None]
    if status in ("failed", "unsupported") and have:
        yield "column 'status': failed or unsupported, yet the cell has figures"
    if status == "match" and verdict:
        yield "column 'verdict': there is one, yet the status is that of another protocol, match"
    if verdict and not row.get("lane"):
        yield "column 'lane': empty, yet there is a verdict; expected the precision whose tolerances it was held to"
    if verdict and status in JUDGED and status != verdict:
        yield f"column 'status': {status}, yet the column 'verdict' says {verdict}"
    for task in TIMED:
        low, time, high = (row.get(f"{task}_{end}ms") for end in ("low_", "", "high_"))
        if not _ordered(low, time, high):
            yield f"column '{task}_ms': outside its interval {task}_low_ms … {task}_high_ms; one unit for all?"
        least, p95 = row.get(f"{task}_min_ms"), row.get(f"{task}_p95_ms")
        beyond = least is not None and time is not None and least > TAKEN_OUT * time
        if not _ordered(least, p95) or beyond:
            yield f"column '{task}_min_ms': more than {task}_ms or {task}_p95_ms; one unit for all?"
        if time is not None and row.get(f"{task}_status") in ("failed", "unsupported"):
            yield f"column '{task}_status': {row[f'{task}_status']}, yet {task}_ms has a figure"
        if time is not None and row.get(f"{task}_samples") == 0:
            yield f"column '{task}_samples': 0, yet {task}_ms has a figure"
    for name, (low_end, high_end) in PERIODS.items():
        if not _ordered(row.get(low_end), row.get(name), row.get(high_end)):
            yield f"column {name!r}: outside its interval {low_end} … {high_end}"


def _ordered(*values: float | None) -> bool:
    """Whether the values that are known do not fall, but for rounding."""
    known = [value for value in values if value is not None]
    return all(a <= b + SLACK * max(1.0, abs(b)) for a, b in itertools.pairwise(known))


def _verdict(row: Row, gate: Gate | None) -> Iterator[str]:
    """A verdict that the row's own figures contradict: beyond even the limits for ``close``, and the ceiling of what it
    says that noise widened."""
    if row["status"] not in ("pass", "close") or not gate:
        return
    said = widened(row.get("widened") or "") or {}
    for column, figure in GATED.items():
        value = row.get(column)
        if value is None:
            continue
        limits = [each[figure] for each in _limits(row, gate, column in said) if figure in each]
        if limits and all(judging.beyond(figure, value, limit) for limit in limits):
            widest = min(limits) if figure in judging.AT_LEAST else max(limits)
            yield f"column {column!r}: {value:g}, yet the status is {row['status']}; the gate takes {widest:g}"


def status(row: Row, gate: Gate | None) -> str:
    """The row's status; ``close`` where it says ``pass`` with a figure beyond a tolerance of this configuration.

    What the row says that noise widened counts up to the ceiling.
    """
    found: str = row["status"]
    if found != "pass" or not gate or row.get("lane") not in gate:
        return found
    rules = parted(gate[row["lane"]])
    bounds, ceilings = judging.limits(*rules), judging.ceilings(*rules)
    said = widened(row.get("widened") or "") or {}
    for column, figure in GATED.items():
        value = row.get(column)
        if figure not in bounds or value is None:
            continue
        limit = ceilings[figure] if column in said else bounds[figure][0]
        if judging.beyond(figure, value, limit) or (
            column in said and judging.beyond(figure, value, said[column])
        ):
            return "close"
    return found


def widened(text: str) -> dict[str, float] | None:
    """The limits in column `widened`, ``gradient_norm_error 0.003; …``, by column; None where it is of another form."""
    found = {}
    for part in text.split("; ") if text else ():
        column, _, limit = part.partition(" ")
        if column not in GATED or not LIMIT.fullmatch(limit):
            return None
        found[column] = float(limit)
    return found


def _limits(row: Row, gate: Gate, widest: bool) -> list[dict[str, float]]:
    """The limits for ``close`` by figure, with ``widest`` however great the noise is: of the row's lane, or of every
    lane where it names none that is known.
    """
    lanes = [row["lane"]] if row.get("lane") in gate else list(gate)
    found = []
    for lane in lanes:
        rules = parted(gate[lane])
        limits = {figure: closing for figure, (_, closing) in judging.limits(*rules).items()}
        for figure, ceiling in judging.ceilings(*rules).items() if widest else ():
            further = min if figure in judging.AT_LEAST else max
            limits[figure] = further(limits[figure], ceiling)
        found.append(limits)
    return found


def _date(text: str, latest: datetime.date) -> str:
    found = DATE.fullmatch(text)
    try:
        if not found:
            raise ValueError
        day = datetime.date(int(found[1]), int(found[2]), int(found[3] or 1))
    except ValueError:
        return "expected a day, YYYY-MM-DD, or a month, YYYY-MM"
    return "" if FIRST_DAY <= day <= latest else f"expected a day from {FIRST_DAY} to {latest}"


def _ranks(rows: list[Row]) -> Iterator[Fault]:
    """Ratios to the fastest, and first places, that the times of the same table contradict."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, row in enumerate(rows):
        key = (row.get("platform_id"), row["platform"], row["model"], row.get("lane"))
        groups.setdefault(key, []).append(index)
    for members in groups.values():
        for task in TIMED:
            times = [
                time for index in members
                if rows[index]["status"] == "pass" and (time := rows[index].get(f"{task}_ms"))
            ]  # fmt: skip
            for index in members:
                row = rows[index]
                time, ratio, first = (row.get(f"{task}_{name}") for name in ("ms", "to_best", "first"))
                if first and (row["status"] != "pass" or not time):
                    yield index, f"column '{task}_first': true, yet the row is not ranked"
                    continue
                if not time or not times:
                    continue
                known = time / min(times)
                # A wide interval may reach the fastest from afar.
                low = row.get(f"{task}_to_best_low")
                if first and min(known, known if low is None else low) > APART:
                    yield index, f"column '{task}_first': true, yet {known:.3g} times as slow as the fastest"
                if ratio and not 1 / APART <= ratio / known <= APART:
                    yield (
                        index,
                        f"column '{task}_to_best': {ratio:g}, yet the times of the table give {known:.3g}",
                    )


def _short(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
