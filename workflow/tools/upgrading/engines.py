"""Crates of the engines: newer versions in a copy of the workspace, whose manifests are then taken over."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import InvalidVersion, Version

from arena.configuration import crates as lockfile
from upgrading.files import HOLD, Hold, UpgradeError, _holds
from upgrading.index import Crates

LOCK = "Cargo.lock"


@dataclass
class Crate:
    """A published crate that an engine names."""

    name: str
    old: Version
    new: Version
    days: dict[Version, str]
    passed_over: list[str] = field(default_factory=list)

    @property
    def moves(self) -> bool:
        return self.new != self.old

    def told(self) -> str:
        """``candle-core 0.10.2 (2026-04-01) → 0.11.1 (2026-10-31)``."""
        return f"{self.name} {self.old} ({self.days[self.old]}) → {self.new} ({self.days[self.new]})"


def named(workspace: Path, engine: str) -> list[str]:
    """Published crates that the engine's own manifest names with a version."""
    manifest = tomllib.loads((workspace / f"arena-{engine}" / "Cargo.toml").read_text(encoding="utf-8"))
    wanted = manifest["dependencies"].items()
    return [name for name, each in wanted if isinstance(each, str) or "version" in each]


def crate(workspace: Path, engine: str, name: str, index: Crates) -> Crate:
    """The newest version of a crate that may be taken. Raises UpgradeError for a hold in another form."""
    old = Version(lockfile.direct(workspace / LOCK, f"arena-{engine}")[name])
    rust = Version(_manifest(workspace / "Cargo.toml")["workspace"]["package"]["rust-version"])
    held = _crate_holds(workspace).get(name, [])
    days, passed_over, new = {}, [], old
    for line in index.releases(name):
        try:
            version = Version(line["vers"])
        except InvalidVersion:  # 1.0.0-rc.1.something: a pre-release
            continue
        days[version] = (line.get("pubtime") or "day unknown")[:10]
        if version <= old:
            continue
        why = _obstacle(line, version, rust) or next(
            (str(hold) for hold in held if not hold.requirement.specifier.contains(version, True)), None
        )
        if why:
            passed_over.append((version, f"{name} {line['vers']} ({days[version]}) {why}"))
        else:
            new = max(new, version)
    days.setdefault(old, "day unknown")
    return Crate(name, old, new, days, [text for version, text in reversed(passed_over) if version > new])


def _obstacle(line: dict, version: Version, rust: Version) -> str | None:
    if version.is_prerelease or "-" in line["vers"]:
        return "is a pre-release"
    if line["yanked"]:
        return "was yanked"
    wants = line.get("rust_version")
    return f"wants Rust {wants}" if wants and Version(wants) > rust else None


def _crate_holds(workspace: Path) -> dict[str, list[Hold]]:
    found: dict[str, list[Hold]] = {}
    for path in sorted(workspace.glob("*/Cargo.toml")):
        text = path.read_text(encoding="utf-8")
        if HOLD.search(text):
            held = _holds(f"{path.parent.name}/Cargo.toml", text, _manifest(path)["dependencies"])
            for name, holds in held.items():
                found.setdefault(name, []).extend(holds)
    return found


def texts(workspace: Path, moving: list[Crate]) -> dict[Path, str]:
    """The manifests and Cargo.lock that change, with the new versions, by path.

    Raises UpgradeError with Cargo's message if it finds no set of versions, or if a crate that an engine names would be
    there in two.
    """
    with tempfile.TemporaryDirectory(prefix="arena-engines-") as folder:
        copy = Path(folder) / "engines"
        shutil.copytree(workspace, copy, ignore=shutil.ignore_patterns("target"))
        for path in sorted(copy.glob("*/Cargo.toml")):
            path.write_text(rewritten(path.read_text(encoding="utf-8"), moving), encoding="utf-8")
        for each in moving:
            old = f"{each.name}@{each.old}"
            done = _cargo(copy, "update", "--package", old, "--precise", str(each.new))
            if done.returncode and _locked(copy, each.name) != [str(each.new)]:
                raise UpgradeError(
                    f"cargo update --package {old} --precise {each.new}:\n{done.stderr.strip()}"
                )
        for each in moving:
            there = _locked(copy, each.name)
            if there != [str(each.new)]:
                raise UpgradeError(
                    f"{each.name} would be there as {' and '.join(there)}; another crate needs the other. Hold it "
                    "back in its Cargo.toml: `# hold: NAME<VERSION, WHY`"
                )
        names = [LOCK, *(str(path.relative_to(copy)) for path in sorted(copy.glob("*/Cargo.toml")))]
        after = {workspace / name: (copy / name).read_text(encoding="utf-8") for name in names}
    return {path: text for path, text in after.items() if text != path.read_text(encoding="utf-8")}


def rewritten(manifest: str, moving: list[Crate]) -> str:
    """A manifest that asks for the new versions, in as many numbers as it asked for the old ones."""
    for each in moving:
        line = re.compile(rf'^({re.escape(each.name)} = (?:"|\{{ version = "))([\d.]+)(")', re.MULTILINE)

        def newer(found: re.Match[str], each: Crate = each) -> str:
            numbers = str(each.new).split(".")[: len(found[2].split("."))]
            return f"{found[1]}{'.'.join(numbers)}{found[3]}"

        manifest = line.sub(newer, manifest)
    return manifest


def _cargo(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["cargo", *arguments, "--manifest-path", str(workspace / "Cargo.toml")]
    try:
        return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UpgradeError("cargo is not on PATH; the engines' crates are upgraded with it") from error


def _locked(workspace: Path, name: str) -> list[str]:
    entries = _manifest(workspace / LOCK)["package"]
    return sorted(entry["version"] for entry in entries if entry["name"] == name)


def _manifest(path: Path) -> dict:
    return tomllib.loads(path.read_text(encoding="utf-8"))
