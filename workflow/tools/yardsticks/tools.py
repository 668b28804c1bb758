"""The pairs of docs/fidelity.md: each engine's own tool, and how to ask it for durations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arena import files
from yardsticks import llama_bench

HERE = Path(__file__).resolve().parent
LLAMA_BENCH_REPETITIONS = 20
IREE_REPETITIONS = 20


@dataclass(frozen=True)
class Setting:
    """What all pairs have in common."""

    results: Path
    model: str
    threads: int
    seconds: float  # for which either side samples at least
    environments: dict[str, Path]  # interpreter by name of environment
    cache: Path
    accelerator: str = "cpu"
    llama_bench: Path | None = None  # a program that is there, instead of one built in ``cache``

    def of_model(self, name: str) -> Path:
        return self.results / "models" / self.model / name

    def export(self, pair: Pair) -> Path | None:
        return self.results / "exports" / self.model / pair.export if pair.export else None


@dataclass(frozen=True)
class Pair:
    """One engine measured by the arena and by ``tool``."""

    row: str
    tool: str
    work: str
    export: str | None  # below exports/{model}/
    tasks: tuple[str, ...]
    durations: tuple[str, str]  # (task, list of nanoseconds in its record)
    theirs: Callable[[Setting, Path, Path | None], list[float]]  # (.., interpreter, export) -> nanoseconds
    options: dict[str, Any] = field(default_factory=dict)  # beside the row's own: the same work
    accelerators: tuple[str, ...] = ("cpu", "cuda")


def output_of(command: list[str | Path], environment: dict[str, str] | None = None) -> str:
    """What a command prints, started with ``environment`` besides; ends this program with what it said if it fails."""
    own = os.environ | (environment or {})
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=own)
    if done.returncode:
        sys.exit(
            f"{command[0]} ended with status {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return done.stdout


def input_shapes(setting: Setting, task: str) -> dict[str, list[int]]:
    """Shapes of a task's inputs by name."""
    return {name: entry["shape"] for name, entry in input_entries(setting, task).items()}


def input_entries(setting: Setting, task: str) -> dict[str, dict[str, Any]]:
    """``shape`` and ``dtype`` (I64, F32) of a task's inputs by name, from the header of the safetensors file.

    Read here, because the runner's environment has no safetensors. Format: 8 bytes, the header's length
    (little-endian), then the header, JSON.
    """
    with open(setting.of_model("inputs.safetensors"), "rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    prefix = f"{task}."
    return {name.removeprefix(prefix): entry for name, entry in header.items() if name.startswith(prefix)}


def with_llama_bench(setting: Setting, python: Path, gguf: Path) -> list[float]:
    settings = {
        "--model": gguf,
        "--n-prompt": input_shapes(setting, "decode")["input_ids"][1],
        "--n-gen": 0,
        "--threads": setting.threads,
        "--repetitions": LLAMA_BENCH_REPETITIONS,
        "--flash-attn": 0,
        "--n-gpu-layers": 0 if setting.accelerator == "cpu" else 99,
        "--output": "json",
    }
    words = [str(word) for pair in settings.items() for word in pair]
    program = setting.llama_bench or llama_bench.build(python, setting.cache)
    strict = {"NVIDIA_TF32_OVERRIDE": "0"}  # the row's: ggml asks cuBLAS for TF32, and has no switch
    (record,) = json.loads(output_of([program, *words], strict))
    return record["samples_ns"]


def with_benchmark_app(setting: Setting, python: Path, graph: Path) -> list[float]:
    """The tool tells no single durations, only their median, in hundredths of a millisecond."""
    shapes = input_shapes(setting, "inference").items()
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "-m": graph,
            "-shape": ",".join(f"{name}[{','.join(map(str, shape))}]" for name, shape in shapes),
            "-hint": "none",
            "-api": "sync",
            "-nstreams": 1,
            "-nthreads": setting.threads,
            "-infer_precision": "f32",
            "-t": max(1, round(setting.seconds)),
            "-report_type": "no_counters",
            "-report_folder": folder,
        }
        words = [str(word) for pair in settings.items() for word in pair]
        output_of([python.with_name("benchmark_app"), *words, "-json_stats"])
        report = files.read_json(Path(folder, "benchmark_report.json"))
    return [float(report["execution_results"]["latency (ms)"]) * 1e6]


def with_iree_benchmark_module(setting: Setting, python: Path, graph: Path) -> list[float]:
    """The tool gets zeros of the inputs' sizes, and tells the milliseconds of each repetition of one call."""
    inputs = [
        f"--input={'x'.join(map(str, entry['shape']))}x{entry['dtype'].lower()}=0"
        for entry in input_entries(setting, "inference").values()
    ]
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "inference.vmfb")
        words = [
            "--iree-hal-target-backends=llvm-cpu",
            "--iree-llvmcpu-target-cpu=host",
            "--iree-opt-level=O3",
        ]
        output_of([python.with_name("iree-compile"), graph, "-o", program, *words])
        settings = {
            "--module": program,
            "--parameters": f"model={graph.with_name('model.irpa')}",
            "--function": "main_graph",
            "--device": "local-task",
            "--task_topology_group_count": setting.threads,
            "--benchmark_min_warmup_time": setting.seconds,
            "--benchmark_min_time": "1x",
            "--benchmark_repetitions": IREE_REPETITIONS,
            "--benchmark_format": "json",
        }
        words = [f"{name}={value}" for name, value in settings.items()]
        said = output_of([python.with_name("iree-benchmark-module"), *words, *inputs])
    repetitions = [each for each in json.loads(said)["benchmarks"] if each["run_type"] == "iteration"]
    return [each["real_time"] * 1e6 for each in repetitions]


