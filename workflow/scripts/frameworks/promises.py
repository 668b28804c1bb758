"""What an adapter gives, held against docs/design.md, "Adapters": a sentence for its author where the two differ."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from frameworks.base import Adapter, Generation
from frameworks.errors import FailedError

CODE = "error"
#: What ``fetch`` gives for each task; of training also ``gradient.<weight>`` for every weight.
FETCHED = {"inference": "output", "latency": "output", "training": "loss", "decode": "tokens"}


def adapter_of(module: ModuleType, path: object) -> type[Adapter]:
    """The class ``Adapter`` of an adapter's file. Raises FailedError if there is none, or it lacks a method."""
    found = getattr(module, "Adapter", None)
    if not inspect.isclass(found):
        own = [name for name, value in vars(module).items() if _is_own(value, module)]
        there = f"; it has {', '.join(own)}" if own else ""
        write = "write `class Adapter(base.Adapter)`, with `from frameworks import base`"
        raise FailedError(CODE, f"{path} has no class Adapter{there}; {write}")
    missing = sorted(getattr(found, "__abstractmethods__", ())) or [
        name for name in ("describe", "load", "prepare", "fetch") if not callable(getattr(found, name, None))
    ]
    if missing:
        raise FailedError(
            CODE, f"{path}: class Adapter has no {', '.join(missing)}; docs/design.md says what each does"
        )
    return found


def _is_own(value: Any, module: ModuleType) -> bool:
    return inspect.isclass(value) and value.__module__ == module.__name__


def description(found: Any) -> Mapping[str, Any]:
    """What ``describe`` gave. Raises FailedError if that is no mapping with a version."""
    if not isinstance(found, Mapping):
        raise FailedError(
            CODE, f"describe() gave {_kind(found)}; expected a dict: version, backend, device, threads"
        )
    return found


def iteration(found: Any, task: str) -> Callable[[], Any]:
    """What ``prepare`` gave. Raises FailedError if that cannot be called."""
    if not callable(found):
        why = f"prepare({task!r}) gave {_kind(found)}; expected a function without arguments that runs one iteration"
        raise FailedError(CODE, why)
    return found


def generation(found: Any) -> Generation:
    """What an iteration of ``decode`` gave. Raises FailedError if that is no Generation."""
    if not hasattr(found, "first_token_ns"):
        why = (
            f"an iteration of 'decode' gave {_kind(found)}; expected base.Generation(tokens, first_token_ns)"
        )
        raise FailedError(CODE, why)
    return found


def fetched(found: Any, task: str) -> Mapping[str, Any]:
    """What ``fetch`` gave for a task. Raises FailedError if that is no mapping with the task's result."""
    name = FETCHED[task]
    expected = f"a dict with {name!r}" + (
        " and 'gradient.<weight>' of every weight" if task == "training" else ""
    )
    if not isinstance(found, Mapping):
        raise FailedError(CODE, f"fetch({task!r}) gave {_kind(found)}; expected {expected}")
    if name not in found:
        there = ", ".join(map(repr, list(found)[:5])) or "nothing"
        raise FailedError(CODE, f"fetch({task!r}) gave {there}, and no {name!r}; expected {expected}")
    return found


def _kind(value: Any) -> str:
    return "nothing (None)" if value is None else f"a {type(value).__name__}"
