"""A copy of this checkout that tests may edit, and Snakemake in it.

Environments are built once, below ARENA_CONDA_PREFIX or in .snakemake/conda-tests of this checkout:
their names are hashes of that path and of the env file, so every copy finds them again. Tests in several processes
share them: one process at a time builds (``building``), and a run must find what it needs (``Checkout.run``).
"""

import contextlib
import csv
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock

from arena.configuration import frameworks, loader
from arena.contract import round as contract_round
from arena.contract.round import Round
from runner import REPOSITORY, RUNNER, environ

CONDA_PREFIX = Path(os.environ.get("ARENA_CONDA_PREFIX", REPOSITORY / ".snakemake" / "conda-tests"))
MINIATURE = loader.resolve(loader.read_yaml(REPOSITORY / "config/test.yaml"), REPOSITORY)
MODELS, ROWS = MINIATURE["run"]["models"], MINIATURE["run"]["rows"]
FRAMEWORKS = {row: entry for entry in MINIATURE["frameworks"].values() for row in entry["rows"]}
ENGINES = [row for row in ROWS if FRAMEWORKS[row]["engine"]]
JAVASCRIPT = [row for row in ENGINES if frameworks.package(REPOSITORY, FRAMEWORKS[row]["engine"]).is_dir()]
RUST = [row for row in ENGINES if row not in JAVASCRIPT]
UNSUPPORTED = {  # the models that a row cannot run on the miniature's platform, each with the reason
    row: {
        name: reason
        for name in MODELS
        if (
            reason := frameworks.unsupported(entry, row, name, MINIATURE["models"][name]["definition"], "cpu")
        )
    }
    for row, entry in FRAMEWORKS.items()
}
LANES = {row: entry["rows"][row]["lane"] for row, entry in FRAMEWORKS.items()}
# Rust as it is installed for this user, one place for what it compiles, and npm's own cache, whatever HOME a test
# gives. Optimising takes most of a build's time, and no test looks at how fast a program is.
BUILDERS = {
    "CARGO_HOME": os.environ.get("CARGO_HOME", str(Path.home() / ".cargo")),
    "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup")),
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
    "CARGO_PROFILE_RELEASE_LTO": "off",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
    "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", str(REPOSITORY / ".snakemake" / "cargo-tests")),
    "NPM_CONFIG_CACHE": os.environ.get("NPM_CONFIG_CACHE", str(Path.home() / ".npm")),
}
BUILDS = "Creating conda environment"  # what Snakemake says of each that it builds
REPORTS = {"report", "page"}
SUMMARY = {"platform", *REPORTS}
# A run takes minutes on two cores, and building the environments is a matter of the network.
END_TO_END = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(3600)]


