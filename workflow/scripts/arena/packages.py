"""What is installed: versions and bytes on disk of a framework and of all that it requires."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement


def closure(distribution: str) -> dict[str, metadata.Distribution]:
    """The distribution and everything it requires here, directly or not, by normalised name.

    Follows the installed metadata; requirements of extras and of other platforms are not installed
    for its sake and do not count. Raises PackageNotFoundError if ``distribution`` is absent.
    """
    found: dict[str, metadata.Distribution] = {}
    waiting = [distribution]
    while waiting:
        name = _normal(waiting.pop())
        if name in found:
            continue
        found[name] = metadata.distribution(name)
        for line in found[name].requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def versions(distribution: str) -> dict[str, str]:
    """Version of the distribution and of everything it requires."""
    return {name: found.version for name, found in sorted(closure(distribution).items())}


def footprint_bytes(distribution: str) -> int:
    """Bytes on disk of the files that the distribution and its requirements installed.

    Byte code is left out: it is made, not shipped, and not everywhere.
    """
    total = 0
    for found in closure(distribution).values():
        for file in found.files or []:
            path = Path(str(found.locate_file(file)))
            if path.suffix != ".pyc" and path.is_file():
                total += path.stat().st_size
    return total


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
