"""The configuration's schema: what it refuses, in words, and the defaults that it fills."""

from __future__ import annotations

import contextlib
import copy
import difflib
import functools
import hashlib
import json
import math
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from arena import files

if TYPE_CHECKING:
    from jsonschema import ValidationError

Path = tuple[str | int, ...]
Schema = Mapping[str, Any]  # a JSON schema, or a part of one
Config = dict[str, Any]  # a configuration, or a part of one; the schema says what it holds


class Problem(NamedTuple):
    """Something wrong with the configuration: the path of the key, and the rest of the sentence."""

    path: Path
    text: str

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.text}"


def dotted(path: Path) -> str:
    """A key path as a user writes it: ``platforms[0].name``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "the configuration"


def shown(value: Any) -> str:
    """``value`` as YAML would show it in a line, shortened; text is in quotation marks."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def nearest(name: Any, known: Iterable[str]) -> str:
    """`` (did you mean …?)`` with the most similar of ``known``, or nothing if none is similar."""
    by_folded = {str(candidate).casefold(): str(candidate) for candidate in known}
    match = difflib.get_close_matches(str(name).casefold(), by_folded, n=1, cutoff=0.6)
    return f" (did you mean {by_folded[match[0]]}?)" if match else ""


def unknown(path: Path, name: str, kind: str, known: list[str]) -> Problem:
    """The problem of a ``name`` that is none of the ``known`` ones of its ``kind``."""
    return Problem(path, f"{shown(name)} is no {kind}{nearest(name, known)}; allowed: {', '.join(known)}")


def flat(schema: Any, root: Schema) -> dict[str, Any]:
    """``schema`` with its ``$ref`` into ``root`` replaced by what it refers to; siblings win."""
    own: dict[str, Any] = dict(schema) if isinstance(schema, Mapping) else {}
    if "$ref" in own:
        target: Any = root
        for part in own.pop("$ref").removeprefix("#/").split("/"):
            target = target[part]
        own = {**flat(target, root), **own}
    return own


