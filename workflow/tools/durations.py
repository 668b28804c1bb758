"""How long a job takes: by this directory's own earlier jobs, else by a table of durations measured elsewhere."""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import calibration

DURATIONS = Path(__file__).resolve().parents[2] / "config" / "durations.csv"
COLUMNS = ["rule", "model", "row", "seconds"]
MEASURING = ("benchmark", "benchmark_repeat")
ENVIRONMENT = "environment"  # the rule's name under which the table has an environment's installation
LEAST = 3  # measurements of this directory, to scale the table by them

Key = tuple[
    str, str, str
]  # rule, model, row (or engine, or environment); "" where a rule has no such wildcard


def read_durations(path: Path) -> dict[Key, float]:
    """Seconds by (rule, model, row) from a CSV; an empty model or row stands for any.

    A file that does not exist is empty. Raises ValueError naming file, line and what is expected.
    """
    if not path.exists():
        return {}
    durations: dict[Key, float] = {}
    with open(path, newline="", encoding="utf-8") as stream:
        table = csv.DictReader(stream, strict=True)
        if table.fieldnames != COLUMNS:
            raise ValueError(
                f"{path}: columns {table.fieldnames}, expected {COLUMNS}; correct the first line"
            )
        for row in table:
            where = f"{path}, line {table.line_num}"
            try:
                seconds = float(row["seconds"])
            except (TypeError, ValueError):
                seconds = math.nan
            if not (math.isfinite(seconds) and seconds >= 0):
                raise ValueError(f"{where}: seconds is {row['seconds']!r}, expected a number from 0")
            key = (row["rule"], row["model"], row["row"])
            if key in durations:
                raise ValueError(f"{where}: {', '.join(key)} is there before; remove one of the lines")
            durations[key] = seconds
    return durations


class Estimator:
    """Durations of jobs: the job's own, else those of its like, else the table's, scaled to this machine."""

    def __init__(self, past: Iterable[Mapping[str, Any]], table: Mapping[Key, float]):
        self.table = table
        self.own: dict[str, float] = {}
        like = defaultdict(list)
        for job in past:
            if job["seconds"] is not None:
                self.own[identity(job)] = job["seconds"]
                like[key_of(job)].append(job["seconds"])
        self.like = {key: statistics.median(seconds) for key, seconds in like.items()}
        self.scale = scale(self.like, table)
        self.from_table = 0

    def seconds(self, job: Mapping[str, Any]) -> float | None:
        """Expected seconds of ``job``, or None if nothing is known about it."""
        rule, model, row = key = key_of(job)
        own = self.own.get(identity(job), self.like.get(key))
        if own is not None:
            return own
        for candidate in (key, (rule, model, ""), (rule, "", row), (rule, "", "")):
            if candidate in self.table:
                self.from_table += 1
                return self.table[candidate] * self.scale
        return None


def scale(like: Mapping[Key, float], table: Mapping[Key, float]) -> float:
    """What the table's seconds are to be multiplied with here.

    Where as many as LEAST of this directory's measurements are in the table, the median of their ratios; else by how
    much slower this machine does a fixed piece of work; 1 where the table does not have that.
    """
    ratios = [seconds / table[key] for key, seconds in like.items() if key[0] in MEASURING and table.get(key)]
    if len(ratios) >= LEAST:
        return statistics.median(ratios)
    reference = table.get((calibration.RULE, "", ""))
    return calibration.seconds() / reference if reference else 1.0


def identity(job: Mapping[str, Any]) -> str:
    return json.dumps([job["rule"], job["wildcards"]], sort_keys=True)


def key_of(job: Mapping[str, Any]) -> Key:
    """By what its like are known; an engine's build by the engine, in place of a row.

    A verdict on more rounds takes about as long as one on the planned ones.
    """
    rule = {"validate_more": "validate"}.get(job["rule"], job["rule"])
    return (
        rule,
        job["wildcards"].get("model", ""),
        job["wildcards"].get("row", job["wildcards"].get("engine", "")),
    )


def environment_job(path: str) -> dict[str, Any]:
    """The installation of an environment, as the table has it: by the name of its file."""
    return {"rule": ENVIRONMENT, "wildcards": {"row": Path(path).stem}}
