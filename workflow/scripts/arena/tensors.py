"""Named tensors in safetensors files."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from arena import files, storage


class TensorNameError(KeyError):
    """A file lacks a tensor that the architecture needs, or holds one that it does not know."""

    def __str__(self) -> str:
        return str(self.args[0])


def save(path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray]) -> None:
    """Write ``tensors`` to ``path`` (safetensors), atomically.

    Arrays of any strides are accepted; safetensors itself writes the raw buffer, which would
    scramble a transposed view without a word. Raises OSError where the file cannot be written.
    """
    whole = {name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in tensors.items()}
    with files.replacing(path) as temporary:
        try:
            save_file(whole, temporary)
        except SafetensorError as error:  # a full disk, which it tells in words alone
            if not storage.system_error(error):
                raise
            raise storage.failed(path, error) from error


def load(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read every tensor of ``path`` into host memory.

    Raises FileNotFoundError if it is absent, ValueError if it is not a whole safetensors file.
    """
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ValueError(
            f"{path}: not a whole safetensors file ({error}); delete it and run again"
        ) from error
    except (TypeError, AttributeError) as error:  # bfloat16 or float8, for which NumPy has no type
        raise ValueError(f"{path}: {error}; expected types that NumPy knows") from error


def select(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The tensors whose name starts with ``prefix``, under the rest of their names."""
    return {name[len(prefix) :]: array for name, array in tensors.items() if name.startswith(prefix)}


def check_names(found: set[str], expected: set[str], where: str) -> None:
    """Raise TensorNameError naming ``where`` and the tensors unless ``found`` and ``expected`` are equal."""
    missing, extra = sorted(expected - found), sorted(found - expected)
    if missing or extra:
        raise TensorNameError(
            f"{where}: {len(missing)} missing tensor(s) {missing[:5]}, {len(extra)} unexpected {extra[:5]}"
        )
