"""One C++ library for all that the process loads.

nvcc links with a host compiler of its own choice (CUDAHOSTCXX), and a build's libggml-cuda may hold a second copy of
libstdc++ for that reason. Where numpy has loaded the system's before, visible to itself alone, both are at work in
one process, and loading libllama ends with SIGSEGV. Once the loaded one is visible to everybody, whatever comes later
is bound to it. Needs the standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys

NAME = "libstdc++.so.6"


def share() -> None:
    """Make the process's libstdc++ visible to every library that is loaded from now on; on Linux only."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a system without it has no second one either
            ctypes.CDLL(NAME, mode=ctypes.RTLD_GLOBAL)
