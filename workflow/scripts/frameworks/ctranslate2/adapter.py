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

from frameworks import base

#: Lane -> computation type. The int8 type quantises the matrices and embeddings at load, one scale a row,
#: and every activation that meets one at run time; Whisper's convolutions stay in float32.
LANES = {"float32": "float32", "int8": "int8_float32"}
ENGINES = {"llama": ctranslate2.Generator, "whisper": ctranslate2.models.Whisper}


class Adapter(base.Adapter):
    """One engine, loaded once, serves every task."""

    def describe(self) -> dict[str, Any]:
        return {
            "version": ctranslate2.__version__,
            "backend": f"CPU, {matrix_library(self.job.cell.lane)}",
            "device": "cpu",
            "threads": None,  # the engine does not tell
        }

    def load(self) -> None:
        self.engine = ENGINES[self.job.cell.definition](
            str(self.job.files.export.parent),
            device="cpu",
            compute_type=LANES[self.job.cell.lane],
            inter_threads=1,
            intra_threads=self.job.cell.threads,
        )
        if (
            self.engine.compute_type != LANES[self.job.cell.lane]
        ):  # where the processor lacks it, it takes another
            raise base.UnsupportedError(
                "unsupported-lane", f"CTranslate2 computes in {self.engine.compute_type} on this processor"
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
        ids = ctranslate2.StorageView.from_array(input_ids.astype(np.int32))
        lengths = ctranslate2.StorageView.from_array(np.full(count, length, np.int32))
        return lambda: engine.forward_batch(ids, lengths, return_log_probs=False)

    def _transcription(
        self, features: np.ndarray, decoder_input_ids: np.ndarray
    ) -> Callable[[], list[list[ctranslate2.StorageView]]]:
        """Each sequence's logits (vocabulary,), one a decoder position.

        The decoder has no call for logits of several positions. It generates, forced to take the given
        tokens, step by step with its key-value cache: nothing is computed twice.
        """
        engine, prompts = self.engine, decoder_input_ids.tolist()
        mel = ctranslate2.StorageView.from_array(features)
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
            return {"output": np.stack([[np.array(logits) for logits in steps] for steps in result])}
        return {"output": np.array(result)}


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
