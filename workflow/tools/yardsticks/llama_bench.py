"""llama-bench, compiled from the source distribution from which the llama.cpp row was installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
INSTALLER = ROOT / "workflow" / "deploy" / "installer.py"
RUNNER = ROOT / ".venv" / "bin" / "python"  # has pip and uv, which the tests' Python has not
CMAKE = "cmake==4.4.4"
# Whatever bears on speed (compiler, -O3, this processor's instructions, OpenMP) stays llama.cpp's default,
# as it does where the bindings are built.
OPTIONS = {"CMAKE_BUILD_TYPE": "Release", "LLAMA_OPENSSL": "OFF"} | {
    f"LLAMA_BUILD_{part}": "OFF" for part in ("TESTS", "EXAMPLES", "SERVER", "APP")
}


def build(python: Path, cache: Path) -> Path:
    """The llama-bench of the llama-cpp-python that ``python`` imports, built below ``cache`` if need be.

    Takes minutes the first time, and a package index. Raises CalledProcessError if a step fails.
    """
    ask = "from importlib.metadata import version; print(version('llama-cpp-python'))"
    version = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    folder = cache / f"llama-bench-{version}"
    program = folder / "bin" / "llama-bench"
    if program.exists():
        return program
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=f".{folder.name}.") as temporary:
        source = _source(version, Path(temporary)) / "vendor" / "llama.cpp"
        # Where the build lies for good: its programs name the folder of their libraries.
        shutil.rmtree(folder, ignore_errors=True)
        options = [f"-D{name}={value}" for name, value in OPTIONS.items()]
        _cmake("-S", source, "-B", folder, *options)
        _cmake("--build", folder, "--target", "llama-bench", "--parallel", str(os.cpu_count()))
    return program


def _source(version: str, folder: Path) -> Path:
    """The unpacked source distribution of llama-cpp-python."""
    wanted = ["--no-deps", "--no-binary", "llama-cpp-python", f"llama-cpp-python=={version}"]
    _run(RUNNER, "-m", "pip", "download", "--quiet", "--dest", folder, *wanted)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def _cmake(*arguments: str | Path) -> None:
    _run(RUNNER, INSTALLER, "tool", "run", "--from", CMAKE, "cmake", *arguments)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)  # stdout is for the table
