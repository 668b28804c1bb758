"""LiteRT: a converted model's signatures by its CompiledModel, whose CPU accelerator is XNNPACK."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.hardware_accelerator import HardwareAccelerator
from ai_edge_litert.options import CpuOptions, Options
from ai_edge_litert.tensor_buffer import TensorBuffer

from frameworks import base

CACHE = "cache_"  # with which the names of the cache's inputs begin
LOGITS = "logits"
Output = tuple[TensorBuffer, list[int]]  # with its shape


class Adapter(base.Adapter):
    """One compiled model has a signature for each task; inputs and output stay in buffers of the engine."""

    def __init__(self, job: base.Job):
        super().__init__(job)
        self.options = Options(HardwareAccelerator.CPU, CpuOptions(num_threads=job.cell.threads))

    def describe(self) -> dict[str, Any]:
        return {
            "version": importlib.metadata.version("ai-edge-litert"),
            "backend": "XNNPACK",
            "device": "cpu",
            "threads": None,  # the engine does not tell
        }

    def load(self) -> None:
        self.model = CompiledModel.from_file(str(self.job.files.export), options=self.options)

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        inputs = self.job.task_inputs(task)
        if task == "decode":
            return self._generation(inputs["input_ids"])
        model, given = self.model, _outputs(self.model, task)
        taken = {name: _filled(model, task, name, array) for name, array in inputs.items()}
        ((name, output),) = given.items()
        shape = model.get_output_tensor_details(task)[name]["shape"]

        def infer() -> Output:
            model.run_by_name(task, taken, given)
            return output, shape

        return infer

    def _generation(self, prompt: np.ndarray) -> Callable[[], base.Generation]:
        """Greedy generation: the cache that one step gives is the next one's, in two sets of buffers by turns."""
        model = CompiledModel.from_file(str(self.job.files.decode_export), options=self.options)
        count, length = self.job.cell.decode_tokens, prompt.shape[1]
        details = model.get_input_tensor_details("decode")
        places = [name for name in details if name.startswith(CACHE)]
        positions = int(details[places[0]]["shape"][2])
        if length + count - 1 > positions:
            raise ValueError(
                f"{self.job.files.decode_export}: a prompt of {length} and {count} tokens do not fit in its cache of "
                f"{positions}; see frameworks/litert/export_decode.py"
            )
        zeros = {name: np.zeros(details[name]["shape"], np.float32) for name in places}
        caches = [{name: _filled(model, "decode", name, zeros[name]) for name in places} for _ in range(2)]
        # An output has the name of the input that takes it, without the argument's.
        outputs = [{name.removeprefix(CACHE): buffer for name, buffer in cache.items()} for cache in caches]
        logits = model.create_output_buffer_by_name("decode", LOGITS)
        vocabulary = int(model.get_output_tensor_details("decode")[LOGITS]["shape"][-1])
        ids = _filled(model, "prefill", "input_ids", prompt)
        its_positions = _filled(model, "prefill", "positions", np.arange(length))
        token = model.create_input_buffer_by_name("decode", "input_ids")
        position = model.create_input_buffer_by_name("decode", "positions")
        whole = {"input_ids": ids, "positions": its_positions}
        single = {"input_ids": token, "positions": position}

        def next_token(signature: str, arguments: Mapping[str, TensorBuffer], turn: int) -> int:
            given = outputs[1 - turn] | {LOGITS: logits}
            model.run_by_name(signature, arguments | caches[turn], given)
            return int(logits.read(vocabulary, np.float32).argmax())

        def generate() -> base.Generation:
            begin = time.perf_counter_ns()
            tokens = [next_token("prefill", whole, 0)]
            first_token_ns = time.perf_counter_ns() - begin
            for step in range(1, count):
                token.write(np.array([[tokens[-1]]], np.int32))
                position.write(np.array([length + step - 1], np.int32))
                tokens.append(next_token("decode", single, step % 2))
            return base.Generation(tokens, first_token_ns)

        return generate

    def fetch(self, task: base.Task, result: Any) -> dict[str, np.ndarray]:
        if task == "decode":
            return {"tokens": np.array(result.tokens, np.int64)}
        buffer, shape = result
        return {"output": buffer.read(int(np.prod(shape)), np.float32).reshape(shape)}


def _filled(model: CompiledModel, signature: str, name: str, array: np.ndarray) -> TensorBuffer:
    """An input's buffer with ``array`` in it; integers are int32, as the conversion has them."""
    buffer = model.create_input_buffer_by_name(signature, name)
    buffer.write(array.astype(np.int32) if array.dtype == np.int64 else array)
    return buffer


def _outputs(model: CompiledModel, signature: str) -> dict[str, TensorBuffer]:
    names = model.get_signature_list()[signature]["outputs"]
    return {name: model.create_output_buffer_by_name(signature, name) for name in names}
