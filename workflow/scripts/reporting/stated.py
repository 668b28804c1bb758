"""Why a framework lacks a task: its file's sentence, which a record names by its key only.

So another wording changes no cell, and measures nothing again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def in_full(value: Any, sentences: Mapping[str, str]) -> Any:
    """``value``, JSON, with each text's keys replaced by the ``sentences`` that they stand for.

    What is no key of ``sentences`` stays: a table of another project's rows names its own.
    """
    if isinstance(value, dict):
        return {name: in_full(each, sentences) for name, each in value.items()}
    if isinstance(value, list):
        return [in_full(each, sentences) for each in value] if _has_text(value) else value
    if isinstance(value, str):
        for key, sentence in sentences.items():
            value = value.replace(key, sentence)
    return value


def _has_text(values: list[Any]) -> bool:
    return any(isinstance(each, (dict, list, str)) for each in values)
