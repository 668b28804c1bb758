"""The engines do as Python does: one scripted clock drives both, and one cell is measured by both.

Each language in which there are engines has a program for it, of the code that they share.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace

import jsonschema
import numpy as np
import pytest

import driver
import jobs
import node
from arena import storage, tensors
from arena.contract import codec
from arena.contract.cell import Job, Sampling, Warmup
from arena.contract.measured import Measured
from arena.measuring.protocol import measure
from checkout import BUILDERS
from runner import REPOSITORY
from small_disk import small_disk

SECOND = 10**9
PROTOCOL = jobs.protocol(
    warmup=Warmup(min_iterations=3, min_seconds=0.5, max_seconds=5.0, window=5, tolerance=0.05),
    sampling=Sampling(min_iterations=10, min_seconds=1.0, max_seconds=10.0),
)
TASKS = ["inference", "latency", "decode", "training"]
SCRIPT = REPOSITORY / "workflow" / "scripts" / "measure.py"
ENGINES = REPOSITORY / "workflow" / "engines"
SCHEMA = json.loads(
    (REPOSITORY / "workflow" / "schemas" / "measured.schema.json").read_text(encoding="utf-8")
)
# What differs between two processes that did the same; whether it is known does not.
BY_THE_CLOCK = {
    "compile_s",
    "load_s",
    "first_output_monotonic_s",
    "warmup_ns",
    "samples_ns",
    "first_token_ns",
}
BY_THE_CLOCK |= {"steady", "baseline_bytes", *(f"{task}_peak_bytes" for task in TASKS)}
SCRIPTS = {
    "steady": [0.1],
    "fast": [0.0007],
    "slow": [2.5],
    "slower than any limit": [30.0],
    "slow, and slower at first": [50.0, 9.0, 8.8, 8.7],
    "slow, and never settles": [9.0, 9.6, 9.0, 9.6, 9.0],
    "never settles": [1.0, 1.2] * 40,
    "settles late": [2.0, 1.5, 1.2, 1.1, 1.05, 1.02, 1.01, 1.0],
    "an outlier among the samples": [0.1] * 8 + [7.0, 0.1],
    "on the edge of agreement": [1.0, 1.0, 1.0, 1.0, 1.05, 0.3],
    "takes no time": [0.0],
}


def rust():
    if shutil.which("cargo") is None:
        pytest.skip("no cargo here")
    target = BUILDERS["CARGO_TARGET_DIR"]
    command = ["cargo", "build", "--quiet", "--locked", "--package", "arena", "--target-dir", target]
    subprocess.run(command, cwd=ENGINES, check=True)
    return [f"{target}/debug/conformance"]


def javascript():
    return [node.PROGRAM, ENGINES / "javascript/arena/conformance.mjs"]


LANGUAGES = {"rust": rust, "javascript": javascript}


@pytest.fixture(scope="module", params=LANGUAGES)
def conformance(request):
    """The command of the language's program that reads a script and writes what the protocol recorded."""
    return LANGUAGES[request.param]()


@pytest.mark.network  # the first build fetches crates
@pytest.mark.parametrize("name", SCRIPTS)
def test_engines_record_what_python_records(conformance, name):
    durations = [round(seconds * SECOND) for seconds in SCRIPTS[name]]
    protocol = PROTOCOL
    if name == "takes no time":  # only the bound on the number of samples ends it
        protocol = replace(PROTOCOL, warmup=replace(PROTOCOL.warmup, min_seconds=0.0))
    script = json.dumps({"protocol": codec.encode(protocol), "durations_ns": durations})
    done = subprocess.run(conformance, input=script, capture_output=True, text=True, check=True)

    now, runs = 0, 0

    def run():
        nonlocal now, runs
        now += durations[min(runs, len(durations) - 1)]
        runs += 1
        return runs

    record = measure(run, protocol, lambda: now)
    expected = {key: value for key, value in asdict(record).items() if key in json.loads(done.stdout)}
    assert len(expected) == 4
    assert json.loads(done.stdout) == expected


def both(conformance, folder, environment=None, **changes):
    """The records of one cell, by the engine and by Python, and the tensors that they left."""
    tokens = np.arange(6).reshape(2, 3)
    inputs = {f"{task}.input_ids": tokens for task in ("inference", "latency", "decode")}
    tensors.save(folder / "inputs.safetensors", inputs | {"target": np.arange(6) % 4})
    protocol = jobs.protocol(tasks=TASKS, energy_seconds=changes.pop("energy_seconds", None))
    cell = jobs.cell(decode_tokens=5, protocol=protocol, **changes)
    found = {}
    for side, program in (("engine", conformance), ("python", [sys.executable, SCRIPT])):
        place = folder / side
        place.mkdir()
        adapter = jobs.ADAPTERS / "conforming.py"
        files = jobs.paths(folder, place, adapter=adapter, gradients=place / "gradients.safetensors")
        codec.write(place / "job.json", Job(cell=cell, round=1, files=files, offline=False))
        subprocess.run([*program, "--job", place / "job.json"], check=True, env=environment, timeout=60)
        text = files.result.read_text(encoding="utf-8")
        jsonschema.validate(json.loads(text), SCHEMA)
        written = {path.name: tensors.load(path) for path in place.glob("*.safetensors")}
        found[side] = codec.from_text(Measured, text), written
    return found["engine"], found["python"]


