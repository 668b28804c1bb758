"""Write what the pages tell of the catalogue and the schema, and the schemas of the records (`make docs`).

In each page the text between two marker lines is replaced; the rest is written by hand. The schemas are
written whole.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import document_records
import library  # noqa: F401
from arena import files
from arena.configuration import loader
from document_config import tables
from document_frameworks import matrix, reasons

ROOT = Path(__file__).resolve().parents[2]


def catalogue(basedir: Path) -> dict:
    """The configuration with every row of the catalogue."""
    return loader.resolve({"run": {"rows": "all"}}, basedir)


# (page, the name in its markers, what stands between them)
PARTS: list[tuple[str, str, Callable[[Path], str]]] = [
    ("README.md", "matrix", lambda basedir: matrix(catalogue(basedir), basedir)),
    ("docs/unsupported.md", "reasons", lambda basedir: reasons(catalogue(basedir), basedir)),
    ("config/README.md", "tables", lambda basedir: tables(loader.read_yaml(basedir / loader.SCHEMA))),
]


# What is written from its first line to its last, by path.
WHOLE: dict[str, str] = {
    f"workflow/schemas/{name}.schema.json": document_records.text(record)
    for name, record in document_records.RECORDS.items()
}


def documented(page: str, name: str, text: str) -> str:
    """``page`` with ``text`` between the markers of ``name``. Raises ValueError if they are missing."""
    begin, end = f"<!-- {name}: written by make docs -->", f"<!-- end of {name} -->"
    head, found_begin, rest = page.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"the page needs the line {begin!r} and, after it, {end!r}; put them back")
    return f"{head}{begin}\n\n{text}\n\n{end}{tail}"


def outdated(basedir: Path) -> dict[Path, str]:
    """The pages that do not say what they should, with what they should."""
    pages: dict[Path, str] = {}
    for file, name, written in PARTS:
        path = basedir / file
        pages[path] = documented(pages.get(path) or path.read_text(encoding="utf-8"), name, written(basedir))
    for file, text in WHOLE.items():
        pages[basedir / file] = text
    return {
        path: text
        for path, text in pages.items()
        if not path.exists() or text != path.read_text(encoding="utf-8")
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if a page is out of date"
    )
    args = parser.parse_args()
    pages = outdated(ROOT)
    for path, text in pages.items():
        if not args.check:
            files.write_text(path, text)
        print(f"{path.relative_to(ROOT)}: {'out of date; run make docs' if args.check else 'written'}")
    raise SystemExit(args.check and bool(pages))


if __name__ == "__main__":
    main()
