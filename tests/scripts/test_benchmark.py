"""The supervisor: however a measuring process ends, there is one readable result with the right reason."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

import jobs
import records
from arena import files, tensors
from arena.contract import codec
from arena.contract import round as rounds
from arena.contract.cell import Job, Reason
from arena.contract.measured import Measured, Task
from arena.contract.round import Limits, Order
from arena.measuring import machine

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = REPOSITORY / "workflow" / "scripts"


@pytest.fixture
def model(tmp_path):
    """The files that a cell reads: a classifier's inputs, and weights that nobody looks at."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(4, 3, 8, 8)).astype(np.float32)
    tensors.save(
        tmp_path / "inputs.safetensors",
        {"inference.images": images, "latency.images": images[:1], "target": np.arange(4)},
    )
    tensors.save(tmp_path / "model.safetensors", {"weight": np.ones(3, np.float32)})
    files.write_json(tmp_path / "config.json", {"definition": "resnet"})
    return tmp_path


def command(model, options, *more, timeout=60, memory_mb=0, first=None, **changes):
    """benchmark.py on the faulty framework: round 2 after ``first``, else round 1."""
    where = model / ("repeat" if first else "round")
    files = {"first": first} if first else {"gradients": where / "gradients.safetensors"}
    files |= {name: changes.pop(name) for name in ("export", "decode_export") if name in changes}
    cell = jobs.cell(model="Tiny", row="faulty", framework="faulty", options=options, **changes)
    paths = jobs.paths(model, where, adapter=jobs.ADAPTERS / "faulty.py", **files)
    more = ["--memory-limit", str(memory_mb), *more]
    return jobs.command(cell, paths, where / "process.log", *more, timeout=timeout, number=2 if first else 1)


def benchmark(model, options, *more, **changes):
    subprocess.run(command(model, options, *more, **changes), check=True, timeout=120)
    where = model / ("repeat" if changes.get("first") else "round")
    assert sorted(path.name for path in where.iterdir() if path.name.startswith(".")) == []  # no leftovers
    return rounds.read(where / "result.json"), tensors.load(where / "outputs.safetensors")


def test_a_clean_round_records_everything(model):
    result, outputs = benchmark(model, {"sleep_s": 0.01})
    assert result.status == "ok" and result.reason is None and result.cold is True
    assert result.tasks["inference"].status == "ok"
    samples = result.tasks["inference"].samples_ns
    assert len(samples) >= 5
    assert 10 <= np.median(samples) / 1e6 < 100  # it sleeps for 10 ms, and a busy machine wakes it later
    assert result.tasks["training"].status == "unsupported"
    assert result.tasks["training"].reason == Reason(code="no-training", detail="made of zeros")
    assert outputs["inference.output"].shape == (4, 16) and outputs["latency.output"].shape == (1, 16)
    assert result.loss == pytest.approx(np.log(16))  # zeros are a uniform distribution over 16 classes
    assert tensors.load(model / "round/gradients.safetensors") == {}
    assert (result.cell.threads, result.threads_reported) == (1, 1)
    assert result.version == "1.0" and result.packages["numpy"] == np.__version__
    assert result.footprint_bytes > 1_000_000
    assert result.machine.cpu and result.machine.usable_physical_cores >= 1
    assert 0 <= result.conditions.disturbance.steal <= 1
    assert result.memory.inference_peak_bytes > 0
    assert result.order == Order(seed=1, key=result.cell.order_key(1))


@pytest.mark.parametrize(
    ("fault", "code", "says", "limits"),
    [
        ("segfault", "crashed", "killed by SIGSEGV during inference", {}),
        ("null", "crashed", "killed by SIGSEGV during inference, in null of faulty.py", {}),
        ("hang", "timeout", "no end after 3 s", {"timeout": 3}),
        ("error", "error", "RuntimeError: no kernel image | for `this` device second line", {}),
        ("memory", "out-of-memory", "the limit is 600 MB", {"memory_mb": 600}),
        ("garbage", "bad-result", "unreadable result", {}),
        ("half", "bad-result", "", {}),
        ("exit-status", "bad-result", "exit status 3", {}),
    ],
)
def test_each_fault_gives_its_reason_and_valid_empty_files(model, fault, code, says, limits):
    result, outputs = benchmark(model, {"fault": fault.replace("-", "_")}, **limits)
    assert result.status == "failed"
    assert result.reason.code == code
    assert says in result.reason.detail
    assert outputs == {} and tensors.load(model / "round/gradients.safetensors") == {}
    assert result.loss is None
    assert (model / "cache").is_dir()


