"""What the loops have in common: their arguments, and the clock around one call."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

WARMUP = 3


def arguments(description: str | None, *files: str) -> argparse.Namespace:
    """``files`` by their options' names, which ``tools.py`` gives, and what all of its pairs are given."""
    parser = argparse.ArgumentParser(description=description)
    for name in files:
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--inputs", required=True, help="inputs.safetensors")
    parser.add_argument("--threads", type=int, required=True, help="on the CPU")
    parser.add_argument("--seconds", type=float, required=True, help="time for at least this long")
    parser.add_argument("--accelerator", choices=["cpu", "cuda"], default="cpu")
    return parser.parse_args()


def print_durations(run: Callable[[], object], seconds: float) -> None:
    """The durations of ``run`` in nanoseconds, a JSON list; it ends when its result is there."""
    for _ in range(WARMUP):
        run()
    durations: list[int] = []
    while sum(durations) < seconds * 1e9:
        start = time.perf_counter_ns()
        run()
        durations.append(time.perf_counter_ns() - start)
    print(json.dumps(durations))
