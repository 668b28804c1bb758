"""Environment files that need no conda: what they may say, and how they are built with uv."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cuda_toolkit
import installer

WITH_CONDA = "Or install conda 24.7.1 or later (for example Miniforge); once it is on PATH it is used."
# What the system may have in conda's place: the steps that need these say so where it has not.
SYSTEM = re.compile(r"(rust|c-compiler|cxx-compiler|pkg-config)\b")
# What the wheels under `pip:` have in conda's place, for whoever has no conda.
WHEELS = re.compile(r"(cuda-nvcc|cuda-cudart-dev|cuda-driver-dev|libcublas-dev)\b")
ABANDONED_AFTER_S = 24 * 3600.0


class BuildError(Exception):
    """The environment cannot be built here; the message says why and what to do."""


def read_environment(path: Path) -> tuple[str, list[str]]:
    """Python version request (such as "3.13") and pip requirements of an environment file.

    Raises BuildError, naming file, key and value, for whatever only conda could install.
    """
    import yaml  # here, because most calls do not need it and each costs the user start-up time

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BuildError(f"{path}: not a readable YAML file: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("dependencies"), list):
        raise BuildError(f"{path}: expected a mapping with a list under `dependencies`")
    for key in content.keys() - {"name", "channels", "dependencies"}:
        raise BuildError(
            f"{path}: key `{key}` is not supported; expected name, channels, dependencies. {WITH_CONDA}"
        )

    python, requirements = None, []
    for entry in content["dependencies"]:
        if isinstance(entry, dict) and set(entry) == {"pip"} and isinstance(entry["pip"], list):
            requirements += entry["pip"]
        elif isinstance(entry, str) and re.match(r"python\b(?!-)", entry):
            python = python_request(path, entry)
        elif entry != "pip" and not (isinstance(entry, str) and (SYSTEM.match(entry) or WHEELS.match(entry))):
            raise BuildError(
                f"{path}: dependency `{entry}` needs conda; expected only `python=3.13`, `pip`, a `pip:` "
                "list and what the system may have (rust, c-compiler, cxx-compiler, pkg-config). Move it to "
                f"`pip:` if PyPI has it. {WITH_CONDA}"
            )
    for requirement in requirements:
        if not isinstance(requirement, str):
            raise BuildError(f"{path}: pip: `{requirement}` is not text; expected `name==version`")
    if python is None:
        raise BuildError(f"{path}: dependencies name no python; add for example `python=3.13`")
    return python, requirements


def python_request(path: Path, entry: str) -> str:
    """Version in `python=3.13`, `python=3.13.*` or `python==3.13.9`; of a bare `python`, the running one."""
    match = re.fullmatch(r"python(?:\s*={1,2}\s*(\d+\.\d+(?:\.\d+)?)(?:\.\*)?)?", entry.strip())
    if not match:
        raise BuildError(f"{path}: `{entry}` is not understood; expected for example `python=3.13`")
    return match.group(1) or "{}.{}".format(*sys.version_info)


def create(file: Path, prefix: Path) -> None:
    """Build the environment of ``file`` at ``prefix``, which is either whole or absent at any moment.

    It is built beside ``prefix`` and renamed, so a second process that makes the same environment at
    the same time neither sees half of it nor waits: whoever comes last discards its own copy.
    Raises BuildError if the file cannot be honoured, uv fails, or ``prefix`` holds something else.
    """
    python, requirements = read_environment(file)
    if prefix.exists():
        check_same(file, prefix)
        return
    prefix.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(prefix)
    building = Path(tempfile.mkdtemp(prefix=f".{prefix.name}.", suffix=".part", dir=prefix.parent))
    try:
        fill(building, python, requirements, file)
        try:
            building.rename(prefix)
        except OSError:
            if not prefix.exists():
                raise
            check_same(file, prefix)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def fill(building: Path, python: str, requirements: list[str], file: Path) -> None:
    """Install Python and the requirements into the empty folder ``building``."""
    environ = installer.uv_environment(installer.pip_settings(), os.environ)
    own = "{}.{}.{}".format(*sys.version_info)
    interpreter = sys.executable if f"{own}.".startswith(f"{python}.") else python
    target = ["--python", str(building / "bin" / "python")]

    started = time.monotonic()
    say(f"{file}: Python {python} and {len(requirements)} packages, with uv")
    # Relocatable, because the environment is renamed once it is whole.
    venv = ["venv", "--quiet", "--relocatable", "--no-project", "--allow-existing", "--python", interpreter]
    failure = f"{file}: uv cannot use Python {python} (above); install it. {WITH_CONDA}"
    uv([*venv, str(building)], environ, failure)
    if requirements:
        # No resolution: what is listed is what is installed, and `check` says if that is not enough.
        install = ["pip", "install", *target, "--no-deps", "--compile-bytecode", "--requirements", "-"]
        lines = dict(map(installer.build_settings, requirements))
        failure = f"{file}: uv could not install the packages under `pip:`; its message is above"
        # What is built here comes last, because the compiler may be one of the packages.
        ready = [line for line, settings in lines.items() if not settings]
        uv(install, environ, failure, "\n".join(ready))
        settings = [
            f"--config-settings-package={requirement_name(line)}:{setting}"
            for line, settings in lines.items()
            for setting in settings
        ]
        if settings:
            built = [line for line in lines if line not in ready]
            environ_with = with_compiler(building, environ, file)
            uv([*install, *settings], environ_with, failure, "\n".join(built))
        failure = (
            f"{file}: the packages under `pip:` do not fit together (above); pin what is missing. For a file "
            "in envs/ `make lock ENV=<its name>` does that"
        )
        check(target, environ, failure, installer.left_out(file.read_text(encoding="utf-8")))
    shutil.copyfile(file, building / "environment.yaml")
    (building / "conda-meta").mkdir()
    (building / "conda-meta" / "history").touch()  # a real conda installed later can activate it
    building.chmod(0o755)  # mkdtemp's 0700 would hide it from colleagues
    say(f"built in {time.monotonic() - started:.1f} s")


def with_compiler(building: Path, environ: dict[str, str], file: Path) -> dict[str, str]:
    """``environ`` with the CUDA compiler that the environment's own wheels have brought, if they have."""
    toolkit = cuda_toolkit.root(building)
    if toolkit is None:
        return environ
    try:
        cuda_toolkit.complete(toolkit)
    except cuda_toolkit.ToolkitError as error:
        raise BuildError(f"{file}: {error}") from error
    return cuda_toolkit.variables(toolkit, environ)


