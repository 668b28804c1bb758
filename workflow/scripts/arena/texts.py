"""Texts as token ids: what a model that predicts the next token is asked to predict."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

LARGEST_BYTES = 1 << 24  # of a file of token ids: millions of them
TOKEN = re.compile(r"[0-9]{1,9}")


def tokens(path: Path) -> np.ndarray:
    """The token ids of a file, (tokens,) int64: whole numbers between spaces; a line from ``#`` on is a comment.

    Raises OSError without such a file, ValueError naming file and line for what is no token id.
    """
    if not path.is_file() and path.exists():  # to read a pipe or a device might never end
        raise ValueError(f"{path}: no file")
    if path.exists() and path.stat().st_size > LARGEST_BYTES:
        raise ValueError(f"{path}: {path.stat().st_size} bytes; expected {LARGEST_BYTES} at most")
    found: list[int] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        for word in line.partition("#")[0].split():
            if not TOKEN.fullmatch(word):
                raise ValueError(
                    f"{path}, line {number}: {word[:40]!r} is no token id; expected whole numbers"
                )
            found.append(int(word))
    return np.array(found, np.int64)


def needed(length: int, windows: int, examples: int) -> int:
    """How many tokens ``windows`` and ``examples`` of ``length`` tokens each take."""
    return (windows + examples) * length + 1


def inputs(ids: np.ndarray, length: int, windows: int, examples: int) -> dict[str, np.ndarray]:
    """What a text is made into; windows and examples follow one another and do not overlap.

    ``quality.input_ids`` (windows, 1, length) and ``quality.target`` (windows, length), the token that follows each;
    ``calibration.input_ids`` (examples, 1, length), on which a quantiser may look at activations: text that nobody
    is asked to predict. Raises ValueError if there are too few ids.
    """
    if ids.size < needed(length, windows, examples):
        raise ValueError(
            f"{ids.size} tokens; expected {needed(length, windows, examples)} for {windows} windows and {examples} "
            f"examples of {length}"
        )
    asked = windows * length
    found = {
        "quality.input_ids": ids[:asked].reshape(windows, 1, length),
        "quality.target": ids[1 : asked + 1].reshape(windows, length),
    }
    if examples:
        rest = ids[asked + 1 : asked + 1 + examples * length]
        found["calibration.input_ids"] = rest.reshape(examples, 1, length)
    return found
