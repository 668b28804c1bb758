"""What is installed: versions and bytes on disk of a framework and of all that it requires."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
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
        if distribution.files is None:
            return None
        for file in distribution.files:
            path = Path(str(distribution.locate_file(file)))
            if path.suffix != ".pyc" and path.is_file():
                total += path.stat().st_size
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
