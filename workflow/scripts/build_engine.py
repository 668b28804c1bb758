"""Build one of the programs in workflow/engines/ for this machine's processor.

Where there is no cargo, or the build fails in whatever way, that is recorded, and the engine's cells say so: the exit
status is 0 as long as the record could be written, and the disk is not full. CARGO_TARGET_DIR is honoured, and what
else arena/environment.py lets through; a profile that CARGO_PROFILE_* changes is recorded with the flags. For CUDA no
card is needed: CUDA_COMPUTE_CAP says which one to build for, else the machine's own, else every one since Ampere.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import traceback
from pathlib import Path
from typing import Any

from arena import environment as variables
from arena import redaction, storage
from arena.building import cuda
from arena.configuration import crates
from arena.contract import codec
from arena.contract.build import Built
from arena.measuring import watchdog
from arena.weights import surroundings

FLAGS = "-C target-cpu=native"
CURL = re.compile(r"\[\d+\] ")  # how an error of the network begins, the last of its causes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True, help="directory with Cargo.lock")
    parser.add_argument("--engine", required=True, help="its crate is arena-ENGINE in the workspace")
    parser.add_argument("--crate", required=True, help="the framework's crate, whose version is reported")
    parser.add_argument("--interface", default="cpu", help="by which it reaches the device: a feature's name")
    parser.add_argument("--target-cpu", default="native", help="the compiler's name of another processor")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="crates compiled at a time")
    parser.add_argument("--target", type=Path, required=True, help="where cargo keeps what it compiled")
    parser.add_argument("--program", type=Path, required=True, help="where the executable goes")
    parser.add_argument("--record", type=Path, required=True, help="JSON: what was built, or why it was not")
    args = parser.parse_args()

    begin = time.monotonic()
    try:
        found = attempt(args)
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        if storage.fault(error, args.program.parent, args.target):
            print(f"build_engine.py: {storage.failed(args.target, error)}", flush=True)
            sys.exit(storage.EXIT)
        found = refused("failed", "build-failed", " ".join(f"{type(error).__name__}: {error}".split())[:500])
    found = redaction.Redactor().value(found)
    record = codec.build(Built, **{"packages": {}} | found, seconds=time.monotonic() - begin)
    if record.status != "ok":
        args.program.write_bytes(b"")  # the rule has promised a file; nothing runs it
    codec.write(args.record, record)
    print(f"{args.engine}: {record.reason or record.packages}")


def attempt(args: argparse.Namespace) -> dict[str, Any]:
    """Build the engine and put its program in place; what came of that, by the keys of the record."""
    package = f"arena-{args.engine}"
    manifest = args.workspace / package / "Cargo.toml"
    if not manifest.exists():
        return refused("unsupported", *published(args.crate))
    for program, what in (("cargo", "no Rust"), ("cc", "no C compiler, with which Rust links")):
        if shutil.which(program) is None:
            return refused("unsupported", "no-cargo", f"{what} here: `{program}` is not on the PATH")
    features = feature(manifest, args.interface)
    target = Path(os.environ.get("CARGO_TARGET_DIR", args.target)).resolve()
    flags = FLAGS.replace("native", args.target_cpu)
    environment, toolkit, capability = variables.for_building(), None, None
    linking, extra = [], {}
    if "cuda" in features:
        try:
            toolkit, capability = cuda.toolkit(), cuda.compute_capability()
            environment = cuda.prepare(toolkit, capability, target / "cuda", environment)
            linking, extra = cuda.linker_arguments(toolkit), {"nvcc": toolkit.version}
        except cuda.ToolkitError as error:
            return refused("unsupported", "no-nvcc", str(error))
    command = ["cargo", "rustc", "--release", "--locked", "--jobs", str(args.threads), "--package", package]
    command += ["--bin", package, "--target-dir", str(target), *(f"--features={name}" for name in features)]
    if configured_target(args.workspace):
        command += ["--target", host()]
    command += ["--message-format=json-render-diagnostics", "--", *linking]
    print(f"RUSTFLAGS='{flags}' {' '.join(command)}", flush=True)
    done = run(command, args.workspace, environment | {"RUSTFLAGS": flags})
    print(done.stderr, flush=True)
    if done.returncode and storage.told(done.stderr):
        print(f"build_engine.py: {storage.failed(target, OSError(first_error(done.stderr)))}", flush=True)
        sys.exit(storage.EXIT)
    built = executable(done.stdout, package)
    if done.returncode or built is None:
        return refused("failed", "build-failed", first_error(done.stderr))
    place(built, args.program)
    used = crates.direct(args.workspace / "Cargo.lock", package)
    return {
        "status": "ok",
        "reason": None,
        "version": used[args.crate],
        "packages": used | extra | {"rustc": said("rustc", "--version").split()[1]},
        "program_bytes": args.program.stat().st_size,
        "build": {
            "flags": ", ".join([flags, *settings(environment, capability if toolkit else None)]),
            "features": features,
            "target_cpu": native(said("rustc", "--print", "target-cpus"))
            if args.target_cpu == "native"
            else args.target_cpu,
        },
    }


def run(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``command`` in ``folder`` to its end; what it started ends with this process, however that ends."""
    pipe = subprocess.PIPE
    with (
        watchdog.watchdog() as dog,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True, process_group=0
        ) as process,
    ):
        dog.guard(process.pid)
        try:
            out, err = process.communicate()
        finally:
            watchdog.end(process)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def settings(environment: dict[str, str], capability: str | None) -> list[str]:
    """What of the build's variables changes the program, for its record."""
    names = sorted(name for name in environment if name.startswith(variables.PROFILES))
    changed = [f"{name}={environment[name]}" for name in names]
    return changed + ([f"CUDA_COMPUTE_CAP={capability}"] if capability else [])


