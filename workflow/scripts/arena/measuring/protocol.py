"""How an iteration is timed: warm up until steady, then sample. Nothing is discarded.

The Rust engines implement the same rules; docs/protocol.md describes them in words.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from arena.contract.cell import Protocol, Sampling, Warmup

MAX_SAMPLES = 100_000  # bounds the record of an iteration that takes microseconds


@dataclass
class Measurement:
    """Durations of one task in one process, in nanoseconds, in the order in which they ran."""

    warmup_ns: list[int] = field(default_factory=list)
    samples_ns: list[int] = field(default_factory=list)
    steady: bool = False  # the warm-up ended because its last iterations agreed, not because time ran out
    result: Any = None  # what the last timed iteration returned


def agree(durations: list[int], window: int, tolerance: float) -> bool:
    """Whether the last ``window`` durations lie within ``tolerance`` of the shortest of them."""
    last = durations[-window:]
    return len(last) == window and max(last) <= (1 + tolerance) * min(last)


def slow(durations: list[int], warmup: Warmup) -> bool:
    """Whether the last two iterations took ``warmup.max_seconds`` each, and agree: what a third would say is known."""
    last = durations[-2:]
    return min(last) >= warmup.max_seconds * 1e9 and agree(durations, 2, warmup.tolerance)


def measure(
    run: Callable[[], Any],
    protocol: Protocol,
    clock: Callable[[], int] = time.perf_counter_ns,
    note: Callable[[], None] = lambda: None,
) -> Measurement:
    """Time ``run``, which must return only when its result is ready.

    Warm-up: at least ``warmup.min_iterations`` and ``warmup.min_seconds``, until the last ``warmup.window``
    iterations agree or ``warmup.max_seconds`` are gone. Then samples: at least ``sampling.min_iterations``
    and ``sampling.min_seconds``, but no new iteration after ``sampling.max_seconds``. Where two iterations in a
    row took ``warmup.max_seconds`` each and agree, the warm-up is over before the second, which is the first
    sample. ``note`` is called after each iteration, outside the clock.
    """
    record, warmup, sampling = Measurement(), protocol.warmup, protocol.sampling

    def once(durations: list[int]) -> int:
        record.result = None  # free the previous result outside the clock
        start = clock()
        record.result = run()
        end = clock()
        durations.append(end - start)
        note()
        return end

    gc.collect()
    begin = clock()
    while True:
        elapsed = (once(record.warmup_ns) - begin) * 1e-9
        if slow(record.warmup_ns, warmup):
            record.samples_ns.append(record.warmup_ns.pop())
            record.steady = True
            break
        record.steady = agree(record.warmup_ns, warmup.window, warmup.tolerance)
        if len(record.warmup_ns) < warmup.min_iterations or elapsed < warmup.min_seconds:
            continue
        if record.steady or elapsed >= warmup.max_seconds or len(record.warmup_ns) >= MAX_SAMPLES:
            break

    begin = clock() - sum(record.samples_ns)
    elapsed = sum(record.samples_ns) * 1e-9
    while not enough(len(record.samples_ns), elapsed, sampling):
        elapsed = (once(record.samples_ns) - begin) * 1e-9
    return record


def enough(count: int, elapsed: float, sampling: Sampling) -> bool:
    """Whether ``count`` samples, which took ``elapsed`` seconds, end the sampling."""
    if count >= sampling.min_iterations and elapsed >= sampling.min_seconds:
        return True
    return count > 0 and (elapsed >= sampling.max_seconds or count >= MAX_SAMPLES)
