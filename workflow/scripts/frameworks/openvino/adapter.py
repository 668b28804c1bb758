"""OpenVINO on its own format, converted from the ONNX export: latency hint, fixed shapes, model cache."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import openvino as ov
import openvino.properties as props
import openvino.properties.hint as hints

from frameworks import base

DEVICES = {"cpu": "CPU", "xpu": "GPU"}
#: What each lane sets. Left alone, processors with AMX or AVX512-BF16 would compute in bfloat16, and a fused
#: attention would keep its keys and values in 8 bits. int8 has 8-bit weights in the converted graph; with weights
#: alone the engine, left alone, rounds the activations of matrix products as they come (dynamic quantisation), and
#: in the graph of the full quantisation it finds their ranges.
LANES = {
    "float32": {
        hints.inference_precision(): ov.Type.f32,
        hints.execution_mode(): hints.ExecutionMode.ACCURACY,
        hints.kv_cache_precision(): ov.Type.f32,
    },
    "int8": {hints.inference_precision(): ov.Type.f32},
}


class Adapter(base.Adapter):
    """Each task compiles the graph for its own shapes; decode's keeps its cache inside the engine."""

    def __init__(self, job: base.Job):
        super().__init__(job)
        if importlib.util.find_spec("openvino_telemetry"):
            raise RuntimeError(
                "openvino-telemetry is installed here, which reports every import over the network: "
                "build the environment anew from envs/openvino.yaml, or uninstall it"
            )
        self.core = ov.Core()
        self.device = DEVICES.get(job.cell.accelerator)
        found = self.core.available_devices
        if not any(name.split(".")[0] == self.device for name in found):  # GPU.0, GPU.1 where there are two
            raise base.UnsupportedError(
                "no-device", f"OpenVINO has no {job.cell.accelerator} device here (it has {', '.join(found)})"
            )
        self.settings = LANES[job.cell.lane] | {
            hints.performance_mode(): hints.PerformanceMode.LATENCY,
            props.num_streams(): 1,
            props.cache_dir(): str(job.files.cache / "openvino"),
        }
        if self.device == "CPU":
            self.settings[props.inference_num_threads()] = job.cell.threads
        self.threads: int | None = None
        self.request: ov.InferRequest | None = None  # compiled for inference

    def describe(self) -> dict[str, Any]:
        return {
            "version": ov.__version__.split("-")[0],  # without the build's number
            "backend": self.device,
            "device": self.core.get_property(self.device, props.device.full_name()),
            "threads": self.threads,
        }

    def load(self) -> None:
        self.model = self.core.read_model(self.job.files.export)

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        inputs = self.job.task_inputs(task)
        if task == "decode":
            return self._generation(inputs["input_ids"])
        model = self.model.clone()
        model.reshape({name: list(array.shape) for name, array in inputs.items()})
        request = self._compile(model)
        if task == "inference":
            self.request = request
        return self._inference(request, inputs)

    def forward(self, inputs: dict[str, np.ndarray]) -> ov.Tensor:
        return self._inference(self.request, inputs)()

    @staticmethod
    def _inference(request: ov.InferRequest, inputs: dict[str, np.ndarray]) -> Callable[[], ov.Tensor]:
        for name, array in inputs.items():
            request.set_tensor(name, ov.Tensor(array))
        output = request.get_output_tensor()

        def infer() -> ov.Tensor:
            request.infer(share_outputs=True)  # otherwise it copies them
            return output

        return infer

    def _generation(self, input_ids: np.ndarray) -> Callable[[], base.Generation]:
        if self.job.files.decode_export is None:
            raise base.UnsupportedError(
                "no-kv-cache", "The export with activations in int8 has no graph with a key-value cache."
            )
        request = self._compile(self.core.read_model(self.job.files.decode_export))
        prompt, token = ov.Tensor(input_ids), ov.Tensor(np.zeros((1, 1), np.int64))
        count = self.job.cell.decode_tokens

        def next_token(ids: ov.Tensor) -> int:
            request.set_input_tensor(ids)
            request.infer(share_outputs=True)
            return int(request.get_output_tensor().data.argmax())

        def generate() -> base.Generation:
            begin = time.perf_counter_ns()
            request.reset_state()
            tokens = [next_token(prompt)]
            first_token_ns = time.perf_counter_ns() - begin
            while len(tokens) < count:
                token.data[...] = tokens[-1]
                tokens.append(next_token(token))
            return base.Generation(tokens, first_token_ns)

        return generate

    def _compile(self, model: ov.Model) -> ov.InferRequest:
        compiled = self.core.compile_model(model, self.device, self.settings)
        if self.device == "CPU":
            self.threads = compiled.get_property(props.inference_num_threads())
        return compiled.create_infer_request()

    def fetch(self, task: base.Task, result: Any) -> dict[str, np.ndarray]:
        if task == "decode":
            return {"tokens": np.array(result.tokens, np.int64)}
        return {"output": np.array(result.data)}
