"""Which of the project's own modules a script imports: Snakemake does not look, so the rules do.

The rules are told of them in one short text, not by file: 25 more inputs for each of a run's jobs would be a sixth
of the time in which Snakemake finds that there is nothing to do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
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
        new = _needed(waiting.pop(), root) - found
        found |= new
        waiting += new
    return sorted(found - {script})


def in_rooms(paths: Iterable[Path], root: Path) -> str:
    """What these files hold, folder by folder: ``room:digest`` of each, sorted, with spaces between.

    A folder below ``root`` is named from there, another by its whole path. The digest is of names and contents.
    Raises OSError if a file cannot be read.
    """
    rooms: dict[str, list[Path]] = {}
    for path in paths:
        rooms.setdefault(_room(path, root), []).append(path)
    return " ".join(f"{name}:{_digest(frozenset(rooms[name]))}" for name in sorted(rooms))


@cache
def _room(path: Path, root: Path) -> str:
    place = path.parent
    return str(place.relative_to(root)) if place.is_relative_to(root) else str(place)


@cache
def _digest(paths: frozenset[Path]) -> str:
    of_all = hashlib.sha256()
    for path in sorted(paths):
        of_all.update(f"{path.name}\0".encode() + hashlib.sha256(_content(path)).digest())
    return of_all.hexdigest()[:12]


@cache
def _content(path: Path) -> bytes:
    return path.read_bytes()


# A statement at the start of a line or after one on the same line, taken apart at its one word `import`. Parsing
# every module would take a tenth of the time in which Snakemake starts; a docstring that reads like an import names no
# file of the project, and would do no harm if it did.
WORD = re.compile(r"import\b")
BEFORE = re.compile(r"(?:^|[;:])[ \t]*(?:from[ \t]+(?P<module>\w[\w.]*)[ \t]+)?$")
AFTER = re.compile(r"[ \t]*(?P<names>\([^)]*\)|.+)")
NAME = re.compile(r"(\w[\w.]*)(?:\s+as\s+\w+)?\s*(?:,|$|\))", re.MULTILINE)


@cache  # the same few files are asked about for every job
def _needed(path: Path, root: Path) -> set[Path]:
    """The project modules that this one imports itself."""
    return {file for name in _imported(path) for file in _files(name, root)}


def _imported(path: Path) -> set[str]:
    """The names that it imports: of modules, and of what may be one."""
    text = _content(path).decode()
    names: set[str] = set()
    for word in WORD.finditer(text):
        start, end = word.span()
        before = BEFORE.search(text[text.rfind("\n", 0, start) + 1 : start])
        after = AFTER.match(text, end)
        if before and after:
            prefix = f"{before['module']}." if before["module"] else ""
            names |= {f"{prefix}{name}" for name in NAME.findall(re.sub(r"#.*", "", after["names"]))}
    return names


@cache
def _files(name: str, root: Path) -> list[Path]:
    """The files of ``a.b.c`` below ``root``: packages' ``__init__`` and the module, as far as they exist."""
    files: list[Path] = []
    directory = root
    for part in name.split("."):
        if (directory / f"{part}.py").is_file():
            return [*files, directory / f"{part}.py"]
        directory /= part
        if not (directory / "__init__.py").is_file():
            break
        files.append(directory / "__init__.py")
    return files
