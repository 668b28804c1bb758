"""What every exporter promises: a function ``export(task: Export) -> None`` in its framework's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arena import files, tensors


@dataclass(frozen=True)
class Export:
    """One export of one model. Every file of ``files`` is to be written, each under a temporary name first.

    An exporter that cannot do the model raises UnsupportedError: its cells are reported as — with the reason.
    """

    model: str  # the model's name, for a format that has a place for it
    definition: str
    lane: str  # float32, unless the names of the files tell lanes apart
    files: tuple[Path, ...]  # as the framework's file lists them; the adapter is given the first
    reads: Mapping[
        str, Path
    ]  # by their names in the framework's file: weights, config, inputs, onnx/model.onnx

    @property
    def out(self) -> Path:
        """The file that the adapter is given."""
        return self.files[0]

    def weights(self) -> dict[str, np.ndarray]:
        """``model.safetensors``: every tensor in float32, under the checkpoint's names and layouts."""
        return tensors.load(self.reads["weights"])

    def architecture(self) -> dict[str, Any]:
        """The model's ``config.json``."""
        return files.read_json(self.reads["config"])

    def inputs(self) -> dict[str, np.ndarray]:
        """``inputs.safetensors``: the workload's tensors, ``{task}.{name}``."""
        return tensors.load(self.reads["inputs"])

    def source(self) -> Path:
        """The one file that it reads, where that is another format's."""
        (path,) = self.reads.values()
        return path