def configured_target(workspace: Path) -> bool:
    """Whether cargo's configuration asks for another target than this machine, or names it.

    Programs then lie elsewhere, and may not run here: cargo is told this machine's.
    """
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    folders = [home, *(folder / ".cargo" for folder in (workspace.resolve(), *workspace.resolve().parents))]
    for path in (folder / name for folder in folders for name in ("config.toml", "config")):
        try:
            if "target" in tomllib.loads(path.read_text(encoding="utf-8")).get("build", {}):
                return True
        except (OSError, ValueError):  # none, or one about which cargo has its own words
            continue
    return False


def host() -> str:
    """This machine as the compiler calls it: x86_64-unknown-linux-gnu."""
    return next(line.split()[1] for line in said("rustc", "-vV").splitlines() if line.startswith("host:"))


def executable(messages: str, package: str) -> Path | None:
    """The program of ``package``, by what cargo says of each thing that it has made; None if it says nothing."""
    for line in messages.splitlines():
        if line.startswith("{"):
            message = json.loads(line)
            if message.get("executable") and message["target"]["name"] == package:
                return Path(message["executable"])
    return None


def refused(status: str, code: str, detail: str) -> dict[str, Any]:
    return {"status": status, "reason": {"code": code, "detail": detail}}


def feature(manifest: Path, interface: str) -> list[str]:
    """The crate's feature of the interface's name, if it has one; without it a program uses the CPU."""
    known = tomllib.loads(manifest.read_text(encoding="utf-8")).get("features", {})
    return [interface] if interface in known else []


def published(crate: str) -> tuple[str, str]:
    """Reason code and sentence for a framework that no program here is for: what the registry says today."""
    try:
        asked = subprocess.run(
            ["cargo", "info", "--quiet", "--color=never", crate],
            cwd="/",  # in a workspace cargo would look into Cargo.lock first
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=variables.for_building(),
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return "not-released", f"no release of {crate} is known; the crate registry could not be asked"
    version = re.search(r"^version: (\S+)", asked.stdout, re.MULTILINE)
    if version:
        return (
            "no-program",
            f"{crate} {version[1]} is released; workflow/engines/ has no program for it",
        )
    if "could not find" in asked.stderr:
        return "not-released", f"the crate registry has no {crate}"
    return "not-released", f"no release of {crate} is known; the crate registry could not be asked"


def first_error(output: str) -> str:
    """The first line that the compiler calls an error, else the last line; where that is that nothing was reached,
    with curl's words on it and the proxies that are named.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["cargo said nothing"]
    error = next((line for line in lines if line.startswith("error")), lines[-1])[:500]
    unreached = next((line for line in lines if CURL.match(line)), None)
    return f"{error}: {unreached}{surroundings.through(os.environ)}" if unreached else error


def place(built: Path, program: Path) -> None:
    """Copy the executable, never half of it."""
    part = program.with_name(f"{program.name}.part")
    shutil.copy2(built, part)
    part.replace(program)


def native(known: str) -> str | None:
    """The compiler's name for this processor, from what ``rustc --print target-cpus`` says."""
    found = re.search(r"^\s*native\b.*\(currently (\S+)\)", known, re.MULTILINE)
    return found[1] if found else None


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
