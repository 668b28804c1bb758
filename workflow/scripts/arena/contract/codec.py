"""Typed records as JSON: what is written can be read, and nothing else is.

A record is a frozen dataclass. Each of its fields is a key that must be there, annotated with what it means:
``threads: Annotated[int, "How many …"]``; a default only spares Python's callers from naming what is not known.
Known types: str, int, float, bool, None, Path, Literal, list, dict with keys of text, other records, unions with
None, and Any for JSON as it comes. ``AtLeast`` bounds a number, ``Later`` marks a key that old records lack;
``__post_init__`` may demand more of several keys.
``workflow/tools/document_records.py`` makes JSON schemas of the same.

Why no library: msgspec 0.22 costs a measuring process as much time as all of this with its records, says nothing of
the key of a dictionary in which something is wrong, and writes NaN as null.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from json import dumps, loads
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from arena import files

T = TypeVar("T")
LARGEST = 2**63 - 1  # of an integer: what reads the tables holds no larger one
NAMES = {dict: "object", list: "list", type(None): "null"}  # of JSON's types, where they are not Python's


class ContractError(ValueError):
    """A record is not what it should be; the message gives the path of the key, and what was expected."""

    def __init__(self, message: object):
        # A key may be what no file can hold; the message about it has to be written.
        super().__init__(str(message).encode(errors="backslashreplace").decode())


@dataclass(frozen=True)
class AtLeast:
    """Bounds a number from below, in an ``Annotated``."""

    value: int


@dataclass(frozen=True)
class Later:
    """A key, in an ``Annotated``, that earlier records of the same schema lack: there it has its default."""


Count = Annotated[int, AtLeast(0)]


def read(kind: type[T], path: Path) -> T:
    """The record of ``kind`` in a JSON file.

    Raises ContractError naming the file and the key for whatever is not such a record, OSError without a file.
    """
    try:
        return decode(kind, _json(path.read_text(encoding="utf-8"), "a readable JSON file"))
    except UnicodeDecodeError as error:
        raise ContractError(f"{path}: not a readable JSON file ({error})") from error
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from error


def write(path: Path, record: Any) -> None:
    """Write a record, atomically. Raises ContractError naming the key if ``read`` would refuse it."""
    files.write_json(path, checked(record))


def from_text(kind: type[T], text: str) -> T:
    """The record of ``kind`` in JSON ``text``. Raises ContractError."""
    return decode(kind, _json(text))


def _json(text: str, expected: str = "readable JSON") -> Any:
    """JSON's values. Raises ContractError for whatever Python cannot read as JSON: a number of 5,000 digits too."""
    try:
        return loads(text)
    except ValueError as error:
        raise ContractError(f"not {expected} ({error})") from error
    except RecursionError as error:
        raise ContractError(f"not {expected} (nested too deeply)") from error


def to_text(record: Any) -> str:
    """A record as JSON in one line, its keys in their order. Raises ContractError if it could not be read."""
    return dumps(checked(record), ensure_ascii=False)


def checked(record: Any) -> dict[str, Any]:
    """A record as JSON values. Raises ContractError naming the key if it could not be read back."""
    values: dict[str, Any] = encode(record)
    decode(type(record), values)
    return values


def encode(value: Any) -> Any:
    """A record, or what is in one, as JSON values."""
    if is_dataclass(value):
        return {field.name: encode(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: encode(each) for key, each in value.items()}
    if isinstance(value, list):
        return value if all(type(each) is int for each in value) else [encode(each) for each in value]
    for plain in (
        str,
        bool,
        int,
        float,
    ):  # a framework's version may be a kind of text, its time a kind of float
        if isinstance(value, plain):
            return plain(value)
    return str(value) if isinstance(value, Path) else value


def decode(kind: type[T], value: Any, path: str = "") -> T:
    """A record of ``kind`` made of JSON values; ``path`` is where they stand. Raises ContractError."""
    record: T = _decoder(kind)(value, path)
    return record


def build(kind: type[T], /, **values: Any) -> T:
    """A record of ``kind`` made of JSON values by key; the others have their defaults. Raises ContractError."""
    decoders = _fields(kind)
    for name in values:
        if name not in decoders:
            raise ContractError(f"{name}: unknown; expected only {', '.join(decoders)}")
    return kind(**{name: decoders[name](value, name) for name, value in values.items()})


Decoder = Callable[[Any, str], Any]


_KNOWN: dict[Any, Decoder] = {}


def _decoder(kind: Any) -> Decoder:
    """What checks and converts a value of ``kind``."""
    if kind not in _KNOWN:
        _KNOWN[kind] = _new_decoder(kind)
    return _KNOWN[kind]


def _new_decoder(kind: Any) -> Decoder:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return _anything
    if is_dataclass(kind):
        return _record(kind)
    if origin is Annotated:
        return _bounded(_decoder(arguments[0]), [each for each in arguments[1:] if isinstance(each, AtLeast)])
    if origin is Literal:
        return _literal(arguments)
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is list:
        return _list(arguments[0])
    if origin is dict:
        return _dict(*map(_decoder, arguments))
    if kind is float:
        return _float
    if kind is Path:
        return lambda value, path: Path(_decoder(str)(value, path))
    if kind is str:
        return _text
    if kind in (int, bool, type(None)):
        return _plain(kind)
    raise TypeError(f"{kind}: no record can hold that; see arena.contract.codec")


def _fields(kind: Any) -> dict[str, Decoder]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: _decoder(hints[field.name]) for field in fields(kind)}


