"""The environment files: what they pin, what they hold, and their text with other versions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import installer
import lock
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

HOLD = re.compile(r"^\s*# hold:(.*)$", re.MULTILINE)


class UpgradeError(Exception):
    """What was asked for cannot be done; the message names the file or package, and what to do."""


@dataclass(frozen=True)
class Hold:
    """`# hold: NAME SPEC, WHY` above a requirement: the package stays within SPEC."""

    requirement: Requirement
    why: str
    file: str

    def __str__(self) -> str:
        return f"{self.file} holds it at {self.requirement.specifier}, {self.why}"


@dataclass
class File:
    """One file of envs/, as it is or as it is to be written."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def direct(self) -> dict[str, Requirement]:
        """The direct requirements by canonical name."""
        return _named(lock.split(self.path, self.text)[1])

    @property
    def locked(self) -> dict[str, Requirement]:
        return _named(map(Requirement, lock.split(self.path, self.text)[2]))

    @property
    def pins(self) -> dict[str, str]:
        """Version of every package, by canonical name."""
        return {name: version(each) for name, each in (self.direct | self.locked).items()}

    def holds(self) -> dict[str, list[Hold]]:
        """What the file holds back, by package. Raises UpgradeError for a line that says it in another form."""
        return _holds(self.name, self.text, self.direct)

    def with_versions(self, chosen: Mapping[str, str]) -> str:
        """The text with ``chosen`` versions of direct requirements; comments, order and settings stay."""
        head, direct, locked = lock.split(self.path, self.text)
        for requirement in direct:
            name = canonicalize_name(requirement.name)
            if name in chosen:
                old = re.escape(f"=={version(requirement)}")
                prefix = re.escape(lock.item_prefix(self.path))
                line = re.compile(
                    rf"^({prefix}{re.escape(requirement.name)}(?:\[[^]]*\])?\s*){old}(?![\w.+-])",
                    re.MULTILINE,
                )
                head, count = line.subn(lambda found, name=name: f"{found[1]}=={chosen[name]}", head)
                if count != 1:
                    raise UpgradeError(
                        f"{self.name}: `{requirement}` stands there {count} times; expected once"
                    )
        prefix = lock.item_prefix(self.path)
        return head + "".join(f"{prefix}{line}\n" for line in locked)


def version(requirement: Requirement) -> str:
    """`1.0` of `name==1.0`."""
    return next(iter(requirement.specifier)).version


def read(root: Path) -> dict[str, File]:
    """Every file of envs/, by path from ``root``. Raises lock.LockError for one that cannot be read."""
    paths = sorted([*(root / "envs").glob("*.yaml"), *(root / "envs").glob("*.txt")])
    found = [File(path, path.read_text(encoding="utf-8")) for path in paths]
    for file in found:
        file.holds()
    return {file.name: file for file in found}


def all_holds(files: Iterable[File]) -> dict[str, list[Hold]]:
    found: dict[str, list[Hold]] = {}
    for file in files:
        for name, holds in file.holds().items():
            found.setdefault(name, []).extend(holds)
    return found


def _holds(name: str, text: str, direct: Mapping[str, object]) -> dict[str, list[Hold]]:
    found: dict[str, list[Hold]] = {}
    for said in HOLD.findall(text):
        wanted, comma, why = said.strip().partition(", ")
        try:
            requirement = Requirement(wanted)
        except InvalidRequirement:
            requirement = None
        if not comma or not why.strip() or requirement is None or not requirement.specifier:
            raise UpgradeError(
                f"{name}: `# hold:{said}`: expected `# hold: NAME<3, WHY`, NAME being a package"
            )
        package = canonicalize_name(requirement.name)
        if package not in direct:
            raise UpgradeError(f"{name}: `# hold:{said}`: {package} is not required there; hold what is")
        found.setdefault(package, []).append(Hold(requirement, why.strip(), name))
    return found


def _named(requirements: Iterable[Requirement]) -> dict[str, Requirement]:
    return {canonicalize_name(each.name): each for each in requirements}


def lock_text(file: File, text: str, preferred: Mapping[str, str]) -> str:
    """``text``, that ``file`` is to hold, with its locked part made for it; versions that fit are ``preferred``."""
    return lock.locked(file.path, text, [f"{name}=={pin}" for name, pin in preferred.items()])


def left_out(file: File) -> list[str]:
    return installer.left_out(file.text)
