"""What Cargo.lock says of the crates that an engine is built from."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

Package = dict[str, Any]
Packages = dict[str, list[Package]]  # the versions of each name


def locked(lock: Path, package: str) -> list[str]:
    """``name version checksum`` of everything that ``package`` needs, directly or not, sorted.

    It tells whether a change of Cargo.lock, which all engines share, concerns this one. Raises KeyError,
    naming both, if ``package`` is not in the file.
    """
    needed = _needed(lock, package)
    return sorted(f"{e['name']} {e['version']} {e.get('checksum', 'of this checkout')}" for e in needed)


def local(lock: Path, package: str) -> list[str]:
    """Names of the crates of this checkout that ``package`` is built from, itself too; KeyError as above."""
    return sorted(entry["name"] for entry in _needed(lock, package) if "checksum" not in entry)


def direct(lock: Path, package: str) -> dict[str, str]:
    """Versions, by name, of the published crates that ``package`` itself names. KeyError as above."""
    packages = _packages(lock)
    needed = [_meant(packages, text) for text in _of_this_name(packages, package, lock)["dependencies"]]
    return {entry["name"]: entry["version"] for entry in needed if "checksum" in entry}


def _needed(lock: Path, package: str) -> list[Package]:
    """The entries of ``package`` and of everything that it needs, each once."""
    packages = _packages(lock)
    waiting, found = [_of_this_name(packages, package, lock)], {}
    while waiting:
        entry = waiting.pop()
        identity = entry["name"], entry["version"]
        if identity not in found:
            found[identity] = entry
            waiting += [_meant(packages, needed) for needed in entry.get("dependencies", [])]
    return list(found.values())


@cache
def _packages(lock: Path) -> Packages:
    with open(lock, "rb") as stream:
        entries = tomllib.load(stream)["package"]
    packages: Packages = {}
    for entry in entries:
        packages.setdefault(entry["name"], []).append(entry)
    return packages


def _of_this_name(packages: Packages, name: str, lock: Path) -> Package:
    if name not in packages:
        raise KeyError(f"{lock} has no package {name}: run `cargo build` in workflow/engines")
    return packages[name][0]


def _meant(packages: Packages, dependency: str) -> Package:
    """The entry of a dependency: its name, and its version where several are locked."""
    name, *version = dependency.split(" ")
    return next(entry for entry in packages[name] if version[:1] in ([], [entry["version"]]))
