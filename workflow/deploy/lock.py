"""Pin every package that an environment installs: `python lock.py envs/jax.yaml`.

An environment file (YAML, or TXT for the runner and the tests) lists its direct requirements, each with
an exact version. Below them stands a line `# locked: ...`; this program rewrites what follows that line,
with uv's universal resolution, so that one file serves Linux on x86-64 and aarch64 and macOS on arm64.
Pins that are there already are kept where they still fit, then those of the --prefer files; --upgrade
takes the newest of everything that is not a direct requirement. A line `# without: NAME, WHY` leaves a
package out that others require. Needs a package index.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import installer
from bootstrap import PYTHON
from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

RELEASES = [f"{PYTHON}.0", f"{PYTHON}.99"]  # markers may tell the releases of one version apart
TARGETS = [
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "aarch64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
]
SHORT_MARKERS = {  # by which targets a requirement applies to
    (True, True, True): None,
    (True, True, False): "sys_platform == 'linux'",
    (True, False, False): "sys_platform == 'linux' and platform_machine == 'x86_64'",
    (False, True, False): "sys_platform == 'linux' and platform_machine == 'aarch64'",
    (False, False, True): "sys_platform == 'darwin'",
}
MARKER = "# locked:"


class LockError(Exception):
    """The file cannot be locked; the message names it and says what to do."""


def item_prefix(path: Path) -> str:
    """What stands before a requirement on its line: `      - ` in YAML, nothing in a text file."""
    return "      - " if path.suffix == ".yaml" else ""


def split(path: Path, text: str | None = None) -> tuple[str, list[Requirement], list[str]]:
    """(text up to and including the marker line, direct requirements, locked requirements) of a file, or of ``text``,
    which is to be written there.

    Raises LockError if the marker is not there once, or if a direct requirement has no exact version.
    """
    lines = (path.read_text(encoding="utf-8") if text is None else text).splitlines()
    marked = [number for number, line in enumerate(lines) if line.strip().startswith(MARKER)]
    if len(marked) != 1:
        raise LockError(f"{path}: expected one line `{MARKER} ...` below the direct requirements")
    end = marked[0] + 1
    prefix = item_prefix(path)
    head, tail = lines[:end], lines[end:]
    for line in tail:
        if not line.startswith(prefix):
            raise LockError(f"{path}: `{line}` stands below the line `{MARKER} ...`; move it above")
    texts = [line.removeprefix(prefix) for line in head if line.startswith(prefix)]
    direct = []
    for text in texts:
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        try:
            requirement = Requirement(installer.build_settings(text)[0])
        except InvalidRequirement as error:
            raise LockError(f"{path}: `{text}` is not a requirement: {error}") from error
        if [specifier.operator for specifier in requirement.specifier] != ["=="]:
            raise LockError(f"{path}: `{text}`: expected an exact version, `{requirement.name}==...`")
        direct.append(requirement)
    if not direct:
        raise LockError(f"{path}: no direct requirement above the line `{MARKER} ...`")
    return "\n".join(head) + "\n", direct, [line.removeprefix(prefix) for line in tail]


def resolve(direct: list[Requirement], preferred: list[str], left_out: list[str]) -> list[str]:
    """Every requirement of ``direct`` and what it needs, pinned, with environment markers (uv's output).

    Packages named in ``left_out``, and what only they need, are not among them.

    Of the versions that fit, a ``preferred`` pin (`name==version`) is taken if there is one, else the newest.
    """
    with tempfile.TemporaryDirectory() as folder:
        wanted, without, output = (Path(folder, name) for name in ("wanted.in", "without.txt", "output.txt"))
        wanted.write_text("\n".join(map(str, direct)))
        without.write_text("\n".join(left_out))
        output.write_text("\n".join(preferred))  # uv keeps the versions that it finds in its output
        command = [installer.uv_program(), "pip", "compile", "--quiet", "--universal", "--no-config"]
        command += ["--python-version", PYTHON, "--no-annotate", "--no-header", "--no-emit-index-url"]
        command += ["--excludes", str(without)]
        command += ["--output-file", str(output), str(wanted)]
        environ = installer.uv_environment(_pip_settings(), os.environ)
        finished = subprocess.run(
            command, env=environ, cwd=folder, capture_output=True, text=True, check=False
        )
        if finished.returncode != 0:
            raise LockError(f"uv found no set of versions:\n{finished.stderr.strip()}")
        return output.read_text().splitlines()


@cache
def _pip_settings() -> dict[str, str]:
    """Pip's settings, read once: an upgrade resolves a hundred times."""
    return installer.pip_settings()


def for_targets(text: str) -> str | None:
    """A pin of the universal resolution with its marker reduced to what tells the targets apart.

    None if it applies to no target.
    """
    requirement = Requirement(text)
    marker = requirement.marker or Marker("python_version >= '3'")
    applies = tuple(
        any(
            marker.evaluate({**target, "python_version": PYTHON, "python_full_version": release})
            for release in RELEASES
        )
        for target in TARGETS
    )
    if not any(applies):
        return None
    short = SHORT_MARKERS.get(applies, str(marker))
    return f"{requirement.name}{requirement.specifier}" + (f" ; {short}" if short else "")


def preferences(paths: list[Path]) -> list[str]:
    """The pin of every package in these files; where they differ, of the first file that has it."""
    chosen: dict[str, Requirement] = {}
    for path in paths:
        _, direct, locked = split(path)
        for requirement in [*direct, *map(Requirement, locked)]:
            chosen.setdefault(canonicalize_name(requirement.name), requirement)
    return [f"{requirement.name}{requirement.specifier}" for requirement in chosen.values()]


def lock(path: Path, preferred: list[str]) -> bool:
    """Rewrite the locked part of ``path``; True if that changed it."""
    before = path.read_text(encoding="utf-8")
    after = locked(path, before, preferred)
    if after != before:  # an untouched file keeps its date, on which the Makefile relies
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_text(after, encoding="utf-8")
        temporary.replace(path)
    return after != before


def locked(path: Path, text: str, preferred: list[str]) -> str:
    """``text``, which is what ``path`` holds or is to hold, with its locked part made anew."""
    head, direct, _ = split(path, text)
    try:
        pins = [for_targets(line) for line in resolve(direct, preferred, installer.left_out(head))]
    except LockError as error:
        raise LockError(f"{path}: {error}") from error
    names = {canonicalize_name(requirement.name) for requirement in direct}
    others = [pin for pin in pins if pin and canonicalize_name(Requirement(pin).name) not in names]
    return head + "".join(f"{item_prefix(path)}{pin}\n" for pin in others)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="environment file to rewrite")
    parser.add_argument(
        "--prefer", nargs="*", type=Path, default=[], metavar="FILE", help="files to agree with"
    )
    parser.add_argument("--upgrade", action="store_true", help="take the newest transitive versions")
    args = parser.parse_args()
    try:
        for path in args.files:
            preferred = [] if args.upgrade else preferences([path, *args.prefer])
            print(f"{path}: {'rewritten' if lock(path, preferred) else 'unchanged'}")
    except (LockError, OSError) as error:
        sys.exit(f"lock: {error}")


if __name__ == "__main__":
    main()
