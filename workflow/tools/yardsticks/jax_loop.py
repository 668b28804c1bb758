"""Time a JAX model as its documentation times functions: a jitted call and ``block_until_ready`` around it.

Prints the durations in nanoseconds, a JSON list. Runs in the environment of the JAX rows.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import looping

from arena import files, tensors


def main() -> None:
    args = looping.arguments(__doc__, "weights", "config")

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

    looping.print_durations(run, args.seconds)


if __name__ == "__main__":
    main()
