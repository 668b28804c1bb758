"""What is installed: versions and bytes on disk of a framework and of all that it requires."""

from __future__ import annotations

import contextlib
import csv
import os
import stat
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Closure = Mapping[str, metadata.Distribution]

#: What some packages list among their requirements, although it builds and does not run: every
#: environment shares it, so it is no framework's own weight.
BUILD_TOOLS = frozenset({"pip", "setuptools", "wheel", "ninja", "cmake"})


def closure(*requirements: str) -> Closure:
    """These distributions and everything they require here, directly or not, by normalised name.

    A requirement may name extras: ``mlx[cpu]``. Follows the installed metadata; requirements for other
    platforms, and of extras that nobody asked for, are not installed for its sake and do not count.
    Neither does a requirement that the environment leaves out (`# without:` in its file). Raises
    PackageNotFoundError if one of ``requirements`` is absent.
    """
    found: dict[str, metadata.Distribution] = {}
    asked = list(map(Requirement, requirements))
    waiting = [*asked]
    followed: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if requirement in asked:
                raise
            continue
        for extra in {"", *requirement.extras} - {known for other, known in followed if other == name}:
            followed.add((name, extra))
            for needed in map(Requirement, found[name].requires or []):
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    waiting.append(needed)
    return dict(sorted(found.items()))


def installed(requirement: str) -> bool:
    """Whether this distribution is there for the Python that asks."""
    try:
        metadata.distribution(bare(requirement))
    except metadata.PackageNotFoundError:
        return False
    return True


def bare(requirement: str) -> str:
    """The distribution's name without extras."""
    return Requirement(requirement).name


def versions(found: Closure) -> dict[str, str]:
    """The version of every distribution."""
    return {name: distribution.version for name, distribution in found.items()}


def footprint_bytes(found: Closure) -> int | None:
    """Bytes on disk of the files that these distributions installed, but for BUILD_TOOLS.

    Byte code is left out: it is made, not shipped, and not everywhere. None where a distribution does
    not say which files are its own.
    """
    total = 0
    for name, distribution in found.items():
        if name in BUILD_TOOLS:
            continue
        paths = _files(distribution)
        if paths is None:
            return None
        for path in paths:
            with contextlib.suppress(OSError):  # the list may name what is gone
                about = os.stat(path)  # noqa: PTH116 -- a Path for each would take twice as long
                total += about.st_size if stat.S_ISREG(about.st_mode) else 0
    return total


def installation(distribution: str, libraries: list[str]) -> dict[str, Any]:
    """Version, package list and footprint of the framework in this environment."""
    try:
        found = closure(distribution, *libraries)
        return {
            "version": metadata.version(bare(distribution)),
            "packages": versions(found),
            "footprint_bytes": footprint_bytes(found),
        }
    except metadata.PackageNotFoundError:
        return {"version": None, "packages": {}, "footprint_bytes": None}


def _files(distribution: metadata.Distribution) -> list[str] | None:
    """The paths of what it installed, without byte code; None where it does not say.

    Read from RECORD itself, as every wheel has one: ``distribution.files`` looks for each file and makes an object of
    it, which takes a second for PyTorch's 18,000.
    """
    record = distribution.read_text("RECORD")
    if record is not None:
        names = [line[0] for line in csv.reader(record.splitlines()) if line]
    elif distribution.files is not None:
        names = list(map(str, distribution.files))
    else:
        return None
    root = str(distribution.locate_file(""))
    return [f"{root}/{name}" for name in names if not name.endswith(".pyc")]
