"""Time a PyTorch module with ``torch.utils.benchmark.Timer``.

Prints the durations in nanoseconds, a JSON list. Runs in the environment of the PyTorch rows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch.utils.benchmark import Timer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import looping

from arena import files, tensors
from frameworks.pytorch.models.loading import arguments, load

STATEMENT = """
with torch.inference_mode():
    module(**inputs)
"""


def main() -> None:
    args = looping.arguments(__doc__, "weights", "config")

    config = files.read_json(args.config)
    torch.backends.cudnn.allow_tf32 = False  # as in the float32 rows; for products it is the default
    module = load(config["definition"], config, tensors.load(args.weights)).eval().to(args.accelerator)
    inputs = arguments(tensors.select(tensors.load(args.inputs), "inference."), torch.float32)
    inputs = {name: value.to(args.accelerator) for name, value in inputs.items()}
    # The Timer itself sets the number of threads, waits for the device, and runs the statement before it measures.
    timer = Timer(
        STATEMENT,
        globals={"torch": torch, "module": module, "inputs": inputs},
        num_threads=args.threads,
    )
    measured = timer.blocked_autorange(min_run_time=args.seconds)
    print(json.dumps([seconds * 1e9 for seconds in measured.times]))


if __name__ == "__main__":
    main()