@pytest.mark.parametrize(("fault", "code"), [("segfault", "crashed"), ("error", "error")])
def test_a_fault_in_training_costs_training_only(model, fault, code):
    result, outputs = benchmark(model, {"fault": fault, "during": "training"})
    assert result.status == "ok"
    assert result.tasks["inference"].status == "ok" and len(outputs) == 2
    assert result.tasks["training"].status == "failed"
    assert result.tasks["training"].reason.code == code
    assert result.log_tail


def test_a_repeat_is_warm_and_is_skipped_where_round_one_failed(model):
    benchmark(model, {})
    marker = model / "cache" / "compiled"
    marker.write_text("by round 1")
    warm, _ = benchmark(model, {}, first=model / "round/result.json")
    assert warm.status == "ok" and warm.cold is False and warm.round == 2
    assert marker.exists()
    benchmark(model, {"fault": "error"})
    assert not marker.exists()  # round 1 starts cold
    skipped, outputs = benchmark(model, {}, first=model / "round/result.json")
    assert skipped.status == "failed" and skipped.reason.code == "skipped" and outputs == {}


TEXT = {
    "quality.input_ids": np.random.default_rng(4).integers(0, 4, size=(3, 1, 32)),
    "quality.target": np.random.default_rng(5).integers(0, 4, size=(3, 32)),
}


def predicting(model, number=1, **options):
    """benchmark.py on an adapter whose logits of n tokens are 0, 1/8, 2/8 … with a text to predict."""
    tensors.save(model / "inputs.safetensors", tensors.load(model / "inputs.safetensors") | TEXT)
    where, protocol = model / f"predicted-{number}", jobs.protocol(tasks=["inference"])
    first = {"first": model / "predicted-1" / "result.json"} if number > 1 else {}
    paths = jobs.paths(model, where, adapter=jobs.ADAPTERS / "conforming.py", **first)
    cell = jobs.cell(model="Tiny", predicts=True, protocol=protocol, options=options)
    subprocess.run(jobs.command(cell, paths, where / "process.log", number=number), check=True, timeout=120)
    return rounds.read(where / "result.json"), tensors.load(where / "outputs.safetensors")


def test_round_one_predicts_the_text_and_no_other_does(model):
    record, outputs = predicting(model)
    told = record.quality
    assert (told.status, told.tokens, list(record.tasks)) == ("ok", 96, ["inference"])
    logits = (np.arange(32 * 4) / 8).reshape(32, 4)  # of every window, whatever its tokens are
    exact = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    by_hand = np.concatenate([exact[np.arange(32), target] for target in TEXT["quality.target"]])
    np.testing.assert_allclose(outputs["quality.log_probability"], by_hand, rtol=1e-6)
    assert told.loss == pytest.approx(-by_hand.mean(), rel=1e-6)
    assert outputs["quality.likeliest"].tolist() == [3] * 96
    np.testing.assert_array_equal(outputs["quality.logits"], np.tile(logits[15::16], (3, 1)))
    repeat, outputs = predicting(model, number=2)
    assert repeat.status == "ok" and repeat.quality is None
    assert not [name for name in outputs if name.startswith("quality")]


def test_a_text_that_fails_costs_no_task(model):
    record, outputs = predicting(model, fault="text")
    assert (record.status, record.tasks["inference"].status) == ("ok", "ok")
    assert (record.quality.status, record.quality.reason.code) == ("failed", "error")
    assert record.quality.reason.detail == "RuntimeError: no other text than its own"
    assert record.log_tail and list(outputs) == ["inference.output"]


def test_a_task_that_the_framework_cannot_do_is_recorded_and_not_run(model):
    reason = Reason(code="no-training", detail="It runs inference only.")
    options = {"fault": "segfault", "during": "training"}
    result, _ = benchmark(model, options, unsupported_tasks={"training": reason})
    assert result.status == "ok" and result.cell.protocol.tasks == ["inference", "latency", "training"]
    assert result.tasks["training"] == Task(status="unsupported", reason=reason)
    assert result.tasks["latency"].status == "ok"