def requirement_name(requirement: str) -> str:
    """`name` of `name==1.0 ; marker`."""
    return re.match(r"[A-Za-z0-9._-]*", requirement.strip())[0]


def check(target: list[str], environ: dict[str, str], failure: str, left_out: list[str]) -> None:
    """Raise BuildError(failure) unless the installed packages fit together, but for those ``left_out``."""
    command = [installer.uv_program(), "pip", "check", *target]
    process = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    faults = [line for line in process.stderr.splitlines() if line.startswith("The package ")]
    accepted = [line for line in faults if line.endswith("it's not installed") and absent(line) in left_out]
    if process.returncode != 0 and (not faults or faults != accepted):
        say(process.stderr.strip())
        raise BuildError(failure)


def absent(fault: str) -> str:
    """The package that is missing according to one of uv's lines: The package `a` requires `b>=1`, but ..."""
    return re.split(r"[^A-Za-z0-9._-]", fault.split("`")[3])[0]


def uv(arguments: list[str], environ: dict[str, str], failure: str, standard_input: str = "") -> None:
    """Run uv, its messages on stderr. Raises BuildError(failure) if it fails."""
    process = subprocess.Popen(
        [installer.uv_program(), *arguments],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=sys.stderr,
        text=True,
        start_new_session=True,
    )
    try:
        process.communicate(standard_input)
    except BaseException:  # a signal: nothing may go on writing into a folder that is about to be removed
        os.killpg(process.pid, signal.SIGKILL)  # uv and the interpreters that compile for it
        process.wait()
        raise
    if process.returncode != 0:
        raise BuildError(failure)


def check_same(file: Path, prefix: Path) -> None:
    """Raise BuildError unless ``prefix`` is the environment of ``file``."""
    built_from = prefix / "environment.yaml"
    if not built_from.is_file() or built_from.read_bytes() != file.read_bytes():
        raise BuildError(f"{prefix} exists and was not built from {file}; delete it and run again")
    say(f"{prefix} exists already")


def remove_abandoned(prefix: Path) -> None:
    """Remove what processes killed outright left beside ``prefix``, once it is surely abandoned."""
    for left in prefix.parent.glob(f".{prefix.name}.*.part"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > ABANDONED_AFTER_S:
                shutil.rmtree(left, ignore_errors=True)


def say(message: str) -> None:
    """Tell the user on stderr; Snakemake shows it if the build fails."""
    print(f"arena conda: {message}", file=sys.stderr, flush=True)
