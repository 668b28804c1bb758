"""Write the tables of config/README.md from the configuration's schema.

The text between two marker lines is replaced; the rest of the page is written by hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

import library  # noqa: F401
from arena import files
from arena.configuration import loader
from arena.configuration.validator import allowed, flat

BEGIN = "<!-- The tables below are written by workflow/tools/document_config.py from the schema. -->"
END = "<!-- End of the tables. -->"


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
            lines += ["", f"### `{key}`", "", child["description"], ""]
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


def documented(page: str, schema: Mapping) -> str:
    """``page`` with the tables of ``schema`` between the markers. Raises ValueError if they are missing."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs the line {BEGIN!r} and, after it, {END!r}; put them back")
    return f"{head}{BEGIN}\n\n{tables(schema)}\n\n{END}{tail}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--schema", type=Path, default=Path(loader.SCHEMA), help="the schema (default: %(default)s)"
    )
    parser.add_argument(
        "--readme", type=Path, default=Path("config/README.md"), help="the page (default: %(default)s)"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if the page is out of date"
    )
    args = parser.parse_args()
    page = args.readme.read_text(encoding="utf-8")
    new = documented(page, loader.read_yaml(args.schema))
    if args.check and page != new:
        raise SystemExit(f"{args.readme}: the tables are out of date; run python {__file__}")
    if page != new:
        files.write_text(args.readme, new)


if __name__ == "__main__":
    main()
