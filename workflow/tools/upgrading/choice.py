"""Which versions an upgrade takes: the newest that can be pinned, are not held back and go with all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

import lock
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from upgrading import files
from upgrading.files import File, Hold, UpgradeError
from upgrading.index import PLATFORMS, SYSTEMS, Index, Release

UNKNOWN = "day unknown"
OF_CUDA = ("nvidia-", "cuda-")


@dataclass
class Package:
    """A package that may move."""

    name: str
    old: Version
    releases: Mapping[Version, Release]
    allowed: list[Version]  # newest first; the pinned one is the last, whatever is said against it
    bound: Version  # the newest that fits, as far as it was tried
    passed_over: list[str] = field(default_factory=list)  # versions newer than `bound`, and why each

    @property
    def moves(self) -> bool:
        return self.bound != self.old

    def day(self, version: Version) -> str:
        """When a version was uploaded; UNKNOWN where the index does not say, or no longer has it."""
        release = self.releases.get(version)
        return (release.uploaded if release else "") or UNKNOWN

    def told(self) -> str:
        """``jax 0.10.2 (2026-06-16) → 0.12.0 (2026-10-19)``."""
        return f"{self.name} {self.old} ({self.day(self.old)}) → {self.bound} ({self.day(self.bound)})"


def package(name: str, uses: Iterable[File], index: Index, holds: list[Hold]) -> Package:
    """What may become of a package that ``uses`` require. Raises UpgradeError where they pin different versions."""
    pinned = {file.name: file.direct[name] for file in uses}
    versions = {files.version(each) for each in pinned.values()}
    if len(versions) > 1:
        told = ", ".join(f"{where}: {each.specifier}" for where, each in pinned.items())
        raise UpgradeError(f"{name} is pinned to different versions ({told}); make them one first")
    old = Version(versions.pop())
    releases = index.releases(name)
    present = releases.get(old)
    wanted = _platforms(pinned.values())
    platforms = wanted & (present.platforms(None) if present and present.wheels else wanted)
    from_source = bool(present and not present.wheels)  # as it is now, so may its successor be
    allowed: list[Version] = []
    passed_over: dict[str, tuple[Version, int]] = {}  # by reason: the newest, and how many
    for version in sorted((each for each in releases if each > old), reverse=True):
        held = next(
            (str(hold) for hold in holds if not hold.requirement.specifier.contains(version, True)), None
        )
        why = releases[version].obstacle(lock.PYTHON, platforms, from_source) or held
        if why is None:
            allowed.append(version)
        elif not allowed:
            newest, count = passed_over.get(why, (version, 0))
            passed_over[why] = newest, count + 1
    bound = allowed[0] if allowed else old
    made = Package(name, old, releases, [*allowed, old], bound)
    for why, (newest, count) in passed_over.items():
        more = f", and {count - 1} before it" if count > 1 else ""
        made.passed_over.append(f"{name} {newest} ({made.day(newest)}) {why}{more}")
    return made


def _platforms(pinned: Iterable[Requirement]) -> set[str]:
    """Those machines of a lock for which any of the files requires the package."""
    found = set()
    for requirement in pinned:
        marker = requirement.marker or Marker("python_version >= '3'")
        for platform, target in zip(PLATFORMS, lock.TARGETS, strict=True):
            assert target["sys_platform"] == SYSTEMS[platform]
            if marker.evaluate({**target, "python_version": lock.PYTHON, "extra": ""}):
                found.add(platform)
    return found


def settle(packages: Mapping[str, Package], uses: list[File], every: Iterable[File], index: Index) -> None:
    """Lower the packages' bounds until they fit in each file that pins them, the first file's choice counting first.

    Raises UpgradeError naming the file where even the pinned versions do not fit.
    """
    once = _only_there(every)
    while True:
        before = {name: each.bound for name, each in packages.items()}
        for number, file in enumerate(uses):
            if number and not isinstance(_resolved(file, packages, once, exact=True, index=index), str):
                continue
            found = _resolved(file, packages, once, exact=False, index=index)
            if isinstance(found, str):
                raise UpgradeError(
                    f"{file.name}: no set of versions fits Python {lock.PYTHON}; look at its pins. {found}"
                )
            for name, version in found.items():
                if name in packages and version < packages[name].bound:
                    _lower(packages[name], version, file)
        if before == {name: each.bound for name, each in packages.items()}:
            return


def _lower(moving: Package, version: Version, file: File) -> None:
    day = moving.day(moving.bound)
    moving.passed_over.append(
        f"{moving.name} {moving.bound} ({day}) does not go with the others in {file.name}"
    )
    moving.bound = version


def _only_there(every: Iterable[File]) -> set[str]:
    """Packages that only the tests, or only the runner, require: they may follow, as torchvision follows torch."""
    seen = Counter(name for file in every for name in file.direct)
    listed = {name for file in every if file.path.suffix == ".txt" for name in file.direct}
    return {name for name in listed if seen[name] == 1}


def _resolved(
    file: File, packages: Mapping[str, Package], once: set[str], *, exact: bool, index: Index
) -> dict[str, Version] | str:
    """Versions of the file's direct requirements with the packages at (``exact``) or up to their bounds; uv's message
    where there are none.
    """
    wanted = []
    for name, requirement in file.direct.items():
        if name in packages:
            text = _range(packages[name], exact)
        elif name in once:
            text = _range(package(name, [file], index, file.holds().get(name, [])), exact=False)
        else:
            text = str(requirement.specifier)
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        marker = f" ; {requirement.marker}" if requirement.marker else ""
        wanted.append(Requirement(f"{requirement.name}{extras}{text}{marker}"))
    kept = [f"{name}=={pin}" for name, pin in file.pins.items() if name not in packages]
    lines = _answer(tuple(map(str, wanted)), tuple(kept), tuple(files.left_out(file)))
    if isinstance(lines, str):
        return lines
    found: dict[str, Version] = {}
    for requirement in map(Requirement, lines):
        name = canonicalize_name(requirement.name)
        version = Version(files.version(requirement))
        found[name] = min(version, found.get(name, version))  # a resolution for all machines may have several
    return {name: found[name] for name in file.direct if name in found}


@cache
def _answer(wanted: tuple[str, ...], kept: tuple[str, ...], left_out: tuple[str, ...]) -> list[str] | str:
    """What uv resolves, or its message: asked once, as most files stay the same from one attempt to the next."""
    try:
        return lock.resolve(list(map(Requirement, wanted)), list(kept), list(left_out))
    except lock.LockError as error:
        return str(error)


def _range(moving: Package, exact: bool) -> str:
    if exact or not moving.moves:
        return f"=={moving.bound}"
    between = (each for each in moving.releases if moving.old < each < moving.bound)
    out = "".join(f",!={each}" for each in sorted(between) if each not in moving.allowed)
    return f">={moving.old},<={moving.bound}{out}"


def texts(
    packages: Mapping[str, Package], uses: list[File], every: Mapping[str, File], index: Index, fresh: bool
) -> dict[str, str]:
    """The text of each file that changes, by name; ``fresh``: with the newest of what they need indirectly, too.

    What moves along in one file moves in the others that pin it, so that all agree; but for CUDA's libraries, which
    each framework's environment for CUDA has of the release that it was tried with.
    """
    once = _only_there(every.values())
    settled: dict[str, File] = dict(every)
    fixed = {name: str(each.bound) for name, each in packages.items() if not name.startswith(OF_CUDA)}
    moved = dict(fixed)
    first = sorted(uses, key=lambda file: file.path.suffix != ".txt") if fresh else uses
    for file in first:
        found = _resolved(file, packages, once, exact=True, index=index)
        if isinstance(found, str):
            raise UpgradeError(f"{file.name}: the chosen versions do not fit; look at its pins. {found}")
        changed = {name: str(each) for name, each in found.items() if str(each) != file.pins[name]}
        text = file.with_versions(changed)
        of_cuda = {name: pin for name, pin in file.pins.items() if name.startswith(OF_CUDA)}
        text = files.lock_text(file, text, (of_cuda if fresh else file.pins | changed) | moved)
        settled[file.name] = File(file.path, text)
        moved |= _differences(file, settled[file.name]) | fixed
    for _ in range(6):  # what one lock moves may move another's, and one that cannot follow keeps others back
        behind = [
            file
            for file in settled.values()
            if any(moved.get(name, pin) != pin for name, pin in file.pins.items())
        ]
        for file in behind:
            settled[file.name] = _following(file, moved)
            kept = settled[file.name].pins
            lower = {n: kept[n] for n in moved if n in kept and Version(kept[n]) < Version(moved[n])}
            moved = _differences(every[file.name], settled[file.name]) | moved | lower | fixed
    return {name: file.text for name, file in settled.items() if file.text != every[name].text}


def _following(file: File, moved: Mapping[str, str]) -> File:
    """The file with what moved elsewhere, where it fits: its direct requirements too, unless it holds them back."""
    holds = file.holds()
    free = {
        name: pin
        for name, pin in moved.items()
        if all(hold.requirement.specifier.contains(pin, True) for hold in holds.get(name, []))
    }
    direct = {name: pin for name, pin in free.items() if name in file.direct and file.pins[name] != pin}
    try:
        return File(file.path, files.lock_text(file, file.with_versions(direct), file.pins | free))
    except lock.LockError:
        return File(file.path, files.lock_text(file, file.text, file.pins | free))


def _differences(before: File, after: File) -> dict[str, str]:
    old = before.pins
    return {
        name: pin
        for name, pin in after.pins.items()
        if name in old and old[name] != pin and not name.startswith(OF_CUDA)
    }
