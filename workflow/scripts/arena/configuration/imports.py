"""Which of the project's own modules a script imports: Snakemake does not look, so the rules do."""

from __future__ import annotations

import re
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
    for found in IMPORT.finditer(path.read_text(encoding="utf-8")):
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
