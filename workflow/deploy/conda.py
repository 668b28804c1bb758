"""The arena's own conda: builds Snakemake's conda environments with uv where conda is not installed.

Snakemake 9 needs a `conda` command to build and activate the environments in envs/. The arena's
environments hold Python and packages of PyPI only, which needs no conda: this program answers the calls
that Snakemake makes (`conda --version`, `info --json`, `config --get channel_priority --json`,
`env create --file F --prefix P`, `clean`). If a real conda of version 24.7.1 or later is on PATH,
it is run instead, with the same arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
import environment

from arena import places

VERSION = "24.7.1"  # the oldest conda that Snakemake 9.27 accepts, and the interface spoken here
MARKER = b"arena-conda-wrapper"  # in the wrapper script of every checkout of the arena
# What Snakemake asks at every start, as it puts it.
QUESTIONS = ("--version", "info --json", "config --get channel_priority --json")
PROBE = "ARENA_CONDA_PROBE"
PLATFORMS = {
    ("Linux", "x86_64"): "linux-64",
    ("Linux", "aarch64"): "linux-aarch64",
    ("Darwin", "arm64"): "osx-arm64",
    ("Darwin", "x86_64"): "osx-64",
}
ABOUT = (
    "This is the arena's own conda, which only does what Snakemake needs to build envs/*.yaml from PyPI. "
    f"For anything else install conda {VERSION} or later (for example Miniforge) and put it on PATH; "
    "it is then used by itself."
)


def other_condas(search_path: str) -> Iterator[Path]:
    """Every `conda` program on ``search_path`` (as in $PATH) that is not the wrapper of an arena."""
    seen = set()
    for directory in search_path.split(os.pathsep):
        candidate = Path(directory or ".") / "conda"
        if candidate in seen or not candidate.is_file() or not os.access(candidate, os.X_OK):
            continue
        seen.add(candidate)
        with candidate.open("rb") as stream:
            if MARKER not in stream.read(1024):
                yield candidate


def version_of(conda: Path) -> tuple[int, ...] | None:
    """Version of a conda program; None if it does not say (a broken install, a shim without a target)."""
    # A shim may find us again: the variable tells our second self to answer "not here" (see main).
    try:
        answer = subprocess.run(
            [conda, "--version"],
            env={**os.environ, PROBE: "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\b(\d+)\.(\d+)\.(\d+)", answer.stdout)
    return tuple(map(int, match.groups())) if answer.returncode == 0 and match else None


def step_aside(arguments: list[str]) -> None:
    """Become the first real conda on PATH that is new enough; return if there is none."""
    for conda in other_condas(os.environ.get("PATH", "")):
        version = version_of(conda)
        if version and version >= tuple(map(int, VERSION.split("."))):
            os.execv(conda, [str(conda), *arguments])
        if arguments[:1] == ["info"]:  # Snakemake's first call, and the one whose stderr the user sees
            found = f"conda {'.'.join(map(str, version))}" if version else "not a working conda"
            environment.say(f"{conda} is {found}; {VERSION} or later would be used, going on without it")


def conda_prefix() -> Path:
    """Folder whose bin/activate Snakemake sources; made by `make setup`."""
    prefix = Path(sys.prefix) / "conda"
    if not (prefix / "bin" / "activate").is_file():
        sys.exit(f"{prefix}/bin/activate does not exist; run `make setup`")
    if why := places.refusal("the checkout", prefix):
        sys.exit(why)
    return prefix


class Parser(argparse.ArgumentParser):
    """A parser whose complaints say what this program is."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"conda: {message}\n{ABOUT}\n")


def parser() -> argparse.ArgumentParser:
    top = Parser(prog="conda", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=answer("--version"))
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    info = commands.add_parser("info", help="where this conda lives")
    info.add_argument("--json", action="store_true", required=True)

    config = commands.add_parser("config", help="settings (channel_priority only)")
    config.add_argument("--get", choices=["channel_priority"], required=True)
    config.add_argument("--json", action="store_true", required=True)

    env = commands.add_parser("env", help="environments").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    make = env.add_parser("create", help="build an environment")
    make.add_argument("--file", type=Path, required=True, help="environment file (YAML)")
    make.add_argument("--prefix", type=Path, required=True, help="folder to make")
    make.add_argument("--quiet", action="store_true", help="accepted; uv's messages are short anyway")
    make.add_argument("--no-default-packages", action="store_true", help="accepted; there are none")

    keep = commands.add_parser("answers", help="write down what Snakemake asks at every start, for conda.sh")
    keep.add_argument("folder", type=Path)

    clean = commands.add_parser("clean", help="nothing to do: uv keeps no archives")
    clean.add_argument("-y", "--yes", action="store_true")
    clean.add_argument("--tarballs", action="store_true")
    clean.add_argument("--packages", action="store_true")
    return top


def answer(question: str) -> str:
    """What this conda says to one of QUESTIONS."""
    if question == "--version":
        return f"conda {VERSION} (the arena's own, with uv)"
    if question == "info --json":
        machine = (platform.system(), platform.machine())
        subdir = PLATFORMS.get(machine, "-".join(machine).lower())
        return json.dumps({"conda_prefix": str(conda_prefix()), "conda_version": VERSION, "platform": subdir})
    return json.dumps({"get": {"channel_priority": "strict"}})  # one source only: PyPI


def write_answers(folder: Path) -> None:
    """One file for each of QUESTIONS, named like it: conda.sh reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for question in QUESTIONS:
        part = folder / f"{question}.part"
        part.write_text(answer(question) + "\n", encoding="utf-8")
        part.replace(folder / question)


def stop(signum: int, _frame: object) -> NoReturn:
    """Turn a signal into an exception, so that what is half built is removed on the way out."""
    sys.exit(128 + signum)


def main(arguments: list[str]) -> int:
    if PROBE in os.environ:  # asked by ourselves, through a shim: there is no other conda behind it
        return 1
    if arguments[:1] != ["answers"]:
        step_aside(arguments)
    args = parser().parse_args(arguments)
    if args.command in ("info", "config"):
        print(answer(" ".join(arguments)))
    elif args.command == "answers":
        write_answers(args.folder)
    elif args.command == "env":
        for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(signum, stop)
        try:
            environment.create(args.file, args.prefix)
        except environment.BuildError as failure:
            environment.say(str(failure))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