@contextlib.contextmanager
def building(prefix: Path = CONDA_PREFIX) -> Iterator[None]:
    """Wait until no other process builds environments below ``prefix``: one that is half built, Snakemake removes."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{prefix}.lock"):
        yield


@dataclass(frozen=True)
class Checkout:
    """A copy of the working tree, and a directory in which its workflow runs."""

    root: Path
    directory: Path
    configs: tuple[Path, ...]
    cores: int = 2
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *arguments: str | Path) -> list[str]:
        """A call of Snakemake, as a user would type it in the root of the checkout."""
        where = ["--cores", self.cores, "--directory", self.directory, "--conda-prefix", CONDA_PREFIX]
        words = [RUNNER / "snakemake", *where, "--configfile", *self.configs, *arguments]
        return [str(word) for word in words]

    def run(self, *arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
        """Run Snakemake to its end; stdout holds stderr too, in the order of the terminal.

        Raises AssertionError if it built an environment, which another process might have built at the same time.
        """
        done = self._run(*arguments, **options)
        assert BUILDS not in done.stdout, f"build_environments() is missing before this:\n{done.stdout}"
        return done

    def _run(self, *arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.root,
            env=environ(**self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def build_environments(self, *targets: str) -> None:
        """Build every environment that a run, or one for these targets, needs and that does not exist yet."""
        with building(CONDA_PREFIX):
            done = self._run("--conda-create-envs-only", *(["--", *targets] if targets else []))
        assert done.returncode == 0, done.stdout

    def plan(self, *arguments: str) -> set[str]:
        """The jobs that a run would start, as ``rule model row n`` (those of its wildcards that it has).

        They come from the project's logger plugin as fields, so no message is taken apart.
        """
        with tempfile.TemporaryDirectory() as folder:
            events = Path(folder, "events")
            done = subprocess.run(
                self.command("--dry-run", "--logger", "plan", "--logger-plan-out", events, *arguments),
                cwd=self.root,
                env=environ(PYTHONPATH=str(self.root / "workflow/tools")),
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
            lines = [json.loads(line) for line in events.read_text(encoding="utf-8").splitlines()]
        jobs = [line["job"] for line in lines if "job" in line]
        totals = [line["total"] for line in lines if "total" in line]
        assert totals[-1:] in ([], [len(jobs)]), "a job went unnamed"
        return {name(job["rule"], **job["wildcards"]) for job in jobs if job["works"]}

    @contextlib.contextmanager
    def edited(self, path: str, edit: Callable[[str], str]) -> Iterator[None]:
        """Put ``edit`` of the text of a file in its place; afterwards the old text, with a new date."""
        file = self.root / path
        old = file.read_text(encoding="utf-8")
        new = edit(old)
        assert new != old, f"{path}: the edit changes nothing"
        try:
            file.write_text(new, encoding="utf-8")
            yield
        finally:
            file.write_text(old, encoding="utf-8")

    def table(self) -> list[dict[str, str]]:
        """The platform CSV of the last run."""
        with open(self.directory / "results/platforms/local.csv", newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    def report(self) -> str:
        return (self.directory / "results/report.md").read_text(encoding="utf-8")

    def details(self) -> str:
        return (self.directory / "results/details.md").read_text(encoding="utf-8")

    def rounds(self) -> list[Round]:
        """Every recorded round, in the order in which they ended."""
        paths = self.directory.glob("results/benchmarks/*/*/*/round-*.json")
        return list(map(contract_round.read, sorted(paths, key=lambda path: path.stat().st_mtime_ns)))


def copy(destination: Path) -> Path:
    """Copy every file that git tracks or would track, as it lies in the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    for path in filter(None, listed.stdout.decode().split("\0")):
        if (REPOSITORY / path).exists():  # git also lists what was deleted and not committed
            (destination / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / path, destination / path)
    return destination


def snapshot(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, size and date of every file below ``directory``: equal only if nothing was written."""
    found = {}
    for folder, _, names in os.walk(directory):  # pathlib takes seven times as long, and it is 300 000
        for name in names:
            path = f"{folder}/{name}"
            status = os.lstat(path)
            key = path[len(f"{directory}/") :]
            found[key] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def beside(before: Iterable[str], after: Iterable[str]) -> set[str]:
    """Of the paths ``after`` below CONDA_PREFIX, those of environments that were not there ``before``: another
    process may have built them meanwhile.
    """
    found = {path: match[0] for path in after if (match := re.match("[0-9a-f]{32}_", path))}
    old = {path[:33] for path in before}
    return {path for path, environment in found.items() if environment not in old}


def replace(pattern: str, text: str) -> Callable[[str], str]:
    """An edit for ``Checkout.edited``: the first match of a regular expression, replaced."""
    return lambda old: re.sub(pattern, text, old, count=1)


def append(text: str) -> Callable[[str], str]:
    """An edit for ``Checkout.edited``: more text at the end."""
    return lambda old: old + text


def name(rule: str, **wildcards: str) -> str:
    """A job's name here; the platform, of which there is one, is left out."""
    return " ".join([rule, *(wildcards[key] for key in ("model", "row", "n") if key in wildcards)])


def measuring(models=MODELS, rows=ROWS, rounds=(1, 2)) -> set[str]:
    """The jobs that measure these cells."""
    cells = [(model, row, n) for model in models for row in rows for n in rounds]
    return {
        name("benchmark", model=model, row=row)
        if n == 1
        else name("benchmark_repeat", model=model, row=row, n=str(n))
        for model, row, n in cells
    }


def judging(models=MODELS, rows=ROWS) -> set[str]:
    """The jobs that judge these cells, and what follows from any verdict."""
    return {name("validate", model=model, row=row) for model in models for row in rows} | SUMMARY