def with_litert_benchmark(setting: Setting, python: Path, model: Path) -> list[float]:
    return with_script(setting, python, "litert_tool.py", {"--model": model})


def with_session_loop(setting: Setting, python: Path, graph: Path) -> list[float]:
    return with_script(setting, python, "onnxruntime_loop.py", {"--graph": graph})


def with_executorch_loop(setting: Setting, python: Path, program: Path) -> list[float]:
    return with_script(setting, python, "executorch_loop.py", {"--program": program})


def with_web_loop(setting: Setting, python: Path, graph: Path) -> list[float]:
    packages = setting.results / "engines" / "local" / "onnxruntime-web" / "files" / "arena-onnxruntime-web"
    return with_script(setting, python, "onnxruntime_web_loop.py", {"--graph": graph, "--packages": packages})


def with_jax_loop(setting: Setting, python: Path, parameters: Path) -> list[float]:
    paths = {"--weights": parameters, "--config": setting.of_model("config.json")}
    return with_script(setting, python, "jax_loop.py", paths)


def with_mlx_loop(setting: Setting, python: Path, _: None) -> list[float]:
    names = {"--weights": "model.safetensors", "--config": "config.json"}
    paths = {option: setting.of_model(name) for option, name in names.items()}
    return with_script(setting, python, "mlx_loop.py", paths)


def with_torch_timer(setting: Setting, python: Path, _: None) -> list[float]:
    names = {"--weights": "model.safetensors", "--config": "config.json"}
    paths = {option: setting.of_model(name) for option, name in names.items()}
    return with_script(setting, python, "torch_timer.py", paths)


def with_script(setting: Setting, python: Path, script: str, options: dict[str, Path]) -> list[float]:
    """The durations that a script of yardsticks/ prints."""
    common = {
        "--inputs": setting.of_model("inputs.safetensors"),
        "--threads": setting.threads,
        "--seconds": setting.seconds,
        "--accelerator": setting.accelerator,
    }
    words = [str(word) for pair in (options | common).items() for word in pair]
    return json.loads(output_of([python, HERE / script, *words]))


PREFILL = ("decode", "first_token_ns")
FORWARD = ("inference", "samples_ns")
PAIRS = {
    pair.row: pair
    for pair in (
        Pair(
            "llamacpp",
            "llama-bench",
            "prefill, logits of the last position",
            "gguf/model-float32.gguf",
            ("inference", "decode"),
            PREFILL,
            with_llama_bench,
            {"cache": "F16"},  # llama-bench has no word for F32
        ),
        Pair(
            "openvino",
            "benchmark_app",
            "forward pass",
            "openvino/model-float32.xml",
            ("inference",),
            FORWARD,
            with_benchmark_app,
            accelerators=("cpu",),
        ),
        Pair(
            "onnxruntime",
            "loop around session.run",
            "forward pass",
            "onnx/model.onnx",
            ("inference",),
            FORWARD,
            with_session_loop,
        ),
        Pair(
            "onnxruntime-web",
            "loop around session.run",
            "forward pass",
            "onnx/model.onnx",
            ("inference",),
            FORWARD,
            with_web_loop,
            accelerators=("cpu",),
        ),
        Pair(
            "pytorch-eager",
            "torch.utils.benchmark",
            "forward pass",
            None,
            ("inference",),
            FORWARD,
            with_torch_timer,
        ),
        Pair(
            "iree",
            "iree-benchmark-module",
            "forward pass",
            "iree/inference.mlir",
            ("inference",),
            FORWARD,
            with_iree_benchmark_module,
            accelerators=("cpu",),
        ),
        Pair(
            "executorch",
            "loop around method.execute",
            "forward pass",
            "executorch/model-float32.pte",
            ("inference",),
            FORWARD,
            with_executorch_loop,
            accelerators=("cpu",),
        ),
        Pair(
            "jax",
            "loop with block_until_ready",
            "forward pass",
            "jax/params.safetensors",
            ("inference",),
            FORWARD,
            with_jax_loop,
            accelerators=("cuda",),
        ),
        Pair(
            "litert",
            "litert-benchmark",
            "forward pass",
            "litert/model.tflite",
            ("inference",),
            FORWARD,
            with_litert_benchmark,
            accelerators=("cpu",),
        ),
        Pair(
            "mlx",
            "loop with mx.eval",
            "forward pass",
            None,
            ("inference",),
            FORWARD,
            with_mlx_loop,
            accelerators=("cuda",),
        ),
    )
}
