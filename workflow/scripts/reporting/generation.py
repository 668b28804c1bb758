"""Figures of task decode: tokens per second, and how far the tokens are the reference's."""

from __future__ import annotations

import numpy as np

from arena.contract.verdict import Part
from reporting import statistics
from reporting.columns import Row
from reporting.fields import six
from reporting.rounds import RecordedCell

RECORDED = ("first_token_ns", "prompt_tokens", "new_tokens")


def figures(cell: RecordedCell, seed: int) -> Row:
    """The columns of the group "Generation", for a cell that generated in every round.

    Prefill: the prompt's tokens over the median time to the first new token. Decode: the other new tokens
    over the median of the time from there to the last. Their intervals are the bootstrap's of those times.
    Raises ValueError naming the file that lacks a key, or a time to the first token for each sample.
    """
    first, rest = [], []
    for path, record in zip(cell.paths, cell.rounds, strict=True):
        task = record.tasks["decode"]
        for key in RECORDED:
            if getattr(task, key) is None:
                raise ValueError(f"{path}: key tasks.decode.{key} is null; measure the round again")
        total, until = np.asarray(task.samples_ns), np.asarray(task.first_token_ns)
        if total.shape != until.shape or not (until < total).all():
            raise ValueError(
                f"{path}: tasks.decode: {until.size} first_token_ns for {total.size} samples_ns; expected as "
                "many, each the shorter; measure the round again"
            )
        first.append(until)
        rest.append(total - until)
    prompt, new = (getattr(cell.rounds[0].tasks["decode"], key) for key in RECORDED[1:])
    part = cell.verdict.parts.decode or Part()
    return (
        {"prompt_tokens": prompt, "new_tokens": new}
        | _rate("prefill_tokens_per_s", prompt, first, seed)
        | _rate("decode_tokens_per_s", new - 1, rest, seed)
        | {name: getattr(part, name) for name in ("matching_tokens", "divergence_margin")}
    )


def _rate(name: str, tokens: int, nanoseconds: list[np.ndarray], seed: int) -> Row:
    times = statistics.summary(nanoseconds, seed)
    ends = {"": times.median, "_low": times.high, "_high": times.low}  # the longest time is the lowest rate
    return {name + end: six(tokens * 1e9 / time) for end, time in ends.items()}
