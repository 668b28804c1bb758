"""Count a model: its parameters part by part, what each task feeds it, and the operations of a forward pass.

python workflow/tools/describe_model.py ResNet-50
python workflow/tools/describe_model.py ResNet-50 --configfile config/test.yaml --total
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import library  # noqa: F401
from arena.configuration import loader
from models import flops

ROOT = Path(__file__).resolve().parents[2]


def described(model: Mapping[str, Any], named: str = "") -> list[str]:
    """Lines about ``model``, resolved, of config/models/; counted are tensors with ``named`` in the name.

    Raises ValueError if there is none, or if the architecture asks for what its definition lacks.
    """
    return [*parameters(model, named), *workload(model)]


def parameters(model: Mapping[str, Any], named: str) -> Iterator[str]:
    """How many values and tensors ``model`` has, then the same for each of its parts."""
    definition = model["definition"]
    specs = importlib.import_module(f"models.spec.{definition}").tensors(model["architecture"])
    sizes = {name: math.prod(spec.shape) for name, spec in specs.items() if named in name}
    if not sizes:
        raise ValueError(f"--tensors: no tensor of definition {definition} has {named!r} in its name")
    tensors, values = Counter[str](), Counter[str]()
    for name, size in sizes.items():
        part = name.removeprefix("model.").split(".")[0]
        tensors[part] += 1
        values[part] += size
    yield f"{sum(sizes.values()):,} parameters in {len(sizes)} tensors"
    for part, count in tensors.items():
        yield f"  {part}: {values[part]:,} in {count}"


def workload(model: Mapping[str, Any]) -> Iterator[str]:
    """The tensors of each task with their formulas, and the operations of a forward pass, if counted."""
    tasks = model["workload"]
    for task in ("inference", "latency"):
        yield f"{task}:"
        yield from (f"  {name}: {formula(entry)}" for name, entry in tasks[task].items())
        shapes = {name: tuple(entry["shape"]) for name, entry in tasks[task].items()}
        count = flops.forward(model["definition"], model["architecture"], shapes)
        yield "  operations: " + ("not counted for this definition" if count is None else f"{count:,}")
    if "decode" in tasks:
        yield "decode:"
        yield f"  input_ids: {formula(tasks['decode']['input_ids'])}"
        yield f"  tokens to generate: {tasks['decode']['tokens']}"
    yield f"target of {model['loss']}: {formula(tasks['target'])}"


def formula(entry: Mapping[str, Any]) -> str:
    """An input's type and shape, and its element i in C order, in the words of config/README.md."""
    fill = entry["fill"]
    if fill in ("sin", "cos"):
        value = f"{fill}({entry['step']}·i)"
    elif fill == "arange":
        value = f"{entry.get('start', 0)} + i"
    else:
        value = "0" if fill == "zeros" else str(entry["values"])
    return f"{entry['dtype']} {tuple(entry['shape'])}, {value}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="its name in config/models/")
    parser.add_argument("--configfile", type=Path, help="an overlay, as Snakemake takes it")
    parser.add_argument(
        "--tensors", default="", help="count only tensors with this regular expression in the name"
    )
    parser.add_argument("--total", action="store_true", help="print the number of parameters alone")
    options = parser.parse_args(arguments)
    chosen = loader.read_yaml(ROOT / "config/config.yaml")
    try:
        if options.configfile:
            chosen = loader.merge(chosen, loader.read_yaml(options.configfile))
        models = loader.resolve(chosen, ROOT)["models"]
        if options.model not in models:
            raise ValueError(f"{options.model!r} is no model; expected one of {', '.join(models)}")
        lines = described(models[options.model], options.tensors)
        print(*lines[: 1 if options.total else None], sep="\n")
    except (ValueError, OSError) as error:
        sys.exit(f"describe_model.py: {error}")


if __name__ == "__main__":
    main()
