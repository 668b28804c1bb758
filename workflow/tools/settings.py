"""Which settings of a job differ from those with which its results were made, in words.

Snakemake keeps the values of a job's params, without their names. Those of this project are JSON where they have
parts, so a value is held against the one that is most like it, and only what differs in it is told.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from typing import Any

LONGEST = 60  # characters of a value that are shown
MOST = 4  # settings named of one job

Value = Any


def changes(old: Iterable[str], new: Iterable[str], names: Mapping[str, str]) -> list[str]:
    """``setting: old → new`` for each that differs. ``old`` and ``new`` are values as Python writes them, ``names``
    are the names of the new ones. A digest of code is left out: that is no setting.
    """
    before = [value for value in map(_read, old) if not _is_code(value)]
    found = []
    for text in new:
        value = _read(text)
        if _is_code(value):
            continue
        if not before:
            found.append(f"{names.get(text, 'a setting')}: {_shown(value)} is new")
            continue
        likeness = [_likeness(other, value) for other in before]
        like = before.pop(likeness.index(max(likeness)))
        found += [_line(*change) for change in _differences(names.get(text, ""), like, value)]
    return found + [f"{_shown(value)} is gone" for value in before]


def in_words(old: Iterable[str], new: Iterable[str], names: Mapping[str, str]) -> str:
    """``changes`` on one line; "" if nothing but code differs."""
    found = changes(old, new, names)
    more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
    return ", ".join(found[:MOST]) + more


def _read(text: str) -> Value:
    """A value from its ``repr``; JSON in it is read too."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return _unpacked(value)


def _unpacked(value: Value) -> Value:
    if isinstance(value, (list, tuple)):
        return [_unpacked(each) for each in value]
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _is_code(value: Value) -> bool:
    return isinstance(value, str) and value.startswith("code ")


def _likeness(one: Value, other: Value) -> float:
    """From 0, of other kinds, to 1, equal: by the share of keys or places that agree."""
    if type(one) is not type(other):
        return 0.0
    if isinstance(one, dict):
        keys = one.keys() | other.keys()
        both = one.keys() & other.keys()
        return (len(both) + sum(one[key] == other[key] for key in both)) / (2 * len(keys) or 1)
    if isinstance(one, list):
        same = sum(a == b for a, b in zip(one, other, strict=False))
        return (0.5 + same) / (0.5 + max(len(one), len(other)))
    return 0.5


def _differences(path: str, old: Value, new: Value) -> Iterable[tuple[str, Value, Value]]:
    """(setting, old, new) of each part that differs; None where a part is on one side only."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            if old.get(key) != new.get(key):
                below = key if path in TOLD_BY_THEIR_KEYS else f"{path}.{key}"
                yield from _differences(below, old.get(key), new.get(key))
        return
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and _has_parts(new):
        for place, (one, other) in enumerate(zip(old, new, strict=True)):
            if one != other:
                option = new[place - 1] if place and _is_option(new[place - 1]) else None
                yield from _differences(option.strip("-") if option else path, one, other)
        return
    yield path, old, new


#: Params of which the parts' own names tell enough: a cell's, a model's configuration, an option's JSON.
TOLD_BY_THEIR_KEYS = ("", "cell", "config", "workload", "tolerances", "captions", "settings")


def _has_parts(values: list[Value]) -> bool:
    return any(isinstance(value, (dict, list)) or _is_option(value) for value in values)


def _is_option(value: Value) -> bool:
    return isinstance(value, str) and value.startswith("--")


def _line(path: str, old: Value, new: Value) -> str:
    return f"{path or 'a setting'} {_shown(old)} → {_shown(new)}"


def _shown(value: Value) -> str:
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
