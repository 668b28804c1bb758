"""JSON of strangers: what is legal and cannot be meant is refused before anything is made of it."""

from __future__ import annotations

import json
import math
import re
from typing import Any

DEEPEST = 24  # objects and lists in one another: a record has 8
LARGEST = 1e18  # of any number: nanoseconds of 30 years, bytes of a data centre
LONGEST = 100_000  # characters of a text
STRING = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
BRACKET = re.compile(r"[][{}]")


def loads(text: str) -> Any:
    """The value of a JSON text.

    Raises ValueError, saying what is wrong, for what is not JSON, deep nesting, a key given twice, numbers that
    are not finite or absurdly large, and text that is absurdly long or cannot be written as UTF-8.
    """
    _check_depth(text)
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error})") from error
    _check_texts(value)
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for bracket in BRACKET.findall(STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            raise ValueError(f"objects and lists nested more than {DEEPEST} deep; no record is")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice[:60]!r} is given twice")
    return found


def _integer(text: str) -> int:
    if len(text) > 19:
        raise ValueError(f"number {text[:30]}… of {len(text)} characters; nothing is counted that far")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or abs(value) > LARGEST or len(text) > 40:
        raise ValueError(f"number {text[:30]}; expected one of a size up to {LARGEST:g}")
    return value


def _constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON; write null")


def _check_texts(value: Any) -> None:
    if isinstance(value, dict):
        for name, each in value.items():
            _check_texts(name)
            _check_texts(each)
    elif isinstance(value, list):
        for each in value:
            if not isinstance(each, int):
                _check_texts(each)
    elif isinstance(value, str):
        if len(value) > LONGEST:
            raise ValueError(f"text {value[:30]!r}… of {len(value)} characters; expected {LONGEST} at most")
        if not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                raise ValueError(f"text {value[:30]!r} holds half a character (a lone surrogate)") from None
