"""Which variables of the caller's shell a process of the arena gets: those of a list, and no others.

A framework reads dozens of variables that change what it computes or how fast (``TORCHDYNAMO_DISABLE``,
``GOMP_CPU_AFFINITY``), and a shell holds secrets. So the lists name what says where things are, which device is meant
and in which language a system speaks. What a figure depends on is set by the protocol, or by the row's own
``environment`` in its framework's file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping

from arena import redaction

#: Thread counts of the common libraries. Snakemake sets them to a job's threads, benchmark.py to the cell's.
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)
SYSTEM = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LOCALE_ARCHIVE", "TZ"),
    *("TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_DATA_DIRS", "XDG_RUNTIME_DIR"),
    # Where libraries and compilers are. A container's GPU driver, a module's or Nix's libraries need them.
    *("LD_LIBRARY_PATH", "NIX_LD", "NIX_LD_LIBRARY_PATH", "CONDA_PREFIX", "SDKROOT", "DEVELOPER_DIR"),
    *("CUDA_HOME", "CUDA_PATH", "ROCM_PATH", "HIP_PATH", "__CF_USER_TEXT_ENCODING"),
    # Snakemake takes PYTHONPATH away in its environments; without them (profiles/host) frameworks may lie there.
    *("PYTHONPATH", "PYTHONDONTWRITEBYTECODE"),
    # 1 in every step (rules/common.smk): a log takes any text, whatever the locale.
    "PYTHONUTF8",
)
#: Which device is meant, and by which driver it is reached.
DEVICES = (
    *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"),
    *("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"),
    *("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "HSA_OVERRIDE_GFX_VERSION"),
    *("ZE_AFFINITY_MASK", "ONEAPI_DEVICE_SELECTOR", "ONEAPI_ROOT"),
    *("VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES"),
)
PREFIXES = ("LC_", "ARENA_")
#: What a build may need besides: Rust and its compilers, a CUDA toolkit, and the network from which crates come.
BUILDING = (
    *("CARGO_HOME", "CARGO_TARGET_DIR", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "RUSTUP_DIST_SERVER"),
    *("CC", "CXX", "AR", "CMAKE", "PKG_CONFIG_PATH", "LIBRARY_PATH", "CPATH", "LIBCLANG_PATH"),
    *("NVCC", "CUDAHOSTCXX", "CUDA_COMPUTE_CAP", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"),
)
#: Of cargo's, those about mirrors and the network; and profiles, which the build's record repeats.
PROFILES = "CARGO_PROFILE_"
BUILDING_PREFIXES = ("CARGO_NET_", "CARGO_HTTP_", "CARGO_SOURCE_", "CARGO_REGISTRIES_", PROFILES)

ENTERED = "ARENA_ENTERED"  # the process that ``enter`` has started anew; execve keeps its id

_KNOWN = frozenset((*SYSTEM, *DEVICES, *THREADS))


def passed(
    environ: Mapping[str, str] | None = None, names: Iterable[str] = (), prefixes: tuple[str, ...] = ()
) -> dict[str, str]:
    """The variables of ``environ``, by default this process's, that a process of the arena is given.

    ``names`` and ``prefixes`` are let through besides; what looks like a secret never is.
    """
    environ = os.environ if environ is None else environ
    known, beginnings = _KNOWN.union(names), (*PREFIXES, *prefixes)
    return {
        name: value
        for name, value in environ.items()
        if (name in known or name.startswith(beginnings)) and not redaction.is_secret(name)
    }


def for_building(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """``passed`` and what building an engine needs besides."""
    return passed(environ, BUILDING, BUILDING_PREFIXES)


def withheld(given: Mapping[str, str]) -> list[str]:
    """The names of this process's variables that are not in ``given``, in alphabetical order."""
    return sorted(os.environ.keys() - given.keys())


def enter() -> None:
    """Start this program anew with ``passed`` alone, before it imports a framework; once only."""
    given = passed()
    if given == dict(os.environ) or os.environ.get(ENTERED) == str(os.getpid()):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    own = {ENTERED: str(os.getpid())}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], given | own)