def added_later(kind: Any) -> set[str]:
    """The keys of a record that are marked as ``Later``."""
    hints = get_type_hints(kind, include_extras=True)
    return {name for name, hint in hints.items() if Later() in get_args(hint)[1:]}


def _record(kind: Any) -> Decoder:
    decoders, later = _fields(kind), added_later(kind)

    def decoded(value: Any, path: str) -> Any:
        _expect(isinstance(value, dict), path, "object", value)
        found = {}
        for name, decoder in decoders.items():
            if name not in value:
                if name in later:
                    continue
                raise ContractError(f"{_key(path, name)}: missing")
            found[name] = decoder(value[name], _key(path, name))
        for name in value:
            if name not in decoders:
                raise ContractError(f"{_key(path, name)}: unknown; expected only {', '.join(decoders)}")
        try:
            return kind(**found)
        except ContractError as error:  # what the record demands of several keys at once
            raise ContractError(_key(path, error)) from error

    return decoded


def _plain(kind: type) -> Decoder:
    def decoded(value: Any, path: str) -> Any:
        _expect(type(value) is kind, path, _name(kind), value)
        if kind is int and abs(value) > LARGEST:
            raise ContractError(
                f"{path or 'value'}: expected a number of 64 bits, got one of {value.bit_length()}"
            )
        return value

    return decoded


def _text(value: Any, path: str) -> str:
    _expect(type(value) is str, path, "str", value)
    try:
        value.encode()
    except UnicodeEncodeError as error:  # half of a pair of surrogates, which JSON can spell and UTF-8 cannot
        raise ContractError(f"{path or 'value'}: expected text, got half a character") from error
    return str(value)


def _float(value: Any, path: str) -> float:
    _expect(type(value) in (int, float), path, "float", value)
    if type(value) is int:
        _plain(int)(value, path)
    elif not math.isfinite(value):
        raise ContractError(f"{path or 'value'}: expected a finite number, got {value}")
    return float(value)


def _literal(allowed: tuple[Any, ...]) -> Decoder:
    def decoded(value: Any, path: str) -> Any:
        if not any(value == each and type(value) is type(each) for each in allowed):
            raise ContractError(
                f"{path or 'value'}: expected {' or '.join(map(repr, allowed))}, got {value!r}"
            )
        return value

    return decoded


def _bounded(decoder: Decoder, bounds: list[AtLeast]) -> Decoder:
    if not bounds:
        return decoder
    least = max(bound.value for bound in bounds)

    def decoded(value: Any, path: str) -> Any:
        found = decoder(value, path)
        if found < least:
            raise ContractError(f"{path or 'value'}: expected at least {least}, got {found}")
        return found

    return decoded


def _union(kinds: tuple[Any, ...]) -> Decoder:
    some = [kind for kind in kinds if kind is not type(None)]
    if len(some) != 1 or len(some) == len(kinds):
        raise TypeError(f"{kinds}: only a union of one type with None can be read back")
    decoder = _decoder(some[0])
    return lambda value, path: None if value is None else decoder(value, path)


def _list(kind: Any) -> Decoder:
    decoder = _decoder(kind)

    def decoded(value: Any, path: str) -> list[Any]:
        _expect(isinstance(value, list), path, "list", value)
        if kind == Count and all(type(each) is int for each in value) and _within(value):
            return list(value)  # a hundred thousand durations, ten times as fast
        return [decoder(each, f"{path}[{index}]") for index, each in enumerate(value)]

    return decoded


def _within(numbers: list[int]) -> bool:
    return min(numbers, default=0) >= 0 and max(numbers, default=0) <= LARGEST


def _dict(key: Decoder, content: Decoder) -> Decoder:
    def decoded(value: Any, path: str) -> dict[str, Any]:
        _expect(isinstance(value, dict), path, "object", value)
        return {key(name, _key(path, name)): content(each, _key(path, name)) for name, each in value.items()}

    return decoded


def _anything(value: Any, path: str) -> Any:
    """Any JSON, of finite numbers."""
    if isinstance(value, dict):
        return {
            _text(name, _key(path, name)): _anything(each, _key(path, name)) for name, each in value.items()
        }
    if isinstance(value, list):
        return [_anything(each, f"{path}[{index}]") for index, each in enumerate(value)]
    if isinstance(value, float):
        return _float(value, path)
    if isinstance(value, str):
        return _text(value, path)
    _expect(value is None or type(value) in (int, bool), path, "JSON", value)
    return value


def _expect(right: bool, path: str, expected: str, value: Any) -> None:
    if not right:
        raise ContractError(f"{path or 'value'}: expected {expected}, got {_name(type(value))}")


def _name(kind: type) -> str:
    return NAMES.get(kind, kind.__name__)


def _key(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)
