"""The tables of config/README.md, from the configuration's schema."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from arena.configuration.validator import allowed, flat


def keys(
    schema: Mapping, root: Mapping, path: str = "", seen: dict | None = None
) -> Iterator[tuple[str, dict]]:
    """Every key below ``schema`` with its own schema: ``platforms[].name``, ``models.<model>.title``.

    A definition that is used more than once is entered at its first use.
    """
    seen = {} if seen is None else seen
    required = schema.get("required", [])
    for key, child in schema.get("properties", {}).items():
        here = f"{path}.{key}".removeprefix(".")
        reference = child.get("$ref", "")
        child = {**flat(child, root), "needed": key in required}
        if reference in seen:
            child["description"] += f" Keys as in `{seen[reference]}`."
            yield here, child
            continue
        yield here, child
        yield from _entries(child, root, here, seen)
        if child.get("type") == "object" and reference:
            seen[reference] = here


def _entries(schema: Mapping, root: Mapping, here: str, seen: dict) -> Iterator[tuple[str, dict]]:
    """The keys of an object, of the objects in a list, or of the entries of a mapping by name."""
    if schema.get("type") == "array":
        yield from keys(flat(schema["items"], root), root, f"{here}[]", seen)
        return
    yield from keys(schema, root, here, seen)
    entry = schema.get("additionalProperties")
    if entry and "title" in flat(entry, root):
        reference = entry.get("$ref", "")
        entry = flat(entry, root)
        inside = f"{here}.<{entry['title']}>"
        yield from keys(entry, root, inside, seen)
        if reference:
            seen[reference] = inside


def tables(schema: Mapping) -> str:
    """One Markdown table for each top-level key."""
    lines: list[str] = []
    for key, child in keys(schema, schema):
        if "." not in key and "[" not in key:
            lines += ["", f"### `{key}`", "", *textwrap.wrap(child["description"], 120), ""]
            if child["default"] != {}:
                lines[-1:] = [f"Allowed: {allowed(child, schema)}. Default: {_default(child)}.", ""]
            lines += ["```yaml", _block({key: child["examples"][0]}), "```"]
            if child["type"] in ("array", "object"):
                lines += ["", "| Key | Allowed | Default | Example | Meaning |", "|---|---|---|---|---|"]
            continue
        facts = allowed(child, schema), _default(child), _flow(child["examples"][0]), child["description"]
        cells = [f"`{key}`", *facts]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines).strip("\n")


def _block(value: Mapping) -> str:
    """``value`` as YAML, its innermost mappings and lists in a line each."""
    flow = None if isinstance(next(iter(value.values())), Mapping | list) else False
    return yaml.safe_dump(value, sort_keys=False, default_flow_style=flow, allow_unicode=True).rstrip("\n")


def _default(schema: Mapping) -> str:
    if "default" in schema:
        return "below" if schema["default"] == {} and "properties" in schema else _flow(schema["default"])
    return "needed" if schema.get("needed") else "none"


def _flow(value: Any) -> str:
    """``value`` as YAML in a line, as code."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return f"`{text.removesuffix(chr(10)).removesuffix('...').strip()}`"
