"""Time ONNX Runtime as its documentation calls it: a session and a loop around ``session.run``; on a card the
inputs and the output stay there (``run_with_iobinding``).

Prints the durations in nanoseconds, a JSON list. Runs in the environment of the ONNX Runtime row.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import looping
import numpy as np
import onnxruntime
from safetensors.numpy import load_file

PREFIX = "inference."
#: As in the float32 row: by default the CUDA provider multiplies in TF32.
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"})}


def main() -> None:
    args = looping.arguments(__doc__, "graph")

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
    looping.print_durations(run, args.seconds)


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
