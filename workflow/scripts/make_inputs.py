"""Make every tensor that a model's workload feeds, labels included: inputs.safetensors."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from arena import tensors, texts

DTYPES = {"float32": np.float32, "int64": np.int64}


def fill(name: str, entry: dict[str, Any]) -> np.ndarray:
    """The array that ``entry`` describes, of its ``shape`` and ``dtype``; ``name`` is for messages.

    With i the index of an element in C order: ``sin`` and ``cos`` give sin(step·i) and cos(step·i),
    computed in float64 and rounded once; ``arange`` gives start + i (start 0 unless given); ``zeros``
    gives 0; ``values`` gives the i-th of the ``values`` listed.

    Raises ValueError naming the key for an unknown fill or dtype, or a wrong number of values.
    """
    shape, kind = entry["shape"], entry["fill"]
    size = math.prod(shape)
    index = np.arange(size, dtype=np.int64)
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"{name}.dtype: {entry['dtype']!r} is unknown; expected float32 or int64")
    if kind in ("sin", "cos") and entry["dtype"] != "float32":
        raise ValueError(f"{name}.dtype: {entry['dtype']!r} cannot hold a {kind}; expected float32")
    if kind == "sin":
        values = np.sin(entry["step"] * index)
    elif kind == "cos":
        values = np.cos(entry["step"] * index)
    elif kind == "arange":
        values = index + entry.get("start", 0)
    elif kind == "zeros":
        values = np.zeros(size)
    elif kind == "values":
        values = np.array(entry["values"])
        if values.size != size:
            raise ValueError(f"{name}.values: {values.size} given, shape {shape} needs {size}")
    else:
        raise ValueError(f"{name}.fill: {kind!r} is unknown; expected sin, cos, arange, zeros or values")
    return values.astype(DTYPES[entry["dtype"]]).reshape(shape)


def generate(model: dict[str, Any], text: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Every input of ``model``'s workload: ``inference.{name}``, ``latency.{name}`` and ``target``.

    A model that generates also has ``decode.input_ids``, the prompt. One that predicts a text, of which ``text`` are
    the token ids, has what ``arena.texts.inputs`` makes of it. Raises ValueError for a wrong entry, too short a text.
    """
    workload = model["workload"]
    inputs = {
        f"{task}.{name}": fill(f"workload.{task}.{name}", entry)
        for task in ("inference", "latency")
        for name, entry in workload[task].items()
    }
    if "decode" in workload:
        name = "decode.input_ids"
        inputs[name] = fill(f"workload.{name}", workload["decode"]["input_ids"])
    if text is not None:
        asked, (_, length) = workload["quality"], inputs["inference.input_ids"].shape
        inputs |= texts.inputs(text, length, asked["windows"], asked["examples"])
    return inputs | {"target": fill("workload.target", workload["target"])}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-config", required=True, type=json.loads, help="the model's mapping, as JSON")
    parser.add_argument("--text", type=Path, help="token ids of the text that the model predicts")
    parser.add_argument("--out", required=True, help="written: every input (safetensors)")
    options = parser.parse_args(arguments)
    try:
        text = texts.tokens(options.text) if options.text else None
        found = generate(options.model_config, text)
    except (OSError, ValueError) as error:
        sys.exit(f"make_inputs.py: {options.text or 'workload'}: {error}")
    tensors.save(options.out, found)


if __name__ == "__main__":
    main()
