"""Time a MLX model as MLX's own benchmarks time theirs: a compiled call and ``mx.eval`` around it.

Prints the durations in nanoseconds, a JSON list. Runs in the environment of the MLX rows.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

os.environ["MLX_ENABLE_TF32"] = "0"  # asked once, at the first product: without it float32 is TF32

import mlx.core as mx
import numpy as np

from arena import files, tensors
from frameworks.mlx.models import layout

WARMUP = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", required=True, help="model.safetensors")
    parser.add_argument("--config", required=True, help="config.json")
    parser.add_argument("--inputs", required=True, help="inputs.safetensors")
    parser.add_argument("--threads", type=int, required=True, help="not used: the device is a card")
    parser.add_argument("--seconds", type=float, required=True, help="time for at least this long")
    parser.add_argument("--accelerator", choices=["cuda"], required=True)
    args = parser.parse_args()

    config = files.read_json(args.config)
    module = importlib.import_module(f"frameworks.mlx.models.{config['definition']}").build(config)
    weights = tensors.load(args.weights)
    module.load_weights([(name, mx.array(layout.to_mlx(array))) for name, array in weights.items()])
    module.eval()
    mx.eval(module.parameters())
    inputs = {
        name: mx.array(array, mx.int32 if array.dtype == np.int64 else mx.float32)
        for name, array in tensors.select(tensors.load(args.inputs), "inference.").items()
    }
    mx.eval(inputs)
    forward = mx.compile(lambda inputs: module(**inputs), inputs=module.state)

    def run() -> None:
        mx.eval(forward(inputs))

    for _ in range(WARMUP):
        run()
    durations: list[int] = []
    while sum(durations) < args.seconds * 1e9:
        start = time.perf_counter_ns()
        run()
        durations.append(time.perf_counter_ns() - start)
    print(json.dumps(durations))


if __name__ == "__main__":
    main()
