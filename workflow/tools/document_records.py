"""Write the JSON schemas of the arena's records, from their types in arena/contract/, to workflow/schemas/.

python workflow/tools/write_schemas.py
"""

from __future__ import annotations

import inspect
import json
import types
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import library  # noqa: F401
from arena.contract import codec
from arena.contract.build import Built
from arena.contract.cell import Cell, Job
from arena.contract.codec import AtLeast
from arena.contract.decision import Decision
from arena.contract.failures import Failures
from arena.contract.measured import Measured
from arena.contract.round import Round
from arena.contract.verdict import Verdict
from reporting.allotments import Account

# By the name of the file, workflow/schemas/{name}.schema.json.
RECORDS = {
    "cell": Cell,
    "job": Job,
    "measured": Measured,
    "round": Round,
    "verdict": Verdict,
    "decision": Decision,
    "build": Built,
    "allocations": Account,
    "failures": Failures,
}
DRAFT = "https://json-schema.org/draft/2020-12/schema"
PLAIN = {str: "string", Path: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema(record: type) -> dict[str, Any]:
    """The JSON schema of a record; what is not null-able must not be null, and every key must be there."""
    definitions: dict[str, Any] = {}
    whole = _object(record, definitions)
    return {"$schema": DRAFT} | whole | ({"$defs": dict(sorted(definitions.items()))} if definitions else {})


def _object(record: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(record, include_extras=True)
    properties = {}
    for field in fields(record):
        what = [each for each in get_args(hints[field.name])[1:] if isinstance(each, str)]
        if not what:
            raise TypeError(f'{record.__name__}.{field.name}: needs a description, Annotated[…, "…"]')
        properties[field.name] = _schema(hints[field.name], definitions) | {"description": what[0]}
    return {
        "title": record.__name__,
        "description": " ".join(inspect.getdoc(record).split()),
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in codec.added_later(record)],
        "additionalProperties": False,
    }


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return {}
    if is_dataclass(kind):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = {}  # named before its own fields are looked at
            definitions[kind.__name__] = _object(kind, definitions)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if origin is Annotated:
        bounds = [each.value for each in arguments[1:] if isinstance(each, AtLeast)]
        return _schema(arguments[0], definitions) | ({"minimum": max(bounds)} if bounds else {})
    if origin is Literal:
        return {"const": arguments[0]} if len(arguments) == 1 else {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(each, definitions) for each in arguments]}
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if origin is dict:
        names = {} if arguments[0] is str else {"propertyNames": _schema(arguments[0], definitions)}
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)} | names
    return {"type": PLAIN[kind]}


def text(record: type) -> str:
    """The content of a record's file."""
    return json.dumps(schema(record), indent=1, ensure_ascii=False) + "\n"
