"""The comparison with the engines' own tools: who runs when, what the table says, whose interpreter."""

import json
from dataclasses import replace

import pytest

import fidelity
from arena.configuration.loader import resolve
from yardsticks import tools
from yardsticks.tools import PAIRS, Setting

ROW = "pytorch-eager"


def setting(tmp_path, **environments):
    return Setting(tmp_path / "results", "SmolLM2-135M", 1, 0.1, environments, tmp_path / "cache")


def test_every_pair_is_a_float32_row_of_the_catalogue():
    frameworks = resolve({"run": {"rows": "all"}}, fidelity.ROOT)["frameworks"]
    assert {fidelity.find_row(frameworks, row)[1] for row in PAIRS} == {"float32"}


def test_on_a_card_a_row_runs_in_the_environment_for_it():
    catalogue = resolve({"run": {"rows": "all"}}, fidelity.ROOT)["frameworks"]
    found = {
        row: fidelity.environment_of(catalogue, row, "cuda")
        for row, pair in PAIRS.items()
        if "cuda" in pair.accelerators
    }
    assert found == {
        "llamacpp": "llamacpp-cuda",
        "onnxruntime": "onnxruntime-cuda",
        "pytorch-eager": "pytorch",
        "jax": "jax-cuda",
        "mlx": "mlx-cuda",
    }
    with pytest.raises(SystemExit, match="openvino does not compute on cuda"):
        fidelity.environment_of(catalogue, "openvino", "cuda")


def test_llama_bench_is_told_the_card_and_the_strict_arithmetic(tmp_path, monkeypatch):
    asked = {}

    def output_of(command, environment=None):
        asked.update(command=command, environment=environment)
        return '[{"samples_ns": [3]}]'

    monkeypatch.setattr(tools, "output_of", output_of)
    monkeypatch.setattr(tools, "input_shapes", lambda *_: {"input_ids": [1, 128]})
    card = replace(setting(tmp_path), accelerator="cuda", llama_bench=tmp_path / "llama-bench")
    assert tools.with_llama_bench(card, tmp_path / "python", tmp_path / "model.gguf") == [3]
    words = asked["command"]
    assert words[0] == tmp_path / "llama-bench"
    assert words[words.index("--n-gpu-layers") + 1] == "99"
    assert asked["environment"] == {"NVIDIA_TF32_OVERRIDE": "0"}


def test_iree_benchmark_module_is_told_the_sizes_and_the_threads(tmp_path, monkeypatch):
    asked = []
    said = {
        "benchmarks": [
            {"run_type": "iteration", "real_time": 2.5},
            {"run_type": "iteration", "real_time": 2.0},
            {"run_type": "aggregate", "real_time": 2.25},
        ]
    }

    def output_of(command):
        asked.append(command)
        return json.dumps(said)

    monkeypatch.setattr(tools, "output_of", output_of)
    inputs = {"actions": {"shape": [1, 10, 32], "dtype": "F32"}, "ids": {"shape": [1, 4], "dtype": "I64"}}
    monkeypatch.setattr(tools, "input_entries", lambda *_: inputs)
    graph = tmp_path / "inference.mlir"
    assert tools.with_iree_benchmark_module(setting(tmp_path), tmp_path / "python", graph) == [2.5e6, 2.0e6]
    compiled, timed = asked
    assert compiled[:2] == [tmp_path / "iree-compile", graph]
    assert timed[0] == tmp_path / "iree-benchmark-module"
    assert f"--module={compiled[3]}" in timed
    assert f"--parameters=model={tmp_path / 'model.irpa'}" in timed
    assert "--task_topology_group_count=1" in timed
    assert timed[-2:] == ["--input=1x10x32xf32=0", "--input=1x4xi64=0"]


def test_an_engine_is_driven_by_the_program_that_a_run_built(tmp_path):
    catalogue = resolve({}, fidelity.ROOT)["frameworks"]
    folder = tmp_path / "engines" / "local" / "onnxruntime-web"
    with pytest.raises(
        SystemExit, match="onnxruntime-web has no program; run the workflow with a row of ONNX"
    ):
        fidelity.room(catalogue["onnxruntime-web"], tmp_path)
    folder.mkdir(parents=True)
    (folder / "build.json").touch()
    paths = {"program": folder / "program", "build": folder / "build.json"}
    assert fidelity.room(catalogue["onnxruntime-web"], tmp_path) == paths
    assert fidelity.room(catalogue["jax"], tmp_path) == {
        "adapter": fidelity.ROOT / "workflow/scripts/frameworks/jax/adapter.py"
    }


def test_the_sides_take_turns_in_going_first(tmp_path, monkeypatch):
    ran = []

    def side(name, nanoseconds):
        ran.append(name)
        return [nanoseconds, nanoseconds]

    monkeypatch.setattr(fidelity, "ours", lambda *_: side("ours", 2e6))
    pair = fidelity.Pair(ROW, "a tool", "work", None, (), ("", ""), lambda *_: side("theirs", 1e6))
    samples = fidelity.measure([pair], setting(tmp_path, pytorch="python"), rounds=3)
    assert ran == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert samples == {ROW: {"ours": [[2e6, 2e6]] * 3, "theirs": [[1e6, 1e6]] * 3}}


@pytest.mark.parametrize(
    ("ours", "ratio", "within"),
    [(10.4, "1.040", "yes"), (10.6, "1.060", "no"), (9.6, "0.960", "yes"), (9.4, "0.940", "no")],
)
def test_the_table_says_whether_a_ratio_wants_an_explanation(ours, ratio, within):
    samples = {ROW: {"ours": [[ours * 1e6] * 3] * 3, "theirs": [[10e6] * 3] * 3}}
    row = fidelity.table([PAIRS[ROW]], samples).splitlines()[2]
    assert row == (
        f"| `{ROW}` | forward pass | {ours:.2f} | 10.00 | torch.utils.benchmark "
        f"| {ratio} ({ratio} to {ratio}) | {within} |"
    )


def test_the_interpreter_is_that_of_the_environment_made_of_the_same_file(tmp_path):
    file = fidelity.ROOT / "envs" / "pytorch.yaml"
    for name, content in {"old_": b"another file", "new_": file.read_bytes()}.items():
        (tmp_path / f"{name}.yaml").write_bytes(content)
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "python").touch()
    assert fidelity.environments({"pytorch"}, tmp_path) == {"pytorch": tmp_path / "new_/bin/python"}
    with pytest.raises(SystemExit, match=r"no environment made of envs/onnxruntime\.yaml"):
        fidelity.environments({"onnxruntime"}, tmp_path)