@pytest.mark.parametrize("status", ["unsupported", "failed"])
def test_an_export_that_was_not_made_is_the_cells_reason(model, status):
    reason = {"code": "export-failed", "detail": "no such tensor"}
    files.write_text(model / "model.bin", "")
    files.write_json(model / "model.bin.json", {"status": status, "reason": reason, "seconds": 1.0})
    result, outputs = benchmark(model, {"fault": "hang"}, export=model / "model.bin")
    if status == "failed":
        reason["detail"] += "; `make retry` exports again"
    assert (result.status, result.reason, outputs) == (status, Reason(**reason), {})


def test_weights_that_were_not_made_are_the_cells_reason(model):
    reason = {"code": "no-weights", "detail": "the hub has no such repository"}
    files.write_json(model / "config.json", {"failed": reason})
    result, outputs = benchmark(model, {"fault": "hang"})
    assert (result.status, result.reason, outputs) == ("failed", Reason(**reason), {})
    assert result.limits is None  # nothing was started


def test_the_limits_of_a_round_are_recorded(model):
    result, _ = benchmark(model, {}, "--raised", "timeout_s is 60", timeout=60, memory_mb=5000)
    assert result.limits == Limits(
        timeout_s=60.0, memory_mb=5000, memory_bytes=5_000_000_000, raised="timeout_s is 60"
    )


def test_an_export_for_generation_that_was_not_made_costs_generation_alone(model):
    reason = {"code": "no-kv-cache", "detail": "It has none."}
    files.write_text(model / "decode.bin", "")
    files.write_json(model / "decode.bin.json", {"status": "unsupported", "reason": reason})
    protocol = jobs.protocol(tasks=["inference", "decode"])
    result, _ = benchmark(model, {}, decode_export=model / "decode.bin", protocol=protocol)
    assert result.status == "ok"
    assert result.tasks["decode"] == Task(status="unsupported", reason=Reason(**reason))
    assert result.tasks["inference"].status == "ok"


def test_a_declared_unsupported_cell_runs_nothing(model):
    why = Reason(code="unsupported-model", detail="text only")
    result, _ = benchmark(model, {"fault": "hang"}, unsupported=why)
    assert result.status == "unsupported"
    assert result.reason == why


@pytest.mark.parametrize(
    ("forged", "says"),
    [
        ({"platform": "elsewhere"}, "result.json: platform: unknown"),
        ({"tasks": {"inference": {"status": "ok"}}}, "result.json: tasks.inference.reason: missing"),
        ({"load_s": float("nan")}, "result.json: load_s: expected a finite number, got nan"),
        ({"threads_reported": "2"}, "result.json: threads_reported: expected int, got str"),
        ({"memory": {}}, "result.json: memory.baseline_bytes: missing"),
        ({"tasks": []}, "result.json: tasks: expected object, got list"),
        ({"version": "\ud800"}, "result.json: version: expected text, got half a character"),
        ({"stage": "done"}, "tasks.inference: missing, though the process is done"),
        (
            {"tasks": {"inference": records.ok_task(warmup_ns=[5])}},
            "tasks.inference.warmup_ns[0]: 5 ns; expected",
        ),
    ],
)
def test_what_a_process_wrote_and_no_record_is_costs_its_own_cell(model, forged, says):
    """A framework may write anything into its result; the cell's identity is the supervisor's."""
    result, outputs = benchmark(model, {"fault": "forge", "forged": json.dumps(forged)})
    assert (result.status, result.reason.code, outputs) == ("failed", "bad-result", {})
    assert says in result.reason.detail
    assert (result.cell.platform, result.cell.row, result.round) == ("local", "faulty", 1)


