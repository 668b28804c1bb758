"""What a package index has of a package: versions, when they were uploaded, for which machines they have wheels.

The index is the one that pip is configured for, by PEP 691 (JSON); crates.io by Cargo's sparse protocol.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import tomllib
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import installer
from packaging import tags
from packaging.specifiers import SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parents[3]
JSON = "application/vnd.pypi.simple.v1+json"
TIMEOUT_S = 60
#: Machines that a lock serves, with the wheels' names for their systems.
PLATFORMS = {
    "Linux on x86-64": [
        *(f"manylinux_2_{minor}_x86_64" for minor in range(5, 100)),
        "manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64", "linux_x86_64",
    ],
    "Linux on aarch64": [
        *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 100)), "manylinux2014_aarch64", "linux_aarch64"
    ],
    "macOS on arm64": list(tags.mac_platforms((99, 0), "arm64")),
}  # fmt: skip
SYSTEMS = dict(zip(PLATFORMS, ("linux", "linux", "darwin"), strict=True))


class AnswerError(Exception):
    """The index cannot be asked; the message names its address, without credentials, and what it answered."""


@dataclass
class Release:
    """One version on an index."""

    version: Version
    uploaded: str = ""  # day of its first file, YYYY-MM-DD; "" where the index does not say
    yanked: bool = True  # all of its files are, or there is none
    source: bool = False  # whether it can be built from source
    requires: list[SpecifierSet] = field(default_factory=list)  # of Python, one a file that is not yanked
    wheels: set[tags.Tag] = field(default_factory=set)

    def platforms(self, python: str | None) -> set[str]:
        """Machines on which it has a wheel for ``python`` ("3.13"); None: for whatever Python."""
        return {name for name in PLATFORMS if self._has_wheel(name, python)}

    def _has_wheel(self, platform: str, python: str | None) -> bool:
        systems = PLATFORMS[platform]
        if python is None:
            return any(tag.platform in ("any", *systems) for tag in self.wheels)
        version = tuple(map(int, python.split(".")))
        fitting = set(tags.cpython_tags(version, platforms=systems))
        fitting |= set(tags.compatible_tags(version, f"cp{python.replace('.', '')}", systems))
        return not fitting.isdisjoint(self.wheels)

    def obstacle(self, python: str, platforms: set[str], from_source: bool) -> str | None:
        """Why it cannot be pinned for ``python`` and ``platforms``; None if it can."""
        if self.version.is_prerelease:
            return "is a pre-release"
        if self.yanked:
            return "was yanked"
        if not any(each.contains(f"{python}.0") for each in self.requires):
            return f"wants Python {self.requires[0]}"
        missing = sorted(platforms - self.platforms(python))
        if missing and not (from_source and self.source):
            return f"has no wheel for Python {python} on {', '.join(missing)}"
        return None


class Index:
    """The package index that pip is configured for, each package asked for once."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        settings = installer.pip_settings() if settings is None else settings
        url = os.environ.get("UV_DEFAULT_INDEX") or settings.get("index-url") or _of_pip()
        self.url = url.rstrip("/")
        self.certificates = os.environ.get("SSL_CERT_FILE") or settings.get("cert")
        self.known: dict[str, dict[Version, Release]] = {}

    def releases(self, name: str) -> dict[Version, Release]:
        """Every version of a package (its canonical name). Raises AnswerError if the index does not say."""
        if name not in self.known:
            answer = fetch(f"{self.url}/{name}/", {"Accept": JSON}, self.certificates)
            try:
                listed = json.loads(answer)["files"]
            except (ValueError, KeyError, TypeError) as error:
                raise AnswerError(
                    f"{shown(self.url)}/{name}/ did not answer as PEP 691 asks (JSON with `files`); name an index "
                    "that does, in UV_DEFAULT_INDEX or pip's index-url"
                ) from error
            self.known[name] = _by_version(listed)
        return self.known[name]


def _of_pip() -> str:
    """Address of the index that pip asks where nothing is configured."""
    from pip._internal.models.index import (
        PyPI,  # it has no other place for it, and the tests' Python has no pip
    )

    return str(PyPI.simple_url)


def _by_version(listed: list[dict[str, Any]]) -> dict[Version, Release]:
    found: dict[Version, Release] = {}
    days: dict[Version, list[str]] = defaultdict(list)
    for file in listed:
        name = file["filename"]
        wheel: frozenset[tags.Tag] = frozenset()
        try:
            if name.endswith(".whl"):
                _, version, _, wheel = parse_wheel_filename(name)
            else:
                _, version = parse_sdist_filename(name)
        except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
            continue  # eggs, and names from before there was a standard
        release = found.setdefault(version, Release(version))
        days[version] += [file["upload-time"][:10]] if file.get("upload-time") else []
        if file.get("yanked"):
            continue
        release.yanked = False
        release.requires.append(SpecifierSet(file.get("requires-python") or ""))
        release.wheels |= wheel
        release.source |= not wheel
    for version, release in found.items():
        release.uploaded = min(days[version], default="")
    return found


class Crates:
    """The index of crates that Cargo is configured for, each crate asked for once."""

    def __init__(self) -> None:
        self.url = _crates_index()
        self.known: dict[str, list[dict[str, Any]]] = {}

    def releases(self, name: str) -> list[dict[str, Any]]:
        """The index's lines on a crate, oldest first: vers, yanked, rust_version, pubtime where the index has it."""
        if name not in self.known:
            folder = {1: "1", 2: "2", 3: f"3/{name[:1]}"}.get(len(name), f"{name[:2]}/{name[2:4]}")
            answer = fetch(f"{self.url}/{folder}/{name}", {}, os.environ.get("SSL_CERT_FILE"))
            self.known[name] = [json.loads(line) for line in answer.splitlines() if line.strip()]
        return self.known[name]


def _crates_index() -> str:
    """Address of the sparse index: crates.io's, or what Cargo's configuration puts in its place."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    for name in ("config.toml", "config"):
        if (home / name).is_file():
            sources = tomllib.loads((home / name).read_text(encoding="utf-8")).get("source", {})
            instead = sources.get("crates-io", {}).get("replace-with")
            registry = sources.get(instead, {}).get("registry", "")
            if instead and not registry.startswith("sparse+"):
                raise AnswerError(
                    f"{home / name} replaces crates-io by `{instead}`, which is no sparse registry; versions of "
                    "crates cannot be looked up there"
                )
            if instead:
                return registry.removeprefix("sparse+").rstrip("/")
    # Cargo.lock names the registry by its repository, NAME-index; its sparse index is that name's.
    locked = tomllib.loads((ROOT / "workflow/engines/Cargo.lock").read_text(encoding="utf-8"))["package"]
    repository = next(package["source"] for package in locked if "source" in package).rpartition("/")[2]
    return f"https://index.{repository.removesuffix('-index')}"


def fetch(url: str, headers: Mapping[str, str], certificates: str | None) -> str:
    """The text at ``url``. Raises AnswerError, without the address's credentials, if there is none."""
    parts = urllib.parse.urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = urllib.request.Request(bare, headers=dict(headers))
    if parts.username:
        secret = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(secret.encode()).decode()}")
    context = ssl.create_default_context(cafile=certificates) if certificates else None
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:
            return answer.read().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AnswerError(f"{bare}: {error}; is there a network, and is the name right?") from error


def shown(url: str) -> str:
    """An address without its credentials."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
