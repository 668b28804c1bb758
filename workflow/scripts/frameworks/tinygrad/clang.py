"""The clang with which tinygrad compiles for the CPU: it calls the program that ``CC`` names.

PyPI has clang inside of Zig, whose package the environment pins: every machine then has the same compiler, and
none needs one of its own. ``zig clang`` is LLVM's clang as it is, without what ``zig cc`` adds to it.
"""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from arena import files

PACKAGE = "ziglang"


class ClangError(RuntimeError):
    """There is no clang that works; the message says what to do."""


def find(folder: Path) -> Path:
    """The program to call: the package's clang, through a script in ``folder``, or else that of the PATH.

    A compiler that ``CC`` names already is not asked: it may be any, and tinygrad's options are clang's.
    Raises ClangError where there is none.
    """
    if zig := _packaged():
        return _script(folder, f'exec {shlex.quote(str(zig))} clang "$@"')
    if found := shutil.which("clang"):
        return Path(found)
    raise ClangError(
        f"tinygrad compiles for the CPU with clang: the environment lacks {PACKAGE}, which brings one, "
        "and the PATH has none; install either (Debian: apt install clang)"
    )


def version(clang: Path) -> str:
    """Its version by its own account, such as ``22.1.8``; ClangError if it does not start or is no clang."""
    try:
        said = subprocess.run([clang, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ClangError(f"{clang} --version fails: {error}") from error
    found = re.search(r"clang version (\S+)", said)
    if not found:
        raise ClangError(f"{clang} --version says {said[:80]!r}, expected a clang")
    return found[1]


def _packaged() -> Path | None:
    try:
        listed = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in listed if file.match(f"{PACKAGE}/zig")), None)


def _script(folder: Path, command: str) -> Path:
    """An executable shell script ``clang`` in ``folder``."""
    script = folder / "clang"
    files.write_text(script, f"#!/bin/sh\n{command}\n")
    script.chmod(0o755)
    return script
