"""Bring a checkpoint on disk into the arena's form: model.safetensors, config.json and source.json.

The architecture is what the checkpoint's config.json says, the weights are converted to float32 once.
With the record of a download that found no hub (`weights: auto`), the weights are made from the seed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

import seed_weights
from arena import files, tensors
from arena.weights import checkpoint, seeded, source, unmade


def architecture(model: dict[str, Any], directory: Path) -> dict[str, Any]:
    """The content of config.json, from the checkpoint's own.

    Raises ValueError naming the file, the key and the values that the definition does not implement.
    """
    path = directory / "config.json"
    found = files.read_json(path)
    if not isinstance(found, dict):
        raise ValueError(f"{path}: holds a {type(found).__name__}; expected an object")
    reader = importlib.import_module(f"models.checkpoint.{model['definition']}")
    try:
        return {**reader.architecture(found), "definition": model["definition"]}
    except ValueError as error:
        raise ValueError(f"{directory}/{error}") from error


def check_shapes(weights: dict[str, np.ndarray], specs: dict[str, seeded.Spec], directory: Path) -> None:
    """Raise ValueError unless the weights are those of the architecture, in name and shape."""
    try:
        tensors.check_names(set(weights), set(specs), str(directory))
    except tensors.TensorNameError as error:
        hint = "compare config.json, and map the checkpoint's names in the model's source.tensors"
        raise ValueError(f"{error}; {hint}") from error
    for name, spec in specs.items():
        if weights[name].shape != spec.shape:
            shapes = f"{list(weights[name].shape)}; config.json makes it {list(spec.shape)}"
            raise ValueError(f"{directory}: {name} has shape {shapes}")


def convert(model: dict[str, Any], directory: Path) -> tuple[dict[str, np.ndarray], dict, dict[str, int]]:
    """The weights as float32 by name, config.json's content, and how many tensors came in each type."""
    checkpoint.members(directory)  # that it is whole comes before what it says
    config = architecture(model, directory)
    specs = importlib.import_module(f"models.spec.{model['definition']}").tensors(config)
    weights, types = checkpoint.tensors(directory, model["source"]["tensors"])
    check_shapes(weights, specs, directory)
    return {name: weights[name] for name in specs}, config, types


def provenance(directory: Path, record: dict[str, Any] | None) -> dict[str, Any]:
    """What source.json says of the files: the record of their download, or their sums if they were here.

    Raises ValueError if a downloaded file is not the one that was recorded.
    """
    sums = {path.name: files.sha256(path) for path in checkpoint.members(directory)}
    if record is None:
        sizes = {name: (directory / name).stat().st_size for name in sums}
        held = {name: {"sha256": sums[name], "bytes": sizes[name]} for name in sums}
        return {"kind": "path", "name": directory.resolve().name, "files": held}
    for name, digest in sums.items():
        recorded = record["files"].get(name, {}).get("sha256")
        if recorded != digest:
            raise ValueError(
                f"{directory / name}: its sha256 is {digest}, the download recorded {recorded}; "
                "download it again (snakemake --forcerun download)"
            )
    return {key: value for key, value in record.items() if key != "first_seen"}


def leave(options: argparse.Namespace, reason: dict[str, str]) -> None:
    """Write what stands in the place of weights that could not be had."""
    unmade.leave(options.weights, options.config, options.source, options.model_config["weights"], reason)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-config", required=True, type=json.loads, help="the model's mapping, as JSON")
    parser.add_argument("--checkpoint", required=True, type=Path, help="its directory")
    parser.add_argument("--record", type=Path, help="of download_weights.py; without it, a local copy")
    parser.add_argument("--weights", required=True, help="written: every tensor (safetensors)")
    parser.add_argument("--config", required=True, help="written: the architecture (JSON)")
    parser.add_argument("--source", required=True, help="written: where the weights come from (JSON)")
    parser.add_argument(
        "--record-failure",
        action="store_true",
        help="where the checkpoint is refused, record that instead of failing",
    )
    options = parser.parse_args(arguments)
    model = options.model_config

    try:
        record = files.read_json(options.record) if options.record else None
        if record and record["kind"] == "failed":
            return leave(options, record["reason"])
        if record and record["kind"] == "seeded":
            weights, config = seed_weights.generate(model), seed_weights.architecture(model)
            facts = record | {"seed": model["seed"], "generator": seeded.GENERATOR}
            facts.pop("first_seen", None)
        else:
            weights, config, types = convert(model, options.checkpoint)
            facts = provenance(options.checkpoint, record) | {"converted": {"from": types, "to": "float32"}}
    except Exception as error:
        known = isinstance(error, (OSError, ValueError))
        if not known:
            traceback.print_exc()
        if options.record_failure and not isinstance(error, OSError):
            return leave(options, unmade.because(unmade.told(error)))
        sys.exit(f"convert_checkpoint.py: {unmade.told(error)}")
    tensors.save(options.weights, weights)
    files.write_json(options.config, config)
    count = sum(array.size for array in weights.values())
    facts |= {"sha256": files.sha256(options.weights), "parameters": count}
    files.write_json(options.source, facts)
    print(f"{source.words(facts)}: {len(weights)} tensors, {count:,} parameters", file=sys.stderr)


if __name__ == "__main__":
    main()
