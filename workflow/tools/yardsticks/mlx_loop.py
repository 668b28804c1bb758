"""Time an MLX model as MLX's own benchmarks time theirs: a compiled call and ``mx.eval`` around it.

Prints the durations in nanoseconds, a JSON list. Runs in the environment of the MLX rows.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

os.environ["MLX_ENABLE_TF32"] = "0"  # asked once, at the first product: without it float32 is TF32

import looping
import mlx.core as mx
import numpy as np

from arena import files, tensors
from frameworks.mlx.models import layout


def main() -> None:
    args = looping.arguments(__doc__, "weights", "config")

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

    looping.print_durations(run, args.seconds)


if __name__ == "__main__":
    main()
