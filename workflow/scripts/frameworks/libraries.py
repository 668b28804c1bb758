"""Shared libraries that a framework opens by name, and that a package of the environment may bring."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from importlib import metadata


def load(package: str, names: Iterable[str]) -> None:
    """Load ``names`` in this order, each from ``package`` if that is installed and has it, else from the system.

    Whoever opens one of them by name afterwards gets it: the dynamic linker knows by that name what it has loaded.
    Raises OSError where one is in neither place.
    """
    try:
        files = {file.name: str(file.locate()) for file in metadata.files(package) or []}
    except metadata.PackageNotFoundError:
        files = {}
    for name in names:
        ctypes.CDLL(files.get(name, name), mode=ctypes.RTLD_GLOBAL)