def untimed(value):
    """A record without what the clock decides, of which only the kind is left: a list, its length apart, or null."""
    if not isinstance(value, dict):
        return value
    return {
        name: type(each).__name__ if name in BY_THE_CLOCK else untimed(each) for name, each in value.items()
    }


def alike(engine, python):
    """Whether both measured the same: their records but for the clock, and every tensor."""
    (ours, arrays), (theirs, others) = engine, python
    left, right = untimed(codec.encode(ours)), untimed(codec.encode(theirs))
    assert left.pop("import_s") is None and (right.pop("import_s") or 0) > 0
    assert left == right
    assert arrays.keys() == others.keys()
    for name, group in arrays.items():
        assert group.keys() == others[name].keys()
        for key, array in group.items():
            assert array.dtype == others[name][key].dtype
            np.testing.assert_array_equal(array, others[name][key])
    return ours


@pytest.mark.network
def test_a_whole_cell_is_recorded_alike(conformance, tmp_path):
    record = alike(*both(conformance, tmp_path, options={"device_ns": 7_000, "device_bytes": 4_100_000}))
    assert (record.status, record.stage, list(record.tasks)) == ("ok", "done", TASKS)
    for name, task in record.tasks.items():
        assert task.device_ns == [7_000] * len(task.samples_ns) and len(task.samples_ns) >= 5
        assert (task.first_token_ns is not None) == (name == "decode")
    decode = record.tasks["decode"]
    assert (decode.prompt_tokens, decode.new_tokens, len(decode.first_token_ns)) == (
        6,
        5,
        len(decode.samples_ns),
    )
    assert record.loss > 0 and record.training_loss == 0.5
    assert record.memory.device_training_peak_bytes == 4_100_000


@pytest.mark.network
@pytest.mark.parametrize("conformance", ["rust"], indirect=True)  # the others compute on no card that counts
def test_energy_is_counted_alike(conformance, tmp_path):
    environment = os.environ | driver.environment(tmp_path)
    cell = {"accelerator": "cuda", "energy_seconds": 0.3}
    (engine, arrays), (python, others) = both(conformance, tmp_path, environment, **cell)
    energies = [record.tasks["inference"].energy for record in (engine, python)]
    for energy in energies:
        assert energy.seconds == pytest.approx(0.3, rel=0.2) and 1 <= energy.iterations <= 150
        assert energy.joules / energy.seconds == pytest.approx(250, rel=0.05)
    task = replace(python.tasks["inference"], energy=energies[0])
    alike((engine, arrays), (replace(python, tasks=python.tasks | {"inference": task}), others))


@pytest.mark.network
@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"fault": "load"}, "failed", "error"),
        ({"unsupported": "inference"}, "unsupported", "unsupported-model"),
        ({"unsupported": "decode"}, "ok", None),
        ({"fault": "nan"}, "ok", None),
    ],
)
def test_what_goes_wrong_is_recorded_alike(conformance, tmp_path, options, status, code):
    engine, python = both(conformance, tmp_path, options=options)
    if options == {"fault": "load"}:  # Python's reason names the exception
        assert (
            python[0].reason.detail == "RuntimeError: asked to fail"
            and engine[0].reason.detail == "asked to fail"
        )
        python = replace(python[0], reason=engine[0].reason), python[1]
    record = alike(engine, python)
    assert (record.status, record.reason and record.reason.code) == (status, code)
    if options == {"fault": "nan"}:
        assert record.training_loss is None
    if options == {"unsupported": "decode"}:
        assert record.tasks["decode"].reason.code == "unsupported-model"


@pytest.mark.network
@pytest.mark.linux
@pytest.mark.parametrize("room", [0, 100_000])
def test_a_full_disk_ends_both_without_a_last_word(conformance, tmp_path, room):
    """From the start, or once there are outputs to write."""
    tokens = np.arange(120_000).reshape(2, 60_000)
    inputs = {f"{task}.input_ids": tokens for task in ("inference", "latency", "decode")}
    tensors.save(tmp_path / "inputs.safetensors", inputs | {"target": tokens[0]})
    cell = jobs.cell(protocol=jobs.protocol(tasks=["inference"]))
    for name, program in (("engine", conformance), ("python", [sys.executable, SCRIPT])):
        with small_disk(tmp_path, megabytes=1, name=f"disk-{name}") as disk:
            files = jobs.paths(tmp_path, disk, adapter=jobs.ADAPTERS / "conforming.py")
            codec.write(tmp_path / "job.json", Job(cell=cell, round=1, files=files, offline=False))
            (disk / "most").write_bytes(b"x" * ((1 << 20) - room))
            done = subprocess.run(
                [*program, "--job", tmp_path / "job.json"], capture_output=True, text=True, timeout=60
            )
            assert done.returncode == storage.EXIT, done
            assert "No space left on device" in done.stderr + done.stdout
            assert not files.outputs.exists()


@pytest.mark.network
def test_a_job_that_is_none_is_refused_alike(conformance, tmp_path):
    (tmp_path / "job.json").write_text('{"cell": {}}')
    for program in (conformance, [sys.executable, SCRIPT]):
        done = subprocess.run(
            [*program, "--job", tmp_path / "job.json"], capture_output=True, text=True, check=False
        )
        assert done.returncode != 0 and "job.json" in done.stderr
        assert "missing field `platform`" in done.stderr or "platform: missing" in done.stderr
        assert "Traceback" not in done.stderr and not (tmp_path / "result.json").exists()
