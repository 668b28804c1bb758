"""A GPU while a process computes on it: its state, its energy, and whether the process computed there."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from arena.measuring.nvml import Gpu

EVERY_S = 1.0  # between two looks: a few queries of the driver, from a process that does not measure
GAUGES = ("sm_mhz", "memory_mhz", "power_w", "celsius")
BITS = {"float32": 32, "tf32": 32, "bfloat16": 16, "float16": 16, "int8": 8}  # of a stored weight, by lane
MARGIN = 0.5  # share of the weights' bytes that must be seen: frameworks fold and tie some of them


class Watch:
    """Looks at a GPU every second, in a thread of the supervisor's, from ``with`` to its end."""

    def __init__(self, gpu: Gpu, every_s: float = EVERY_S):
        self._gpu, self._every_s = gpu, every_s
        self._looks: list[dict[str, Any]] = []
        self._held: list[dict[int, tuple[int | None, int | None]]] = []  # {pid: (session, bytes)}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._before = self._gpu.memory()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self._looks.append(self._gpu.snapshot())
            self._held.append({pid: (_session(pid), held) for pid, held in self._gpu.processes().items()})

    def summary(self, pid: int) -> dict[str, Any]:
        """What was seen. ``pid`` is the process that was watched, the leader of a session.

        Gauges as [least, median, largest]; ``throttle``: looks by reason; bytes: ``process_bytes`` the most
        that the session's processes held (None if the driver never named one of them), ``rise_bytes`` the
        most by which the memory in use exceeded that at the start, ``others`` the most that each other
        process held.
        """
        mine: list[int] = []
        others: dict[int, int] = {}
        for look in self._held:
            own = [held for session, held in look.values() if session == pid and held is not None]
            mine += [sum(own)] if own else []
            for number, (session, held) in look.items():
                if session != pid:
                    others[number] = max(others.get(number, 0), held or 0)
        used = [look["used_bytes"] for look in self._looks if look["used_bytes"] is not None]
        rises = [value - self._before["used"] for value in used] if self._before else []
        return {
            "looks": len(self._looks),
            **{name: _spread([look[name] for look in self._looks]) for name in GAUGES},
            "throttle": dict(Counter(word for look in self._looks for word in look["throttle"] or [])),
            "process_bytes": max(mine, default=None),
            "rise_bytes": max(rises, default=None),
            "others": {str(number): held for number, held in sorted(others.items())},
        }


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:  # gone, or a process of the host's
        return None


def _spread(values: list[float | None]) -> list[float] | None:
    known = [value for value in values if value is not None]
    return [min(known), statistics.median(known), max(known)] if known else None


def wrong_device(weights_bytes: int, lane: str, own_bytes: int | None, seen: dict[str, Any]) -> str | None:
    """Why a result may not stand as computed on the GPU; None if it may.

    A framework that computes there holds its weights there. So at least half of ``weights_bytes`` (float32),
    as the lane stores them, must show in the framework's own count of device memory, ``own_bytes``, and in
    what the driver saw (``Watch.summary``): the process's memory, or where the driver names no processes the
    rise of the memory in use. Either may be unknown, not both.
    """
    needed = weights_bytes * BITS[lane] / 32 * MARGIN
    driver = seen["process_bytes"] if seen["process_bytes"] is not None else seen["rise_bytes"]
    counts = {"the framework counts": own_bytes, "the driver saw": driver}
    known = {who: held for who, held in counts.items() if held is not None}
    if not known:
        return "neither the framework nor the driver tells of any memory on the GPU"
    for who, held in known.items():
        if held < needed:
            return (
                f"{who} {held / 1e6:.1f} MB on the GPU, where half of the weights are {needed / 1e6:.1f} MB: "
                "it did not compute there"
            )
    return None


def energy(
    run: Callable[[], Any], gpu: Gpu, seconds: float, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Any] | None:
    """Joules of the whole card while ``run`` repeats for at least ``seconds``; None where it has no counter.

    ``{"joules", "seconds", "iterations"}``, idle power included. The counter steps every 20 to 100 ms, so
    over 5 s or more it is good to about 2 %.
    """
    first = gpu.energy_mj()
    if first is None:
        return None
    begin, iterations = clock(), 0
    while clock() - begin < seconds or not iterations:
        run()
        iterations += 1
    elapsed, last = clock() - begin, gpu.energy_mj()
    if last is None:  # the driver went away meanwhile
        return None
    return {"joules": (last - first) / 1000, "seconds": elapsed, "iterations": iterations}
