"""Move a framework's pins to the newest releases, say what that changes, and measure what follows (`make upgrade`).

    python workflow/tools/upgrade.py jax
    python workflow/tools/upgrade.py --dry                       # say only what would be
    python workflow/tools/upgrade.py jax -- --cores 4 results/report.md

Without a name it is `common`, what several frameworks share (NumPy) and what they need indirectly; then every
framework, one after the other; then `common` again, for what an older release kept back. `runner` is Snakemake and
the tools around it. Versions come from the package index that pip is configured for, those of the engines' crates from
crates.io. Passed over are pre-releases, what was yanked, what has no wheel for the pinned Python on a machine where the
pinned version has one, what does not go with the other packages, and what a line above the pin holds back:
`# hold: NAME<3, WHY`.

Rewritten are the files in envs/ and, for engines, their Cargo.toml and Cargo.lock; they must be as committed. Then
Snakemake runs what follows from it, with the arguments after `--`; without any, nothing is run.

Exit status: 0; 2 where nothing was written because of what is said; Snakemake's if that fails.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

import library
from arena import files as storage
from arena.configuration import frameworks as catalogue
from arena.configuration.loader import catalogues

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow" / "deploy"))

import lock  # noqa: E402

from upgrading import choice, engines, files  # noqa: E402
from upgrading.choice import Package  # noqa: E402
from upgrading.engines import Crate  # noqa: E402
from upgrading.files import File, UpgradeError  # noqa: E402
from upgrading.index import AnswerError, Crates, Index  # noqa: E402

DAYS, HEADER = "config/releases.csv", "package,version,released"
COMMON, RUNNER = "common", "runner"
RUNNERS_FILE = "envs/runner.txt"


class Names:
    """Whose the packages and files are: a framework's, several frameworks', or the runner's."""

    def __init__(self, root: Path, every: Mapping[str, File]) -> None:
        self.every = every
        self.frameworks = catalogues(root)["frameworks"]
        catalogue.complete(self.frameworks, root)
        self.measuring = {name: self._measuring(entry) for name, entry in self.frameworks.items()}
        self.exporting = {name: self._exporting(entry) for name, entry in self.frameworks.items()}

    def _measuring(self, entry: Mapping[str, Any]) -> list[str]:
        accelerators = (entry.get("accelerators") or {}).values()
        return self._there(
            [entry["env"], *(each["env"] for each in accelerators if each and each.get("env"))]
        )

    def _exporting(self, entry: Mapping[str, Any]) -> list[str]:
        exports = entry.get("exports", {}).values()
        return self._there(
            env for each in exports for env in (each.get("env"), *each.get("envs", {}).values()) if env
        )

    def _there(self, names: Iterable[str]) -> list[str]:
        found = dict.fromkeys(f"envs/{name}.yaml" for name in names)
        return [name for name in found if name in self.every]

    def packages(self, owner: str) -> list[str]:
        """Direct requirements that are ``owner``'s own, by canonical name."""
        if owner == RUNNER:
            elsewhere = {name for file in self._others(RUNNERS_FILE) for name in file.direct}
            return [name for name in self.every[RUNNERS_FILE].direct if name not in elsewhere]
        if owner == COMMON:
            own = {name for framework in self.frameworks for name in self.packages(framework)}
            own |= set(self.packages(RUNNER))
            return list(dict.fromkeys(n for file in self.every.values() for n in file.direct if n not in own))
        others = set(self.every["envs/base.yaml"].direct)
        for name in self.frameworks:
            if name != owner:
                others |= {each for file in self.measuring[name] for each in self.every[file].direct}
        exported = [file for file in self.exporting[owner] if self._is_alone(owner, file)]
        mine = [*self.measuring[owner], *exported]
        return list(dict.fromkeys(n for file in mine for n in self.every[file].direct if n not in others))

    def _is_alone(self, owner: str, file: str) -> bool:
        return not any(file in self.exporting[name] for name in self.frameworks if name != owner)

    def _others(self, but: str) -> list[File]:
        return [file for name, file in self.every.items() if name != but]

    def uses(self, owner: str, packages: Iterable[str]) -> list[File]:
        """Files that require any of the packages, the owner's measuring environment first."""
        wanted = set(packages)
        using = [name for name, file in self.every.items() if wanted & set(file.direct)]
        first = [*self.measuring.get(owner, []), *self.exporting.get(owner, []), "envs/base.yaml"]
        using.sort(
            key=lambda name: (first.index(name) if name in first else len(first), name.endswith(".txt"))
        )
        return [self.every[name] for name in using]

    def cells(self, root: Path, owner: str, changed: Iterable[str]) -> str:
        """Which cells of the default configuration are measured again: those whose environment or crates change."""
        run = yaml.safe_load((root / "config" / "config.yaml").read_text(encoding="utf-8"))["run"]
        gone = set(changed)
        rows = [
            row
            for name, entry in self.frameworks.items()
            for row in entry["rows"]
            if row in run["rows"]
            and (gone & set(self.measuring[name][:1]) or (name == owner and entry.get("engine")))
        ]
        if gone & {"envs/reference.yaml", "envs/base.yaml"}:
            return f"every cell is judged anew ({len(run['models'])} models), and measured in {_listed(rows)}"
        if not rows:
            return "no cell of config/config.yaml is measured again; rows of other configurations may be"
        models = len(run["models"])
        return f"{len(rows) * models} cells are measured again: {', '.join(rows)} in {models} models"


def _listed(rows: list[str]) -> str:
    return ", ".join(rows) or "no row"


