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
        for name in _imported(waiting.pop()):
            for path in _files(name, root):
                if path not in found:
                    found.add(path)
                    waiting.append(path)
    return sorted(found - {script})


def in_rooms(paths: Iterable[Path], root: Path) -> str:
    """What these files hold, folder by folder: ``room:digest`` of each, sorted, with spaces between.

    A folder below ``root`` is named from there, another by its whole path. The digest is of names and contents.
    Raises OSError if a file cannot be read.
    """
    rooms: dict[str, list[Path]] = {}
    for path in paths:
        place = path.parent
        name = str(place.relative_to(root)) if place.is_relative_to(root) else str(place)
        rooms.setdefault(name, []).append(path)
    return " ".join(f"{name}:{_digest(tuple(sorted(rooms[name])))}" for name in sorted(rooms))


@cache
def _digest(paths: tuple[Path, ...]) -> str:
    of_all = hashlib.sha256()
    for path in paths:
        of_all.update(f"{path.name}\0".encode() + hashlib.sha256(_content(path)).digest())
    return of_all.hexdigest()[:12]


@cache
def _content(path: Path) -> bytes:
    return path.read_bytes()


# A statement at the start of a line or after one on the same line. Parsing every module would take a tenth of
# the time in which Snakemake starts; a docstring that reads like an import names no file of the project, and
# would do no harm if it did.
IMPORT = re.compile(
    r"(?:^|[;:])[ \t]*"
    r"(?:from[ \t]+(?P<module>\w[\w.]*)[ \t]+import[ \t]*(?P<names>\([^)]*\)|.+)"
    r"|import[ \t]+(?P<modules>.+))",
    re.MULTILINE,
)
NAME = re.compile(r"(\w[\w.]*)(?:\s+as\s+\w+)?\s*(?:,|$|\))", re.MULTILINE)


@cache  # the same few files are asked about for every job
def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for found in IMPORT.finditer(_content(path).decode()):
        listed = re.sub(r"#.*", "", found["modules"] or found["names"])
        prefix = f"{found['module']}." if found["module"] else ""
        names |= {f"{prefix}{name}" for name in NAME.findall(listed)}
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
