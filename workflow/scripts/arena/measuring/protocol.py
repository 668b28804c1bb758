"""How an iteration is timed: warm up until steady, then sample. Nothing is discarded.

The Rust engines implement the same rules; docs/protocol.md describes them in words.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MAX_SAMPLES = 100_000  # bounds the record of an iteration that takes microseconds


@dataclass(frozen=True)
class Limits:
    """The protocol's numbers; ``config/README.md`` explains each. Times in seconds."""

    warmup_min_iterations: int = 3
    warmup_min_seconds: float = 0.5
    warmup_max_seconds: float = 15.0
    warmup_window: int = 5
    warmup_tolerance: float = 0.05
    min_iterations: int = 10
    min_seconds: float = 1.0
    max_seconds: float = 30.0

    @classmethod
    def from_config(cls, protocol: dict[str, Any]) -> Limits:
        """From the ``protocol`` section of the config (``warmup`` and ``sampling``)."""
        warmup = {f"warmup_{key}": value for key, value in protocol["warmup"].items()}
        return cls(**warmup, **protocol["sampling"])


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


def measure(
    run: Callable[[], Any],
    limits: Limits,
    clock: Callable[[], int] = time.perf_counter_ns,
    note: Callable[[], None] = lambda: None,
) -> Measurement:
    """Time ``run``, which must return only when its result is ready.

    Warm-up: at least ``warmup_min_iterations`` and ``warmup_min_seconds``, until the last
    ``warmup_window`` iterations agree or ``warmup_max_seconds`` are gone. Then samples: at least
    ``min_iterations`` and ``min_seconds``, but no new iteration after ``max_seconds``. ``note`` is
    called after each iteration, outside the clock.
    """
    record = Measurement()

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
        record.steady = agree(record.warmup_ns, limits.warmup_window, limits.warmup_tolerance)
        if len(record.warmup_ns) < limits.warmup_min_iterations or elapsed < limits.warmup_min_seconds:
            continue
        if record.steady or elapsed >= limits.warmup_max_seconds or len(record.warmup_ns) >= MAX_SAMPLES:
            break

    begin = clock()
    while True:
        elapsed = (once(record.samples_ns) - begin) * 1e-9
        count = len(record.samples_ns)
        enough = count >= limits.min_iterations and elapsed >= limits.min_seconds
        if enough or elapsed >= limits.max_seconds or count >= MAX_SAMPLES:
            return record
