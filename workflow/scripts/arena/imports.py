"""Which of the project's own modules a script imports: Snakemake does not look, so the rules do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path


def modules(script: Path, root: Path) -> list[Path]:
    """The project modules that ``script`` imports, directly or not, sorted; packages' ``__init__`` included.

    ``root`` is the directory that Python puts on ``sys.path``. Imports inside functions count;
    modules named only at run time (``importlib``) cannot be seen and are the caller's to add.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        for name in _imported(waiting.pop()):
            for path in _files(name, root):
                if path not in found:
                    found.add(path)
                    waiting.append(path)
    return sorted(found - {script})


@cache  # the same few files are asked about for every job
def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in _statements(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement below ``node``; ast.walk would visit the expressions too, at ten times the cost."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, block, ()):
            yield child
            yield from _statements(child)


@cache
def _files(name: str, root: Path) -> list[Path]:
    """The files of ``a.b.c`` below ``root``: packages' ``__init__`` and the module, as far as they exist."""
    files, directory = [], root
    for part in name.split("."):
        if (directory / f"{part}.py").is_file():
            return [*files, directory / f"{part}.py"]
        directory /= part
        if not (directory / "__init__.py").is_file():
            break
        files.append(directory / "__init__.py")
    return files