@pytest.mark.parametrize(
    ("dtype", "size", "says"),
    [
        ("F8_E4M3", 1, "expected types that NumPy knows"),
        ("BF16", 2, "expected types that NumPy knows"),
        ("C64", 8, "outputs.safetensors: inference.output: expected floats or integers, got complex64"),
        ("BOOL", 1, "outputs.safetensors: inference.output: expected floats or integers, got bool"),
    ],
)
def test_tensors_of_which_nothing_can_be_compared_cost_their_own_cell(model, dtype, size, says):
    header = json.dumps({"inference.output": {"dtype": dtype, "shape": [1], "data_offsets": [0, size]}})
    result, outputs = benchmark(model, {"fault": "strange", "header": header, "size": size})
    assert (result.status, result.reason.code, outputs) == ("failed", "bad-result", {})
    assert says in result.reason.detail


@pytest.mark.parametrize("left", ["folder", "pipe", "link", "huge"])
def test_what_is_no_file_of_a_record_costs_its_own_cell(model, left):
    result, _ = benchmark(model, {"fault": "odd_file", "left": left})
    says = "larger than 64,000,000 bytes" if left == "huge" else "result.json: no file"
    assert result.reason.code == "bad-result" and says in result.reason.detail


@pytest.mark.parametrize("left", ["folder", "pipe", "link"])
def test_nor_are_outputs_that_are_no_file(model, left):
    """A pipe was waited for, with no end, and a link taken for the outputs."""
    odd = {"fault": "odd_file", "left": left, "file": "outputs.safetensors"}
    result, outputs = benchmark(model, odd | {"during": "latency"})
    assert (result.status, result.reason.code, outputs) == ("failed", "bad-result", {})
    assert "outputs.safetensors: no file" in result.reason.detail


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("{", "benchmark.py: not readable JSON"),
        ("{}", "benchmark.py: platform: missing"),
        ("no-such-file.json", "No such file or directory: 'no-such-file.json'"),
    ],
)
def test_a_cell_that_is_none_is_refused(model, argument, says):
    words = command(model, {})
    words[words.index("--cell") + 1] = argument
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and says in done.stderr and "Traceback" not in done.stderr


def test_a_kept_job_and_a_cell_in_a_file_measure_the_same(model):
    """What the documentation tells people who measure by hand."""
    words = command(model, {"sleep_s": 0.01}, "--keep-job", str(model / "job.json"))
    (model / "cell.json").write_text(words[words.index("--cell") + 1])
    words[words.index("--cell") + 1] = str(model / "cell.json")
    subprocess.run(words, check=True, timeout=120)
    job = codec.read(Job, model / "job.json")
    assert job.cell == rounds.read(model / "round/result.json").cell
    by_hand = replace(job, files=replace(job.files, result=model / "by-hand.json", outputs=model / "o"))
    codec.write(model / "job.json", replace(by_hand, files=replace(by_hand.files, gradients=None)))
    script = Path(jobs.SCRIPT).with_name("measure.py")
    subprocess.run([sys.executable, script, "--job", model / "job.json"], check=True, timeout=120)
    assert codec.read(Measured, model / "by-hand.json").tasks["inference"].status == "ok"


def test_stopping_the_supervisor_stops_the_child_and_leaves_no_result(model):
    process = subprocess.Popen(command(model, {"fault": "hang"}))
    deadline = time.monotonic() + 30
    while not psutil.Process(process.pid).children() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    children = psutil.Process(process.pid).children()
    assert children
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) != 0
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    assert not (model / "round/result.json").exists()


@pytest.mark.linux
def test_usable_threads_never_exceed_what_affinity_allows():
    assert machine.usable_threads(1) == 1
    assert machine.usable_threads(10_000) <= len(os.sched_getaffinity(0))
    only = min(os.sched_getaffinity(0))
    code = "from arena.measuring import machine; print(machine.usable_threads(64))"
    answer = subprocess.run(
        ["taskset", "-c", str(only), sys.executable, "-c", code],
        capture_output=True, text=True, check=True, cwd=SCRIPTS,
    )  # fmt: skip
    assert answer.stdout.strip() == "1"


@pytest.mark.linux
def test_the_memory_peak_counts_from_its_reset():
    code = (
        "import numpy as np; from arena.measuring import machine\n"
        "big = np.ones(40_000_000); del big; machine.reset_peak(); base = machine.resident_bytes()\n"
        "held = np.ones(10_000_000); print(machine.peak_bytes() - base)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SCRIPTS
    )
    assert 75e6 < int(answer.stdout) < 100e6  # the 80 MB since the reset, not the 320 MB before it
