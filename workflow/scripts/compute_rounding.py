"""Compute what the lanes of a run cost on a model's weights: PyTorch that rounds so, against the float64 reference.

That is to a lane of reduced precision what the reference's own `noise` is to float32. Where PyTorch cannot compute it,
that is recorded, and nothing widens.
"""

from __future__ import annotations

import argparse
import platform
import sys
import traceback
from pathlib import Path
from typing import Any

from arena import environment

if __name__ == "__main__":
    environment.enter()

import numpy as np
import torch

from arena import files, redaction, tensors
from arena.weights import unmade
from frameworks.pytorch import reference, rounding


def read_reference(path: str, summary: dict[str, Any]) -> reference.Results:
    """The float64 results in reference.safetensors, without gradients.

    Raises ValueError naming the file and the tensor that it lacks.
    """
    found = tensors.load(path)
    for name in ("inference.output", "latency.output", "loss"):
        if name not in found or "gradient_norms" not in summary:
            raise ValueError(f"{path}: no tensor {name!r} or no norms beside it; compute the reference again")
    return reference.Results(found["inference.output"], found["latency.output"], float(found["loss"]), {})


def with_divergences_of_many(noise: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The figures by task, with the divergences of `latency` raised to the mean of `inference`, where that is larger.

    The smallest input has one position or few, and what rounding costs differs from one to the next by a factor of
    ten: the cost at that very one says too little of what another order of rounding costs there.
    """
    many = noise["inference"]["mean_kl"]
    for figure in ("mean_kl", "median_kl"):
        if many is not None:
            noise["latency"][figure] = max(noise["latency"][figure], many)
    return noise


def main(argv: list[str] | None = None) -> None:
    known = list(rounding.ROUNDINGS)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roundings", required=True, nargs="+", choices=known)
    parser.add_argument("--train", nargs="*", choices=known, default=[], help="those with gradients, too")
    parser.add_argument("--weights", required=True, help="read: model.safetensors")
    parser.add_argument("--config", required=True, help="read: config.json")
    parser.add_argument("--inputs", required=True, help="read: inputs.safetensors")
    parser.add_argument("--loss", required=True, choices=["cross_entropy", "mse"])
    parser.add_argument("--reference", required=True, help="read: outputs and loss, float64 (safetensors)")
    parser.add_argument("--gradients", required=True, help="read: the reference's gradients (safetensors)")
    parser.add_argument("--summary", required=True, help="read: the reference's norms (JSON)")
    parser.add_argument("--threads", required=True, type=int, help="of PyTorch's thread pool")
    parser.add_argument("--out", required=True, help="written: figures by rounding and task (JSON)")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)

    summary = files.read_json(options.summary)
    if unmade.reason(Path(options.summary)):
        files.write_json(options.out, summary)
        return
    config, weights = files.read_json(options.config), tensors.load(options.weights)
    inputs = tensors.load(options.inputs)
    gradients = tensors.load(options.gradients) if options.train else {}
    try:
        double = read_reference(options.reference, summary)
    except ValueError as error:
        sys.exit(f"compute_rounding.py: {error}")
    costs: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for name in options.roundings:
        try:
            with rounding.imitation(name) as dtype:
                train = name in options.train
                found = reference.run(config, weights, inputs, options.loss, dtype, train=train)
            norms = summary["gradient_norms"]
            costs[name] = with_divergences_of_many(
                reference.noise(found, double, gradients, norms, options.loss)
            )
        except Exception as error:
            # Costs the rows that round so what their noise would let pass, and not the run.
            traceback.print_exc()
            failed[name] = redaction.Redactor().value(unmade.told(error))
        else:
            reference.log(f"{name}: relative L2 {costs[name]['inference']['relative_l2']}")
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    files.write_json(options.out, {"noise": costs, "failed": failed, "versions": versions})


if __name__ == "__main__":
    main()
