"""Figures of task decode: tokens per second, and how far the tokens are the reference's."""

from __future__ import annotations

import functools

import numpy as np

from arena.contract.verdict import Part
from reporting.columns import Row
from reporting.fields import six
from reporting.outcome import task_status
from reporting.rounds import RecordedCell
from reporting.timing import Key, add_first, key, timed

RECORDED = ("first_token_ns", "prompt_tokens", "new_tokens")
PREFILL, DECODE = "prefill_tokens_per_s", "decode_tokens_per_s"


def add_figures(cells: list[RecordedCell], rows: dict[Key, Row], least_difference: float) -> None:
    """Add in place the columns of the group "Generation", to the cells that generated in every round.

    Prefill: the prompt's tokens over the time to the first new token. Decode: the other new tokens over the
    time from there to the last. Their intervals and ranks are those of the times.
    Raises ValueError naming the file that lacks a key, or a time to the first token for each sample.
    """
    parts = {name: timed(cells, "decode", functools.partial(_part, name)) for name in (PREFILL, DECODE)}
    for cell in cells:
        if key(cell) not in parts[PREFILL].summaries:
            continue
        prompt, new = (getattr(cell.rounds[0].tasks["decode"], name) for name in RECORDED[1:])
        judged = cell.verdict.parts.decode or Part()
        row = rows[key(cell)]
        row |= {"prompt_tokens": prompt, "new_tokens": new}
        row |= {name: getattr(judged, name) for name in ("matching_tokens", "divergence_margin")}
        for name, tokens in ((PREFILL, prompt), (DECODE, new - 1)):
            time = parts[name].model.time(key(cell))
            ends = {"": time.point, "_low": time.high, "_high": time.low}  # the longest time: the lowest rate
            row |= {
                name + end: None if value is None else six(tokens * 1e9 / value)
                for end, value in ends.items()
            }
    for name, found in parts.items():
        add_first(rows, name, found, least_difference)


def _part(name: str, cell: RecordedCell) -> list[np.ndarray] | None:
    """The part of each generation that a rate is of, in nanoseconds, by round; None if the task is not ok."""
    if task_status(cell, "decode")[0] != "ok":
        return None
    found = []
    for path, record in zip(cell.paths, cell.rounds, strict=True):
        task = record.tasks["decode"]
        for each in RECORDED:
            if getattr(task, each) is None:
                raise ValueError(f"{path}: key tasks.decode.{each} is null; measure the round again")
        total, until = np.asarray(task.samples_ns), np.asarray(task.first_token_ns)
        if total.shape != until.shape or not (until < total).all():
            raise ValueError(
                f"{path}: tasks.decode: {until.size} first_token_ns for {total.size} samples_ns; expected as "
                "many, each the shorter; measure the round again"
            )
        found.append(until if name == PREFILL else total - until)
    return found
