"""Time ONNX Runtime as its documentation calls it: a session and a loop around ``session.run``; on a card the
inputs and the output stay there (``run_with_iobinding``).

Prints the durations in nanoseconds, a JSON list. Runs in the environment of the ONNX Runtime row.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import onnxruntime
from safetensors.numpy import load_file

WARMUP = 3
PREFIX = "inference."
#: As in the float32 row: by default the CUDA provider multiplies in TF32.
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph", required=True, help="model.onnx")
    parser.add_argument("--inputs", required=True, help="inputs.safetensors")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="time for at least this long")
    parser.add_argument("--accelerator", default="cpu", help="cpu or cuda")
    args = parser.parse_args()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    if args.accelerator == "cuda":
        onnxruntime.preload_dlls()
    session = onnxruntime.InferenceSession(args.graph, options, providers=[PROVIDERS[args.accelerator]])
    inputs = {
        name.removeprefix(PREFIX): array
        for name, array in load_file(args.inputs).items()
        if name.startswith(PREFIX)
    }
    run = partial(session.run, None, inputs) if args.accelerator == "cpu" else resident(session, inputs)
    for _ in range(WARMUP):
        run()
    durations = []
    while sum(durations) < args.seconds * 1e9:
        start = time.perf_counter_ns()
        run()
        durations.append(time.perf_counter_ns() - start)
    print(json.dumps(durations))


def resident(session: onnxruntime.InferenceSession, inputs: dict[str, np.ndarray]) -> Callable[[], None]:
    """A run whose inputs and output are on the card; it ends when the output is there."""
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array, "cuda", 0))
    for output in session.get_outputs():
        binding.bind_output(output.name, "cuda")

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run


if __name__ == "__main__":
    main()
