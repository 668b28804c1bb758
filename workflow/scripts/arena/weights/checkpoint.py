"""A checkpoint on disk: config.json beside one safetensors file, or several with an index.

Safetensors and JSON only: nothing that is read here can run code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize

from arena import files

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def members(directory: Path) -> list[Path]:
    """The files that make up the checkpoint in ``directory``: config.json, the index if any, the weights.

    Raises ValueError naming what is missing, or an index that names a file outside the directory.
    """
    config, whole, index = directory / "config.json", directory / WHOLE, directory / INDEX
    if not config.is_file():
        raise ValueError(f"{directory}: no config.json, which says what the architecture is")
    if whole.is_file():
        return [config, whole]
    if not index.is_file():
        raise ValueError(f"{directory}: neither {WHOLE} nor {INDEX}; only safetensors are read")
    shards = sorted(set(weight_map(index).values()))
    for name in shards:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(f"{index}: {name!r} is no safetensors file beside it")
    missing = [name for name in shards if not (directory / name).is_file()]
    if missing:
        raise ValueError(f"{directory}: {INDEX} names {', '.join(missing)}, which is not there")
    return [config, index, *(directory / name for name in shards)]


def weight_map(index: Path) -> dict[str, str]:
    """The index's file name for every tensor. Raises ValueError if it is no such index."""
    found = files.read_json(index)
    named = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise ValueError(f"{index}: no `weight_map` from tensors to files; it is not a safetensors index")
    return named


def tensors(directory: Path, names: Mapping[str, str | None]) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Every tensor as float32 under the arena's name, and how many came in each type.

    ``names`` maps regular expressions for a whole name in the checkpoint to what takes its place
    (with ``\\1`` for groups), or to None for a tensor that is left out; the first that fits counts, and a
    name that none fits is kept. float16 and bfloat16 become float32 exactly, float64 is rounded.

    Raises ValueError naming file and tensor: broken files, tensors that are no floats, lie elsewhere than
    the index says, are not finite, or meet under one name.
    """
    found: dict[str, np.ndarray] = {}
    types: dict[str, int] = {}
    paths = members(directory)
    index = directory / INDEX
    indexed = weight_map(index) if index in paths else None
    for path in paths:
        if path.suffix != ".safetensors":
            continue
        held = _read(path)
        listed = held.keys() if indexed is None else {name for name, at in indexed.items() if at == path.name}
        if listed != held.keys():
            odd = sorted(listed ^ held.keys())[:5]
            raise ValueError(f"{path}: its tensors are not those that {INDEX} lists: {', '.join(odd)}")
        for theirs, tensor in held.items():
            name = renamed(theirs, names)
            if name is None:
                continue
            if name in found:
                raise ValueError(f"{path}: {theirs} is the second tensor named {name}; correct the names")
            if tensor["dtype"] not in FLOATS:
                raise ValueError(f"{path}: {theirs} is {tensor['dtype']}; expected {', '.join(FLOATS)}")
            found[name] = as_float32(tensor)
            if not np.isfinite(found[name]).all():
                raise ValueError(f"{path}: {theirs} holds values that are not finite")
            kind = FLOATS[tensor["dtype"]]
            types[kind] = types.get(kind, 0) + 1
    return found, types


def renamed(name: str, names: Mapping[str, str | None]) -> str | None:
    """The arena's name of the checkpoint's tensor ``name``; None if it is left out."""
    for pattern, replacement in names.items():
        match = re.fullmatch(pattern, name)
        if match:
            return None if replacement is None else match.expand(replacement)
    return name


def as_float32(tensor: Mapping[str, Any]) -> np.ndarray:
    """A tensor of a safetensors file (``dtype``, ``shape``, little-endian ``data``) as float32."""
    data, shape = tensor["data"], tensor["shape"]
    if tensor["dtype"] == "BF16":  # numpy lacks it: the upper half of a float32
        halves = np.frombuffer(data, "<u2").astype(np.uint32) << np.uint32(16)
        return halves.view(np.float32).reshape(shape)
    kind = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[tensor["dtype"]]
    with np.errstate(over="ignore"):  # an overflow is refused by name, as not finite
        return np.frombuffer(data, kind).astype(np.float32).reshape(shape)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return dict(deserialize(path.read_bytes()))
    except SafetensorError as error:
        raise ValueError(
            f"{path}: not a whole safetensors file ({error}); delete it and fetch it again"
        ) from error
