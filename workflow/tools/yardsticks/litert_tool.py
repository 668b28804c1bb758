"""Time LiteRT by its package's own ``litert-benchmark``, which is given the arena's inputs: those that it draws itself
are negative, too, where they are to be token ids, and LiteRT refuses these.

Prints its median in nanoseconds, a JSON list of one, since it tells no single durations. Runs in the environment of the
LiteRT row.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping
from typing import Any

import looping
import numpy as np
from ai_edge_litert.tensor_buffer import TensorBuffer
from ai_edge_litert.tools import benchmark_litert_model as tool
from safetensors.numpy import load_file

SIGNATURE = "inference"
TRIES = 5


def main() -> None:
    args = looping.arguments(__doc__, "model")
    inputs = load_file(args.inputs)

    def fill(buffer: TensorBuffer, details: Mapping[str, Any]) -> None:
        array = inputs[f"{SIGNATURE}.{details['name'].removeprefix(f'{SIGNATURE}_')}"]
        buffer.write(array.astype(np.int32) if array.dtype == np.int64 else array)

    tool.fill_random_input = fill
    once = benchmark(args.model, args.threads, TRIES)
    print(json.dumps([benchmark(args.model, args.threads, max(TRIES, round(args.seconds / once))) * 1e9]))


def benchmark(model: str, threads: int, runs: int) -> float:
    """The tool's median of so many runs, in seconds; it tells it in hundredths of a millisecond."""
    words = ["--model", model, "--signature", SIGNATURE, "--num_threads", threads, "--num_runs", runs]
    sys.argv[1:] = map(str, words)
    with contextlib.redirect_stdout(sys.stderr):
        report = tool.run_benchmark(tool.parse_args())
    return max(report["latency"]["median_ms"], 0.01) / 1e3


if __name__ == "__main__":
    main()
