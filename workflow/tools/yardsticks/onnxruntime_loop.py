"""Time ONNX Runtime as its documentation calls it: a session and a loop around ``session.run``.

Prints the durations in nanoseconds, a JSON list. Runs in the environment of the ONNX Runtime row.
"""

from __future__ import annotations

import argparse
import json
import time

import onnxruntime
from safetensors.numpy import load_file

WARMUP = 3
PREFIX = "inference."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", required=True, help="model.onnx")
    parser.add_argument("--inputs", required=True, help="inputs.safetensors")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="time for at least this long")
    args = parser.parse_args()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(args.graph, options, providers=["CPUExecutionProvider"])
    inputs = {
        name.removeprefix(PREFIX): array
        for name, array in load_file(args.inputs).items()
        if name.startswith(PREFIX)
    }
    for _ in range(WARMUP):
        session.run(None, inputs)
    durations = []
    while sum(durations) < args.seconds * 1e9:
        start = time.perf_counter_ns()
        session.run(None, inputs)
        durations.append(time.perf_counter_ns() - start)
    print(json.dumps(durations))


if __name__ == "__main__":
    main()
