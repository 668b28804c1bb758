"""Time a JAX model as its documentation times functions: a jitted call and ``block_until_ready`` around it.

Prints the durations in nanoseconds, a JSON list. Runs in the environment of the JAX rows.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from arena import files, tensors

WARMUP = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", required=True, help="params.safetensors of the export")
    parser.add_argument("--config", required=True, help="config.json")
    parser.add_argument("--inputs", required=True, help="inputs.safetensors")
    parser.add_argument("--threads", type=int, required=True, help="not used: the device is a card")
    parser.add_argument("--seconds", type=float, required=True, help="time for at least this long")
    parser.add_argument("--accelerator", choices=["cuda"], required=True)
    args = parser.parse_args()

    jax.config.update("jax_default_matmul_precision", "highest")  # by default XLA multiplies in TF32
    config = files.read_json(args.config)
    model = importlib.import_module(f"frameworks.jax.models.{config['definition']}")
    weights = jax.device_put(tensors.load(args.weights))
    inputs = {
        name: jnp.asarray(array, np.int32 if array.dtype == np.int64 else np.float32)
        for name, array in tensors.select(tensors.load(args.inputs), "inference.").items()
    }
    forward = jax.jit(lambda weights, inputs: model.forward(weights, config, **inputs))

    def run() -> None:
        forward(weights, inputs).block_until_ready()

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
