"""TensorFlow: each step a tf.function that XLA compiles (``jit_compile=True``); trains with tf.GradientTape."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from arena import tensors
from arena.weights import seeded
from frameworks import base
from frameworks.tensorflow.models import layout
from frameworks.tensorflow.models.losses import LOSSES

LANES = {"float32": tf.float32, "bfloat16": tf.bfloat16}  # what a lane's weights and activations are


class Adapter(base.Adapter):
    """Weights are variables, as a model of TensorFlow's holds them: XLA is given them, and folds none of them in."""

    def __init__(self, job: base.Job):
        super().__init__(job)
        self.dtype = LANES[job.cell.lane]
        # Both before TensorFlow starts its pools.
        tf.config.threading.set_intra_op_parallelism_threads(job.cell.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)  # one compiled program is one operation
        self.config = job.architecture()
        self.model = importlib.import_module(f"frameworks.tensorflow.models.{job.cell.definition}")
        self.specs = importlib.import_module(f"models.spec.{job.cell.definition}").tensors(self.config)
        self.params: dict[str, tf.Variable] | None = None
        self.compiled: Any = None  # the function that the latest task runs
        self.inferring: Any = None  # that of inference

    def describe(self) -> dict[str, Any]:
        return {
            "version": tf.__version__,
            "backend": "XLA CPU",
            "device": "cpu",
            "threads": _pool_threads(),
        }

    def load(self) -> None:
        weights = tensors.load(self.job.files.weights)
        where = f"{self.job.files.weights} for definition {self.job.cell.definition}"
        tensors.check_names(set(weights), set(self.specs), where)
        self.weights = {name: layout.to_tensorflow(name, array) for name, array in weights.items()}

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        if self.params is None:
            trained = seeded.trained(self.specs)
            self.params = {
                name: tf.Variable(tf.constant(array, self.dtype), trainable=name in trained)
                for name, array in self.weights.items()
            }
            del self.weights  # the variables have them now
        inputs = {name: self._tensor(array) for name, array in self.job.task_inputs(task).items()}
        if task == "decode":
            return self._generation(inputs["input_ids"])
        if task == "training":
            step = self.compiled = tf.function(self._train, jit_compile=True)
            target = self._tensor(self.job.target(), tf.float32)
            return lambda: step(target, **inputs)
        step = self.compiled = tf.function(self._forward, jit_compile=True)
        if task == "inference":
            self.inferring = step
        return lambda: step(**inputs)

    def forward(self, inputs: dict[str, np.ndarray]) -> tf.Tensor:
        return self.inferring(**{name: self._tensor(array) for name, array in inputs.items()})

    def _forward(self, **inputs: tf.Tensor) -> tf.Tensor:
        return self.model.forward(self.params, self.config, **inputs)

    def _train(self, target: tf.Tensor, **inputs: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        trained = {name: variable for name, variable in self.params.items() if variable.trainable}
        with tf.GradientTape() as tape:
            loss = LOSSES[self.job.cell.loss](self._forward(**inputs), target)
        gradients = tape.gradient(loss, trained)
        # That of a table that is only looked up comes as the rows that were.
        return loss, {name: tf.convert_to_tensor(gradient) for name, gradient in gradients.items()}

    def _generation(self, prompt: tf.Tensor) -> Callable[[], base.Generation]:
        if not hasattr(self.model, "step"):
            raise base.UnsupportedError("no-kv-cache", f"{self.job.cell.definition} has no cached step here")
        count, start = self.job.cell.decode_tokens, prompt.shape[1]
        caches = self.model.caches_for(self.config, start + count, self.dtype)

        @tf.function(jit_compile=True)
        def prefill(tokens: tf.Tensor) -> tf.Tensor:
            logits = self.model.prefill(self.params, self.config, tokens, caches)
            return tf.argmax(logits, axis=-1, output_type=tf.int32)[:, None]

        @tf.function(jit_compile=True)
        def step(token: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
            logits = self.model.step(self.params, self.config, token, position, caches)
            return tf.argmax(logits, axis=-1, output_type=tf.int32)[:, None]

        self.compiled = step
        positions = [tf.constant(position) for position in range(start, start + count - 1)]

        def generate() -> base.Generation:
            begin = time.perf_counter_ns()
            token = prefill(prompt)
            tokens = [token.numpy()]
            first_token_ns = time.perf_counter_ns() - begin
            for position in positions:
                token = step(token, position)
                tokens.append(token.numpy())
            return base.Generation(tokens, first_token_ns)

        return generate

    def verify(self, task: base.Task) -> None:
        if not self.compiled.experimental_get_tracing_count():
            raise base.FailedError("not-compiled", "tf.function traced nothing, so that all ran eagerly")

    def fetch(self, task: base.Task, result: Any) -> dict[str, np.ndarray]:
        if task == "decode":
            return {"tokens": np.concatenate(result.tokens, axis=1, dtype=np.int64)[0]}
        if task != "training":
            return {"output": result.numpy().astype(np.float32)}
        loss, gradients = result
        fetched = {"loss": loss.numpy()}
        for name, gradient in gradients.items():
            array = gradient.numpy().astype(np.float32)
            fetched[f"gradient.{name}"] = layout.from_tensorflow(name, array)
        return fetched

    def _tensor(self, array: np.ndarray, floating: tf.DType | None = None) -> tf.Tensor:
        """``array`` as a tensor: ids and labels as int32, all else as ``floating``, by default the lane's type."""
        return tf.constant(array, tf.int32 if array.dtype == np.int64 else floating or self.dtype)


def _pool_threads() -> int | None:
    """Threads of the pool on which compiled programs compute, counted here; None where there is no /proc or no pool."""
    names = [path.read_text(encoding="utf-8").strip() for path in Path("/proc/self/task").glob("*/comm")]
    return names.count("tf_XLAEigen") or None
