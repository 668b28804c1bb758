"""Make a model's weights from its seed: model.safetensors, config.json and source.json."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import traceback
from typing import Any

import numpy as np

from arena import files, tensors
from arena.weights import seeded, unmade


def architecture(model: dict[str, Any]) -> dict[str, Any]:
    """The content of config.json: the model's architecture and the name of its definition."""
    return {**model["architecture"], "definition": model["definition"]}


def specs(model: dict[str, Any]) -> dict[str, seeded.Spec]:
    """Shape and initialisation of every tensor of ``model``, a mapping as in config/models/."""
    definition = importlib.import_module(f"models.spec.{model['definition']}")
    if not hasattr(definition, "tensors"):
        raise ValueError(
            f"{definition.__file__} has no function tensors(config); docs/design.md says what it gives"
        )
    return definition.tensors(architecture(model))


def generate(model: dict[str, Any]) -> dict[str, np.ndarray]:
    """Every weight of ``model`` by name, float32, in the checkpoint's layout.

    Raises ValueError if the architecture asks for what its definition does not implement.
    """
    return seeded.tensors(model["seed"], specs(model))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-config", required=True, type=json.loads, help="the model's mapping, as JSON")
    parser.add_argument("--weights", required=True, help="written: every tensor (safetensors)")
    parser.add_argument("--config", required=True, help="written: the architecture (JSON)")
    parser.add_argument("--source", required=True, help="written: where the weights come from (JSON)")
    parser.add_argument(
        "--record-failure",
        action="store_true",
        help="where there can be none, record why instead of failing",
    )
    options = parser.parse_args(arguments)
    model = options.model_config

    try:
        if model["weights"] != "seeded":
            raise ValueError(
                f"weights: {model['weights']!r} is not 'seeded': convert_checkpoint.py makes such weights"
            )
        weights = generate(model)
    except Exception as error:  # of the definition's, a module that anybody may write
        if not isinstance(error, ValueError):
            traceback.print_exc()
        if options.record_failure and not isinstance(error, OSError):
            why = unmade.because(unmade.told(error))
            return unmade.leave(options.weights, options.config, options.source, "seeded", why)
        sys.exit(f"seed_weights.py: {unmade.told(error)}")
    tensors.save(options.weights, weights)
    files.write_json(options.config, architecture(model))
    source = {
        "kind": "seeded",
        "seed": model["seed"],
        "generator": seeded.GENERATOR,
        "sha256": files.sha256(options.weights),
        "parameters": seeded.parameter_count(specs(model)),
    }
    files.write_json(options.source, source)
    print(f"{len(weights)} tensors, {source['parameters']:,} parameters", file=sys.stderr)


if __name__ == "__main__":
    main()
