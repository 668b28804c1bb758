"""How fast this machine is, beside the one that config/durations.csv was measured on: a rough scale for its figures."""

from __future__ import annotations

import hashlib
import time
from functools import cache

RULE = "calibration"  # under which durations.csv has what `seconds` said on its machine
REPEATS = 5


@cache
def seconds() -> float:
    """CPU seconds of a fixed piece of work on one core, about a tenth of a second: the least of some repeats.

    Half of it is Python's own, half is SHA-256. Other work on the machine changes the wall clock, and this hardly.
    """

    def once() -> float:
        begin = time.process_time()
        total = 0
        for number in range(400_000):
            total += number * number % 7
        digest = hashlib.sha256()
        block = bytes(1 << 20)
        for _ in range(30):
            digest.update(block)
        return time.process_time() - begin

    return min(once() for _ in range(REPEATS))