class Upgrade:
    """One owner's upgrade: what moves, and the texts that say so."""

    def __init__(self, root: Path, owner: str, index: Index, crates: Crates) -> None:
        self.root, self.owner = root, owner
        every = files.read(root)
        self.names = Names(root, every)
        if owner not in (*self.names.frameworks, COMMON, RUNNER):
            known = ", ".join([*self.names.frameworks, COMMON, RUNNER])
            raise UpgradeError(f"{owner}: no framework of the catalogue; expected one of {known}")
        names = self.names.packages(owner)
        uses = self.names.uses(owner, names)
        holds = files.all_holds(every.values())
        self.packages = {
            name: choice.package(name, [f for f in uses if name in f.direct], index, holds.get(name, []))
            for name in names
        }
        moving = {name: each for name, each in self.packages.items() if each.moves}
        self.texts: dict[Path, str] = {}
        fresh = owner == COMMON
        if moving or fresh:
            touched = [file for file in uses if fresh or set(moving) & set(file.direct)]
            choice.settle(self.packages, touched, every.values(), index)
            found = choice.texts(self.packages, touched, every, index, fresh)
            self.texts = {root / name: text for name, text in found.items()}
        self.followed = self._followed(every)
        self.crates = self._crates(crates)
        if self.texts and owner in self.names.frameworks:
            self.texts |= self._days()
        self.changed = [str(path.relative_to(root)) for path in self.texts]

    def _followed(self, every: Mapping[str, File]) -> list[str]:
        """Direct requirements that moved along: `torchvision 0.28.0 → 0.29.2`."""
        found = {}
        for path, text in self.texts.items():
            name = str(path.relative_to(self.root))
            before, after = every[name].direct, File(path, text).direct
            for package, requirement in after.items():
                old, new = files.version(before[package]), files.version(requirement)
                if package not in self.packages and old != new:
                    found[package] = f"{package} {old} → {new}, which goes with it"
        return list(found.values())

    def _crates(self, index: Crates) -> list[Crate]:
        entry = self.names.frameworks.get(self.owner, {})
        if not entry.get("engine") or not catalogue.crate(self.root, entry["engine"]).is_dir():
            return []
        workspace = self.root / catalogue.ENGINES
        named = engines.named(workspace, entry["engine"])
        found = [engines.crate(workspace, entry["engine"], name, index) for name in named]
        moving = [each for each in found if each.moves]
        if moving:
            self.texts |= engines.texts(workspace, moving)
        return found

    def _days(self) -> dict[Path, str]:
        """The list of days of release, which reports read, with those of this framework's packages."""
        path = self.root / DAYS
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else [HEADER]
        found = {(name, version): day for name, version, day in (line.split(",") for line in lines[1:])}
        for package in self.packages.values():
            for version in (package.old, package.bound):
                if package.day(version) != choice.UNKNOWN:
                    found[package.name, str(version)] = package.day(version)
        for crate in self.crates:
            found |= {(crate.name, str(each)): crate.days[each] for each in (crate.old, crate.new)}
        text = "\n".join([HEADER, *(",".join((*key, day)) for key, day in sorted(found.items()))]) + "\n"
        return {path: text} if not path.exists() or text != path.read_text(encoding="utf-8") else {}

    def told(self) -> str:
        """What upstream changed and what follows, in lines."""
        every: list[Package | Crate] = [*self.packages.values(), *self.crates]
        lines = [f"  {each.told()}" for each in every if each.moves]
        lines += [f"  {text}" for text in self.followed]
        lines += [f"  passed over: {text}" for each in every for text in each.passed_over]
        if not self.texts:
            return "\n".join([f"{self.owner}: up to date", *lines])
        lines.append(f"  rewritten: {', '.join(self.changed)}")
        lines.append(f"  {self.names.cells(self.root, self.owner, self.changed)}")
        return "\n".join([f"{self.owner}:", *lines])

    def write(self, before: set[Path]) -> None:
        """Write every file, each under another name first, and add it to ``before``: what this process has written.

        Raises UpgradeError if one of the others is not as it was committed.
        """
        refuse_changed(self.root, self.texts.keys() - before)
        before.update(self.texts)
        for path, text in self.texts.items():
            storage.write_text(path, text)


def refuse_changed(root: Path, paths: Iterable[Path]) -> None:
    """Raise UpgradeError if git knows of changes in ``paths`` that are not committed; without git nothing is known."""
    listed = [str(path.relative_to(root)) for path in paths]
    if not listed:
        return
    command = ["git", "-C", str(root), "status", "--porcelain", "--", *listed]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return
    if done.returncode == 0 and done.stdout.strip():
        changed = ", ".join(line[3:] for line in done.stdout.splitlines())
        raise UpgradeError(f"{changed}: not as committed; commit or stash that first, then upgrade")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("owner", nargs="?", help="a framework's id, common or runner (default: all)")
    parser.add_argument("--dry", action="store_true", help="write and run nothing")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="arguments for Snakemake")
    ours, theirs = library.split_at_dashes(sys.argv[1:])
    args = parser.parse_args(ours)
    root = args.root.resolve()
    written: set[Path] = set()
    try:
        index, crates = Index(), Crates()
        owners = [args.owner] if args.owner else [COMMON, *catalogues(root)["frameworks"], COMMON]
        for owner in owners:
            upgrade = Upgrade(root, owner, index, crates)
            if not args.dry:
                upgrade.write(written)
            print(upgrade.told(), flush=True)
    except (UpgradeError, AnswerError, lock.LockError, OSError) as error:
        print(f"upgrade.py: {error}", file=sys.stderr)
        return 2
    if args.dry or not written or not theirs:
        return 0
    return subprocess.run([*library.SNAKEMAKE, *theirs], cwd=root, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