def allowed(schema: Schema, root: Schema) -> str:
    """What ``schema`` allows, in words."""
    schema = flat(schema, root)
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return "one of " + ", ".join(f"`{'null' if value is None else value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(allowed(choice, root) for choice in schema["anyOf"])
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    return " or ".join(_allowed_type(kind, schema, root) for kind in types) or "anything"


def _allowed_type(kind: str, schema: Schema, root: Schema) -> str:
    if kind in ("integer", "number"):
        bounds = [
            (schema.get("minimum"), "at least"),
            (schema.get("exclusiveMinimum"), "above"),
            (schema.get("maximum"), "at most"),
        ]
        limits = " and ".join(f"{word} {bound}" for bound, word in bounds if bound is not None)
        return ("an integer" if kind == "integer" else "a number") + (f" ({limits})" if limits else "")
    if kind == "string":
        if "pattern" in schema:
            return str(schema["$comment"])
        return "text that is not empty" if schema.get("minLength") else "text"
    if kind == "array":
        size = "a list of at least one" if schema.get("minItems") else "a list"
        words = [f"{size}, each item {allowed(schema.get('items', {}), root)}"]
        words += ["none twice"] if schema.get("uniqueItems") else []
        words += [f"{allowed(schema['contains'], root)} among them"] if "contains" in schema else []
        return ", ".join(words)
    return {"boolean": "`true` or `false`", "null": "`null`", "object": "a mapping"}[kind]


def with_defaults(value: Any, schema: Any, root: Schema) -> Any:
    """A deep copy of ``value`` with every absent key filled from the schema's ``default``."""
    schema = flat(schema, root)
    if isinstance(value, list):
        return [with_defaults(item, schema.get("items"), root) for item in value]
    if not isinstance(value, Mapping):
        return copy.deepcopy(value)
    filled = {}
    properties = schema.get("properties", {})
    for key, child in properties.items():
        child = flat(child, root)
        if key in value or "default" in child:
            filled[key] = with_defaults(value[key] if key in value else child["default"], child, root)
    others = schema.get("additionalProperties")
    filled |= {key: with_defaults(value[key], others, root) for key in value if key not in properties}
    return filled


def _is_integer(_checker: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(checker: Any, value: Any) -> bool:
    """Unlike JSON, YAML has infinities and NaN, which would pass every comparison."""
    return _is_integer(checker, value) or (isinstance(value, float) and math.isfinite(value))


@functools.cache
def _validator() -> Any:
    """The class of validators with this project's numbers."""
    from jsonschema import Draft202012Validator, validators  # here, because its import takes 60 ms

    own = {"integer": _is_integer, "number": _is_number}
    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(own)
    return validators.extend(Draft202012Validator, type_checker=checker)


def problems(
    config: Mapping[Any, Any], schema: Schema, remembered: pathlib.Path | None = None
) -> list[Problem]:
    """Everything that ``schema`` refuses in ``config``, each problem once, in the order of the keys.

    ``remembered``: a file that keeps what was last found to be without problems, so that the same configuration need
    not be judged again. One that cannot be read or written does no harm.
    """
    judged = hashlib.sha256(repr((config, schema)).encode() + pathlib.Path(__file__).read_bytes()).hexdigest()
    with contextlib.suppress(OSError):
        if remembered and remembered.read_text(encoding="utf-8") == judged:
            return []
    found = _problems(config, schema)
    if remembered and not found:
        with contextlib.suppress(OSError):
            files.write_text(remembered, judged)
    return found


def _problems(config: Mapping[Any, Any], schema: Schema) -> list[Problem]:
    unnamed = list(_unnamed(config, ()))
    found: dict[Problem, None] = dict.fromkeys(unnamed)
    if unnamed:  # patterns apply to text only, so the schema judges the rest
        config = _named(config)
    for error in _validator()(schema).iter_errors(config):
        found.update(dict.fromkeys(_in_words(error, schema)))
    refused = {problem.path for problem in found}
    found.update(dict.fromkeys(each for each in _foreign(config, ()) if each.path not in refused))
    return sorted(found, key=lambda problem: [str(part) for part in problem.path])


def _foreign(value: Any, path: Path) -> Iterator[Problem]:
    """Values that YAML has and JSON has not, where the schema lets anything be: programs are told of them as JSON."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from _foreign(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _foreign(child, (*path, index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(path, f"{value} is not finite; allowed: numbers that are")
    elif value is not None and not isinstance(value, (str, int, float)):
        what = f"{shown(str(value))} is a {type(value).__name__} to YAML"
        yield Problem(path, f"{what}; allowed: text, which has quotation marks, numbers, lists, mappings")


def _unnamed(value: Any, path: Path) -> Iterator[Problem]:
    """Keys that YAML does not read as text."""
    children: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, Mapping) else ()
    if isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        if isinstance(value, Mapping) and not isinstance(key, str):
            yield Problem((*path, str(key)), f"the key {shown(key)} is not text; put it in quotation marks")
        yield from _unnamed(child, (*path, key))


def _named(value: Any) -> Any:
    """``value`` without the keys that are not text."""
    if isinstance(value, list):
        return [_named(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _named(child) for key, child in value.items() if isinstance(key, str)}
    return value


def _in_words(error: ValidationError, root: Schema) -> Iterator[Problem]:
    path = tuple(error.absolute_path)
    value: Any = error.instance
    schema: Any = error.schema
    choices = allowed(schema, root)
    if "propertyNames" in error.absolute_schema_path:
        yield Problem((*path, value), f"{shown(value)} is not allowed as a name; allowed: {choices}")
    elif error.validator == "additionalProperties":
        known = list(schema.get("properties", {}))
        for key in value:
            if key not in known:
                text = f"unknown key{nearest(key, known)}; allowed here: {', '.join(known)}"
                yield Problem((*path, key), text)
    elif error.validator == "required":
        for key in schema["required"]:
            if key not in value:
                needed = flat(schema["properties"][key], root)
                text = f"missing; allowed: {allowed(needed, root)}. {needed['description']}"
                yield Problem((*path, key), text)
    elif error.validator == "uniqueItems":
        for index, item in enumerate(value):
            if item in value[:index]:
                yield Problem((*path, index), f"{shown(item)} is given before; allowed: each once")
    else:
        yield Problem(path, f"{shown(value)} is not allowed; allowed: {choices}{_hint(value, schema)}")


def _hint(value: Any, schema: Schema) -> str:
    """What a user probably meant by ``value``, if that can be guessed."""
    if not isinstance(value, str):
        return ""
    if "enum" in schema:
        return nearest(value, (choice for choice in schema["enum"] if choice is not None))
    kinds = json.dumps([schema.get("type"), schema.get("anyOf")])
    if "number" not in kinds and "integer" not in kinds:
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    mantissa, letter, exponent = value.lower().partition("e")
    if letter:
        point = "" if "." in mantissa else ".0"
        sign = "" if exponent[0] in "+-" else "+"
        better = f"{mantissa}{point}e{sign}{exponent}"
        if better != value.lower():
            return f". YAML reads {value} as text: write {better}"
    return (
        ". It is text: write it without quotation marks. On the command line, --config passes the values "
        "inside a mapping as text, so put it in a file for --configfile"
    )
