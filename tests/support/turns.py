"""Several processes that want the same at once."""

import multiprocessing
from collections.abc import Callable
from itertools import pairwise

SPAWN = multiprocessing.get_context("spawn")


def take_turns(target: Callable, *arguments, count: int = 3) -> bool:
    """Run ``target(*arguments, spans)`` in ``count`` processes, each of which puts when it began and ended into the
    queue ``spans``; whether none began before another had ended.
    """
    spans = SPAWN.Queue()
    processes = [SPAWN.Process(target=target, args=(*arguments, spans)) for _ in range(count)]
    for process in processes:
        process.start()
    found = sorted(spans.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    return all(early[1] <= late[0] for early, late in pairwise(found))
