"""OpenBLAS in place of the BLAS that MLX's Linux wheel carries.

MLX multiplies float32 matrices on the CPU with ``cblas_sgemm``. The wheel's own is the reference
implementation, tens of times slower than any that its users would install. PyPI has OpenBLAS as
scipy-openblas32, but under prefixed names (``scipy_cblas_sgemm``), which MLX does not look for. A small
library, compiled here, has the plain names and passes each call on. The dynamic linker searches what was
loaded globally before a library's own dependencies, so it must be loaded before MLX; that MLX really calls it
is seen from its count of calls.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PACKAGE = "scipy-openblas32"

# Every function of BLAS that MLX calls (mlx/backend/cpu/gemms/cblas.cpp). Enumerations are ints in C.
SOURCE = r"""
#include <atomic>
static std::atomic<unsigned long> calls{0};
extern "C" unsigned long arena_blas_calls() { return calls.load(); }

#define FORWARD(name, scalar, type)                                                                     \
  extern "C" void scipy_##name(int, int, int, int, int, int, scalar, const type*, int, const type*, int, \
                               scalar, type*, int);                                                     \
  extern "C" void name(int order, int trans_a, int trans_b, int m, int n, int k, scalar alpha,          \
                       const type* a, int lda, const type* b, int ldb, scalar beta, type* c, int ldc) { \
    calls.fetch_add(1, std::memory_order_relaxed);                                                      \
    scipy_##name(order, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);                \
  }
FORWARD(cblas_sgemm, float, float)
FORWARD(cblas_dgemm, double, double)
FORWARD(cblas_cgemm, const void*, void)
"""


class BlasError(RuntimeError):
    """MLX would run, or runs, on another BLAS than OpenBLAS; the message says what to do."""


class OpenBLAS:
    """A loaded OpenBLAS with scipy's prefix, and before it the library with the plain names."""

    def __init__(self, library: Path, folder: Path):
        """Load ``library``, then the forwarding library, which is compiled into ``folder`` if not there.

        Raises BlasError if it cannot be compiled, OSError if either cannot be loaded.
        """
        # Globally: the forwarding library finds OpenBLAS's functions, and MLX its.
        self._openblas = ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
        self._forwarding = ctypes.CDLL(str(compiled(folder)), ctypes.RTLD_GLOBAL)
        self._forwarding.arena_blas_calls.restype = ctypes.c_ulong
        self._openblas.scipy_openblas_get_config.restype = ctypes.c_char_p

    @property
    def calls(self) -> int:
        """How many matrix products have come through so far."""
        return self._forwarding.arena_blas_calls()

    @property
    def name(self) -> str:
        """Name and version as the library itself gives them, such as ``OpenBLAS 0.3.34``."""
        return " ".join(self._openblas.scipy_openblas_get_config().decode().split()[:2])

    @property
    def threads(self) -> int:
        """Threads of a large product, as the library itself says."""
        return self._openblas.scipy_openblas_get_num_threads()

    def set_threads(self, count: int) -> None:
        self._openblas.scipy_openblas_set_num_threads(count)


def compiled(folder: Path) -> Path:
    """The forwarding library in ``folder``, compiled with g++ if it is not there.

    Its name has a digest of the source in it. Raises BlasError where g++ is missing or fails.
    """
    digest = hashlib.sha256(SOURCE.encode()).hexdigest()[:16]
    library = folder / f"libarena-blas-{digest}.so"
    if library.exists():
        return library
    compiler = shutil.which("g++")
    if compiler is None:
        raise BlasError(
            "MLX on Linux needs g++ (Debian: apt install g++): mx.compile calls it, and without it "
            "OpenBLAS cannot take the place of MLX's slow reference BLAS"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as building:
        source, made = Path(building, "blas.cpp"), Path(building, library.name)
        source.write_text(SOURCE)
        command = [compiler, "-std=c++17", "-O2", "-fPIC", "-shared", str(source), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BlasError(
                f"g++ cannot build the library that passes MLX's calls to OpenBLAS: {done.stderr}"
            )
        made.replace(library)
    return library


def packaged() -> Path | None:
    """The OpenBLAS that scipy-openblas32 installed; None where the environment lacks it."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [file for file in files if file.match("lib/libscipy_openblas*")]
    if len(found) != 1:
        raise BlasError(
            f"{PACKAGE} has {len(found)} files lib/libscipy_openblas*, expected one; lock another version"
        )
    return Path(str(found[0].locate()))


def cache_folder() -> Path:
    """Where the forwarding library is kept: the user's cache, which the supervisor makes the cell's."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "arena")
