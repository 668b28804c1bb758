"""CUDA's compiler and libraries for the engines' builds: an environment's wheels, or what the machine has.

What the crates ask for: cudaforge ``NVCC`` and ``CUDA_COMPUTE_CAP``, cudarc ``nvcc`` on the PATH and a folder
``lib`` below ``CUDNN_LIB`` with the libraries that it names to the linker.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LINKED = ("nvrtc", "curand", "cublas", "cublasLt", "cudnn")
CUDART = "libcudart_static.a"  # linked into the program
STAND_IN = Path(__file__).with_name("driver.c")
EVERY = "80"  # without a card: code that every card since Ampere translates for itself
SYSTEM = tuple(
    map(Path, ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"))
)
PATHS = ("CUDA_HOME", "CUDA_PATH", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR")


class ToolkitError(Exception):
    """What CUDA's programs are built with is not here; the message says what, and where it was looked for."""


@dataclass(frozen=True)
class Toolkit:
    """An nvcc, and the folders with the libraries of the same installation."""

    nvcc: Path
    libraries: tuple[Path, ...]
    version: str  # nvcc's, 13.0.88 for example


def toolkit(environment: Mapping[str, str] = os.environ, packages: Path | None = None) -> Toolkit:
    """The first toolkit of: ``$NVCC``, this Python's ``nvidia-*`` wheels, this environment's ``bin``, the PATH,
    ``$CUDA_HOME`` and its like, /usr/local/cuda. ``packages`` is where wheels are installed.

    Raises ``ToolkitError`` where there is no nvcc, or no static CUDA runtime beside it.
    """
    packages = packages or Path(sysconfig.get_path("purelib"))
    for nvcc in _candidates(environment, packages):
        if nvcc.is_file() and os.access(nvcc, os.X_OK):
            root = nvcc.resolve().parent.parent
            names = ("lib", "lib64", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib")
            folders = [*(root / name for name in names), *sorted(packages.glob("nvidia/*/lib"))]
            found = tuple(dict.fromkeys(folder for folder in folders if folder.is_dir()))
            if not any((folder / CUDART).is_file() for folder in found):
                looked = ", ".join(map(str, found)) or "no folder"
                raise ToolkitError(f"{nvcc} is there, but not {CUDART}: looked in {looked}")
            return Toolkit(nvcc, found, _version(nvcc))
    raise ToolkitError(
        "no nvcc: not in $NVCC, this Python's nvidia-cuda-nvcc wheel, the PATH, $CUDA_HOME or /usr/local/cuda"
    )


def _candidates(environment: Mapping[str, str], packages: Path) -> Iterator[Path]:
    if environment.get("NVCC"):
        yield Path(environment["NVCC"])
    yield from sorted(packages.glob("nvidia/*/bin/nvcc"))
    yield Path(sys.prefix) / "bin/nvcc"
    found = shutil.which("nvcc", path=environment.get("PATH", ""))
    if found:
        yield Path(found)
    roots = [environment[name] for name in PATHS if environment.get(name)] + ["/usr/local/cuda"]
    yield from (Path(root) / "bin/nvcc" for root in roots)


def _version(nvcc: Path) -> str:
    """From the line ``Cuda compilation tools, release 13.0, V13.0.88``."""
    said = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=False)
    words = said.stdout.replace(",", " ").split()
    found = [word[1:] for word in words if word[:1] == "V" and word[1:2].isdigit()]
    if said.returncode or not found:
        raise ToolkitError(f"{nvcc} --version says no version: {(said.stdout + said.stderr).strip()[:300]}")
    return found[0]


def compute_capability(environment: Mapping[str, str] = os.environ) -> str:
    """What to compile for, 90 for example: ``$CUDA_COMPUTE_CAP``, the first card's, or ``EVERY`` without one."""
    if environment.get("CUDA_COMPUTE_CAP"):
        return environment["CUDA_COMPUTE_CAP"]
    ask = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        said = subprocess.run(ask, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return EVERY
    lines = said.split()
    return lines[0].replace(".", "") if lines else EVERY


def prepare(found: Toolkit, capability: str, folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The build's variables; ``folder``/lib is made: every library by the name that the linker looks for.

    The driver's is ``driver.c``: no driver is needed here, and the program starts where there is none. Raises
    ``ToolkitError`` for a library that the toolkit's installation lacks.
    """
    library = folder / "lib"
    shutil.rmtree(library, ignore_errors=True)
    library.mkdir(parents=True)
    for name in LINKED:
        (library / f"lib{name}.so").symlink_to(_library(found, name))
    (library / "libcudart.a").symlink_to(
        next(place / CUDART for place in found.libraries if (place / CUDART).is_file())
    )
    _stand_in(_header(found), library / "libcuda.a")
    own = {
        "NVCC": str(found.nvcc),
        "PATH": f"{found.nvcc.parent}{os.pathsep}{environment.get('PATH', '')}",
        "CUDNN_LIB": str(folder),
        "CUDA_COMPUTE_CAP": capability,
        "ARENA_CUDA_PATH": str(found.nvcc.parent.parent),  # whose headers Burn's kernels are compiled with
    }
    return {name: value for name, value in environment.items() if name not in PATHS} | own


def linker_arguments(found: Toolkit) -> list[str]:
    """For rustc: the program looks for the libraries where they were when it was built."""
    used = {_library(found, name).parent for name in LINKED}
    return [word for place in sorted(used) for word in ("-C", f"link-arg=-Wl,-rpath,{place}")]


def _library(found: Toolkit, name: str) -> Path:
    for place in (*found.libraries, *SYSTEM):
        for path in sorted(place.glob(f"lib{name}.so*")):
            return path
    looked = ", ".join(map(str, found.libraries))
    raise ToolkitError(f"{found.nvcc} is there, but not lib{name}.so: looked in {looked}")


def _header(found: Toolkit) -> Path:
    root = found.nvcc.resolve().parent.parent
    for place in (root / "include", *(path.parent / "include" for path in found.libraries)):
        if (place / "cuda.h").is_file():
            return place / "cuda.h"
    raise ToolkitError(f"{found.nvcc} is there, but no include/cuda.h beside it")


def _stand_in(header: Path, library: Path) -> None:
    """An archive with the driver's functions: each goes on to the driver's, or says that there is no device."""
    names = sorted(set(re.findall(r"\bcu[A-Z]\w*", header.read_text(encoding="utf-8", errors="replace"))))
    each = " ".join(f"X({name})" for name in names)
    made = library.with_suffix(".o")
    compiler = ["cc", "-c", "-O2", "-fPIC", "-x", "c", "-", f"-DEACH={each}", "-o", str(made)]
    source = STAND_IN.read_text(encoding="utf-8")
    for command in (compiler, ["ar", "rcs", str(library), str(made)]):
        done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ToolkitError(f"no stand-in for CUDA's driver from {header}: {done.stderr.strip()[:300]}")
    made.unlink()
