"""Make NVIDIA's wheels in an environment a CUDA toolkit with which programs can be built: no card is needed for that.

The wheels nvidia-cuda-nvcc, -runtime, -crt, -cccl, nvidia-nvvm and nvidia-cublas put compiler, headers and libraries
into site-packages/nvidia/cu13. What a build needs beyond them is written there: the libraries' names without a
version, by which linkers look for them, and a libcuda.so to link against, as the toolkit's own folder `stubs` has it;
the real one is the driver's.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

PROTOTYPE = re.compile(r"^CUresult\s+CUDAAPI\s+(cu\w+)\s*\(", re.MULTILINE)
RENAMED = re.compile(r"^\s*#\s*define\s+cu\w+\s+(?:__CUDA_API_\w+\()?(cu\w+)\)?", re.MULTILINE)
SUFFIXES = ("", "_ptds", "_ptsz")  # per-thread default stream: other names of the same functions
NOT_INITIALISED = 3  # CUDA_ERROR_NOT_INITIALIZED: the answer of a stub that is called after all


class ToolkitError(Exception):
    """The wheels cannot be completed to a toolkit; the message says what is missing."""


def root(environment: Path) -> Path | None:
    """The toolkit's folder in an environment, by its compiler; None where no wheel has brought one."""
    found = sorted(environment.glob("lib/python*/site-packages/nvidia/cu*/bin/nvcc"))
    return found[-1].parent.parent if found else None


def complete(toolkit: Path) -> None:
    """Write into ``toolkit`` what its wheels lack. Raises ToolkitError without headers or a C compiler."""
    library = toolkit / "lib"
    for versioned in library.glob("lib*.so.*"):
        plain = library / versioned.name[: versioned.name.index(".so.") + 3]
        if not plain.exists():
            plain.symlink_to(versioned.name)
    if not (toolkit / "lib64").exists():
        (toolkit / "lib64").symlink_to("lib")  # where nvcc's own profile looks
    write_stub(toolkit / "include" / "cuda.h", library / "stubs" / "libcuda.so")


def variables(toolkit: Path, environ: dict[str, str]) -> dict[str, str]:
    """``environ`` with which CMake, cc and Rust's build scripts find ``toolkit`` and nothing else of CUDA."""
    path = f"{toolkit / 'bin'}:{environ.get('PATH', '')}"
    own = {"CUDACXX": str(toolkit / "bin" / "nvcc"), "PATH": path}
    return environ | own | dict.fromkeys(("CUDA_HOME", "CUDA_PATH", "CUDAToolkit_ROOT"), str(toolkit))


def write_stub(header: Path, library: Path) -> None:
    """A shared library by libcuda's name with every function that cuda.h declares, none of which does anything."""
    try:
        text = header.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ToolkitError(f"{header}: not readable ({error}); add nvidia-cuda-runtime to `pip:`") from error
    names = {name + suffix for name in functions(text) for suffix in SUFFIXES}
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise ToolkitError("no C compiler on PATH; building for CUDA needs one (Debian: apt install g++)")
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        source, made = Path(folder, "cuda.c"), Path(folder, library.name)
        source.write_text(
            "".join(f"int {name}(void) {{ return {NOT_INITIALISED}; }}\n" for name in sorted(names))
        )
        command = [compiler, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", str(source), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ToolkitError(f"{compiler} cannot build {library}: {done.stderr[-500:]}")
        made.replace(library)


def functions(header: str) -> set[str]:
    """Names of the functions that the text of cuda.h declares, and those to which it renames them."""
    found = set(PROTOTYPE.findall(header))
    if not found:
        raise ToolkitError(
            "cuda.h declares no function `CUresult CUDAAPI cu...(`; another release of the wheel?"
        )
    return found | set(RENAMED.findall(header))
