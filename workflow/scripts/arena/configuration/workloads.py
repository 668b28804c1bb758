"""What a configuration's schema cannot say of workloads: fills, prompts, texts, and that they fit their model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from arena import texts
from arena.configuration import validator
from arena.configuration.validator import Config, Problem, shown

# What each fill reads beside shape, dtype and fill: (required, optional, dtypes).
FILLS = {
    "sin": ({"step"}, set(), {"float32"}),
    "cos": ({"step"}, set(), {"float32"}),
    "arange": (set(), {"start"}, {"int64"}),
    "zeros": (set(), set(), {"float32", "int64"}),
    "values": ({"values"}, set(), {"float32", "int64"}),
}
MOST_ELEMENTS = 2**31  # of one input: 8 GB in float32
TARGET_DTYPE = {"cross_entropy": "int64", "mse": "float32"}


def check(config: Config, basedir: Path) -> Iterator[Problem]:
    """What is wrong with the models' workloads, each problem with its key."""
    for model, entry in config["models"].items():
        workload, path = entry["workload"], ("models", model, "workload")
        for task in ("inference", "latency"):
            for name, fill in workload[task].items():
                yield from _check_fill(fill, (*path, task, name))
        yield from _check_fill(workload["target"], (*path, "target"))
        if decode := workload.get("decode"):
            yield from _check_fill(decode["input_ids"], (*path, "decode", "input_ids"))
            yield from _check_decode(decode, (*path, "decode"), entry["architecture"])
        if quality := workload.get("quality"):
            yield from _check_quality(quality, (*path, "quality"), entry, basedir)
        names, others = set(workload["inference"]), set(workload["latency"])
        if names != others:
            text = f"has {', '.join(sorted(others))}; allowed: as inference has, {', '.join(sorted(names))}"
            yield Problem((*path, "latency"), text)
        dtype = workload["target"]["dtype"]
        if dtype != TARGET_DTYPE[entry["loss"]]:
            text = f'"{dtype}" does not suit loss {entry["loss"]}; allowed: `{TARGET_DTYPE[entry["loss"]]}`'
            yield Problem((*path, "target", "dtype"), text)


def _check_decode(decode: Config, path: validator.Path, architecture: Config) -> Iterator[Problem]:
    shape, dtype = decode["input_ids"]["shape"], decode["input_ids"]["dtype"]
    if len(shape) != 2 or shape[0] != 1:
        text = f"{shown(shape)} is not allowed; allowed: one sequence, [1, tokens]"
        yield Problem((*path, "input_ids", "shape"), text)
        return
    if dtype != "int64":
        yield Problem((*path, "input_ids", "dtype"), f'"{dtype}" holds no token ids; allowed: `int64`')
    longest, length = architecture.get("max_position_embeddings", math.inf), shape[1] + decode["tokens"]
    if length > longest:
        text = f"prompt and new tokens are {length}, the architecture has {longest} positions; give fewer"
        yield Problem((*path, "tokens"), text)


def _check_quality(quality: Config, path: validator.Path, model: Config, basedir: Path) -> Iterator[Problem]:
    read = {name: fill["shape"] for name, fill in model["workload"]["inference"].items()}
    shape = read.get("input_ids", [])
    if set(read) != {"input_ids"} or len(shape) != 2 or shape[0] != 1 or model["loss"] != "cross_entropy":
        text = f"inference reads {shown(read)}; allowed: of a model with loss cross_entropy that reads input_ids alone,"
        yield Problem(path, f"{text} [1, tokens]")
        return
    try:
        ids = texts.tokens(basedir / quality["tokens"])
    except (OSError, ValueError) as error:
        yield Problem((*path, "tokens"), f"{error}; allowed: a file of token ids")
        return
    needed = texts.needed(shape[1], quality["windows"], quality["examples"])
    if ids.size < needed:
        text = f"{shown(quality['tokens'])} has {ids.size} tokens; allowed: at least {needed}, for "
        text += f"{quality['windows']} windows and {quality['examples']} examples of {shape[1]}"
        yield Problem((*path, "tokens"), text)
    classes = model["architecture"].get("vocab_size")
    if classes is not None and ids.size and ids.max() >= classes:
        text = f"{shown(quality['tokens'])} has token {ids.max()}; allowed: below {classes}, the vocab_size"
        yield Problem((*path, "tokens"), text)


def _check_fill(fill: Config, path: validator.Path) -> Iterator[Problem]:
    kind = fill["fill"]
    required, optional, dtypes = FILLS[kind]
    given = set(fill) - {"shape", "dtype", "fill"}
    for key in sorted(required - given):
        yield Problem((*path, key), f"missing; fill `{kind}` needs it")
    for key in sorted(given - required - optional):
        takes = ", ".join(sorted(required | optional)) or "nothing more"
        text = f"{shown(fill[key])} is not read by fill `{kind}`, which takes {takes}; remove it"
        yield Problem((*path, key), text)
    if fill["dtype"] not in dtypes:
        text = f'"{fill["dtype"]}" does not suit fill `{kind}`; allowed: {", ".join(sorted(dtypes))}'
        yield Problem((*path, "dtype"), text)
    if (elements := math.prod(fill["shape"])) > MOST_ELEMENTS:
        text = f"{shown(fill['shape'])} has {elements} elements; allowed: at most {MOST_ELEMENTS}"
        yield Problem((*path, "shape"), text)
    if kind == "values" and "values" in given:
        values, needed = fill["values"], elements
        if len(values) != needed:
            text = f"{len(values)} values for shape {fill['shape']}; allowed: {needed}"
            yield Problem((*path, "values"), text)
        if fill["dtype"] == "int64" and not all(isinstance(value, int) for value in values):
            text = f"{shown(values)} is not allowed; allowed: integers, for dtype int64"
            yield Problem((*path, "values"), text)
