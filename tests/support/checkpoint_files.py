"""Checkpoints as they are published: the config.json of those that the arena pins, and files of bfloat16.

checkpoints/ holds the config.json byte for byte: their sha256 is the pinned one.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from arena import files

FOLDER = Path(__file__).parent / "checkpoints"


def published(name: str, **changes: Any) -> dict[str, Any]:
    """The published config.json of a model, with ``changes`` to its keys."""
    return files.read_json(FOLDER / f"{name}.json") | changes


def write_bfloat16(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """A safetensors file of bfloat16, which numpy does not have: the upper halves of float32."""
    header, offset, data = {}, 0, []
    for name, array in arrays.items():
        raw = (np.ascontiguousarray(array).view(np.uint32) >> 16).astype("<u2").tobytes()
        offsets = [offset, offset + len(raw)]
        header[name] = {"dtype": "BF16", "shape": list(array.shape), "data_offsets": offsets}
        offset += len(raw)
        data.append(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data))
