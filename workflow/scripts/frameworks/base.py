"""What every framework's adapter promises. See docs/design.md, "Adapters"."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from arena import files, tensors
from arena.contract import cell
from arena.contract.cell import TaskName as Task
from frameworks.errors import FailedError, UnsupportedError

__all__ = ["Adapter", "FailedError", "Generation", "Job", "Task", "UnsupportedError"]


@dataclass(frozen=True)
class Generation:
    """What one iteration of ``decode`` returns."""

    tokens: Any  # the new token ids, in the framework's own form; ``fetch`` turns them into an array
    first_token_ns: int  # from the call until the first new token was known on the host: the prefill


class Job(cell.Job):
    """One round of a cell, as an adapter sees it: ``job.cell`` is what is measured, ``job.files`` with which files."""

    def architecture(self) -> dict[str, Any]:
        """The model's ``config.json``."""
        return files.read_json(self.files.config)

    def task_inputs(self, task: Task) -> dict[str, np.ndarray]:
        """Arguments of the forward pass by name; training runs on the inference inputs.

        For ``decode``: ``input_ids``, the prompt, (1, tokens) int64.
        """
        prefix = f"{task}." if task in ("latency", "decode") else "inference."
        return tensors.select(tensors.load(self.files.inputs), prefix)

    def target(self) -> np.ndarray:
        """Labels (int64) or regression target (float32) of the training loss."""
        return tensors.load(self.files.inputs)["target"]


class _Given:
    """A job whose forward pass has other inputs than its files."""

    def __init__(self, job: Job, inputs: dict[str, np.ndarray]):
        self._job, self._inputs = job, inputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def task_inputs(self, task: Task) -> dict[str, np.ndarray]:
        return self._inputs


class Adapter(ABC):
    """A framework, driven the way its own users drive it.

    The module's import is timed as ``import_s``, so import the framework at its top.
    """

    #: Seconds that the constructor spent on what a user's program would not do; no part of the cold start.
    own_s: float = 0.0

    def __init__(self, job: Job):
        self.job = job

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """``version``, ``backend``, ``device`` (text) and ``threads`` (as the engine reports it, or None).

        Where a part of the framework fails here and is left out, ``fallback`` says which and why, so that the
        report marks the row: ``without AMX tiles: a trial ended with SIGILL``.
        """

    @abstractmethod
    def load(self) -> None:
        """Bring the weights from disk to host memory. Timed as ``load_s``."""

    @abstractmethod
    def prepare(self, task: Task) -> Callable[[], Any]:
        """Build and compile; return a callable that runs one iteration.

        Inputs and weights are on the device before it returns. The callable comes back only when
        its result is materialised on the device. Raises UnsupportedError.

        An iteration of ``decode`` starts with an empty KV cache, feeds the prompt, then picks the highest
        logit ``job.cell.decode_tokens`` times, feeding each token but the last; it returns a Generation.
        """

    def forward(self, inputs: dict[str, np.ndarray]) -> Any:
        """The result of one forward pass over ``inputs``, of the shapes of inference: for ``fetch("inference", …)``.

        Untimed. It is inference, prepared anew; an adapter that would compile again for that does better itself.
        """
        job = self.job
        self.job = _Given(job, inputs)
        try:
            return self.prepare("inference")()
        finally:
            self.job = job

    @abstractmethod
    def fetch(self, task: Task, result: Any) -> dict[str, np.ndarray]:
        """Copy a result to the host: ``{"output": …}``; training: ``{"loss": …, "gradient.<name>": …}``;
        decode: ``{"tokens": …}``, (job.cell.decode_tokens,) int64.

        Gradients come under the checkpoint's names and in its layouts.
        """

    def verify(self, task: Task) -> None:  # noqa: B027 -- most adapters see nothing that could be looked at
        """Raise FailedError if ``task``, of which one iteration has run, was not done as the row asks for.

        Such as a row that compiles and has compiled nothing. Called outside the clock.
        """

    def device_ns(self) -> int | None:
        """Nanoseconds of the latest iteration by the device's own clock; None where there is none."""
        return None

    def device_peak_bytes(self) -> int | None:
        """The most device memory that this framework has held at once in this process, by its own count.

        None where it does not count, and on a CPU. Together with what the driver sees it tells where the
        framework really computed.
        """
        return None
