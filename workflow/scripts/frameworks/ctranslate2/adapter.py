"""CTranslate2 on its own format: Generator for LLaMA, Whisper for Whisper."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from arena.measuring import nvml
from frameworks import base, libraries

#: Lane -> computation type. The int8 type quantises the matrices and embeddings at load, one scale a row,
#: and every activation that meets one at run time; Whisper's convolutions stay in float32.
LANES = {"float32": "float32", "float16": "float16", "bfloat16": "bfloat16", "int8": "int8_float32"}
DEVICES = {"cpu": ctranslate2.Device.cpu, "cuda": ctranslate2.Device.cuda}
#: What the engine opens by name when it first multiplies on a card, and the package that may bring it.
CUBLAS, CUBLAS_PACKAGE = ("libcublasLt.so.12", "libcublas.so.12"), "nvidia-cublas-cu12"
ENGINES = {"llama": ctranslate2.Generator, "whisper": ctranslate2.models.Whisper}


class Adapter(base.Adapter):
    """One engine, loaded once, serves every task.

    Option ``compute_type``: another of the engine's computation types than the lane's, such as ``int8_float16``.
    """

    def __init__(self, job: base.Job):
        super().__init__(job)
        if job.cell.accelerator == "cuda":
            _load_cublas()
        self.compute_type = job.cell.options.get("compute_type", LANES[job.cell.lane])

    def describe(self) -> dict[str, Any]:
        on_card = self.job.cell.accelerator == "cuda"
        return {
            "version": ctranslate2.__version__,
            "backend": "CUDA, cuBLAS" if on_card else f"CPU, {matrix_library(self.job.cell.lane)}",
            "device": nvml.open_gpu().facts()["name"] if on_card else "cpu",
            "threads": None,  # the engine does not tell
        }

    def load(self) -> None:
        known = ctranslate2.get_supported_compute_types(self.job.cell.accelerator)
        if self.compute_type not in known:  # the engine would take another, or refuse
            why = f"CTranslate2 computes on this device in {', '.join(sorted(known))}, not in {self.compute_type}"
            raise base.UnsupportedError("unsupported-lane", why)
        self.engine = ENGINES[self.job.cell.definition](
            str(self.job.files.export.parent),
            device=self.job.cell.accelerator,
            compute_type=self.compute_type,
            inter_threads=1,
            intra_threads=self.job.cell.threads,
        )

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        inputs = self.job.task_inputs(task)
        if self.job.cell.definition == "whisper":
            return self._transcription(inputs["input_features"], inputs["decoder_input_ids"])
        run = self._generation if task == "decode" else self._logits
        return run(inputs["input_ids"])

    def _logits(self, input_ids: np.ndarray) -> Callable[[], ctranslate2.StorageView]:
        """The logits of every position, (batch, time, vocabulary)."""
        engine, count, length = self.engine, *input_ids.shape
        ids = self._put(input_ids.astype(np.int32))
        lengths = self._put(np.full(count, length, np.int32))
        return lambda: engine.forward_batch(ids, lengths, return_log_probs=False)

    def _transcription(
        self, features: np.ndarray, decoder_input_ids: np.ndarray
    ) -> Callable[[], list[list[ctranslate2.StorageView]]]:
        """Each sequence's logits (vocabulary,), one a decoder position.

        The decoder has no call for logits of several positions. It generates, forced to take the given
        tokens, step by step with its key-value cache: nothing is computed twice.
        """
        engine, prompts = self.engine, decoder_input_ids.tolist()
        mel = self._put(features)
        greedy = {"beam_size": 1, "suppress_blank": False, "suppress_tokens": []}
        twice = 2 * decoder_input_ids.shape[1]  # the engine generates half of max_length at most

        def infer() -> list[list[ctranslate2.StorageView]]:
            results = engine.generate(mel, prompts, max_length=twice, return_logits_vocab=True, **greedy)
            return [result.logits[0] for result in results]

        return infer

    def _generation(self, input_ids: np.ndarray) -> Callable[[], base.Generation]:
        engine, count = self.engine, self.job.cell.decode_tokens
        prompt = [[str(token) for token in sequence] for sequence in input_ids]  # as the export names them
        # The whole prompt in one pass; no token ends the text.
        greedy = {"beam_size": 1, "include_prompt_in_result": False, "end_token": []}

        def generate() -> base.Generation:
            first = 0

            def on_token(step: ctranslate2.GenerationStepResult) -> bool:
                nonlocal first
                first = first or time.perf_counter_ns()
                return False  # do not stop

            begin = time.perf_counter_ns()
            (result,) = engine.generate_batch(prompt, max_length=count, callback=on_token, **greedy)
            return base.Generation(result.sequences_ids[0], first - begin)

        return generate

    def fetch(self, task: base.Task, result: Any) -> dict[str, np.ndarray]:
        if task == "decode":
            return {"tokens": np.array(result.tokens, np.int64)}
        if self.job.cell.definition == "whisper":
            return {"output": np.stack([[_numpy(logits) for logits in steps] for steps in result])}
        return {"output": _numpy(result)}

    def _put(self, array: np.ndarray) -> ctranslate2.StorageView:
        """``array`` on the device; on the CPU a view of it."""
        view = ctranslate2.StorageView.from_array(array)
        return (
            view if self.job.cell.accelerator == "cpu" else view.to_device(DEVICES[self.job.cell.accelerator])
        )


def _numpy(view: ctranslate2.StorageView) -> np.ndarray:
    """``view`` as float32 on the host."""
    if view.dtype != ctranslate2.DataType.float32:  # the engine converts on its device; numpy has no bfloat16
        view = view.to(ctranslate2.DataType.float32)
    return np.array(view if view.device == "cpu" else view.to_device(ctranslate2.Device.cpu))


def _load_cublas() -> None:
    """Load cuBLAS from its package or the system; UnsupportedError where it is not, or where no card is.

    The engine would find no package's library by name; once loaded, it is found whatever brought it.
    """
    if not ctranslate2.get_cuda_device_count():
        raise base.UnsupportedError(
            "no-device", f"ctranslate2 {ctranslate2.__version__} finds no CUDA device here"
        )
    try:
        libraries.load(CUBLAS_PACKAGE, CUBLAS)
    except OSError as error:
        why = f"CTranslate2 needs cuBLAS 12, which is not here ({error}); the package {CUBLAS_PACKAGE} has it"
        raise base.UnsupportedError("no-device", why) from error


def matrix_library(lane: str) -> str:
    """What multiplies matrices in the packaged builds, as the engine chooses (its src/cpu/backend.cc).

    The engine itself says so only in the log, with ``CT2_VERBOSE=1``.
    """
    if platform.machine() in ("x86_64", "AMD64"):
        wish = os.environ.get("CT2_USE_MKL")
        intel = "GenuineIntel" in _processor() if wish is None else wish in ("1", "true", "TRUE")
        return "MKL" if intel else "oneDNN"
    if lane == "int8":
        return "Ruy"
    return "Accelerate" if platform.system() == "Darwin" else "OpenBLAS"


def _processor() -> str:
    """The text in which Linux describes the processors."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except FileNotFoundError:
        return platform.processor()
