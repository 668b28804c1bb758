"""A GPU's state, energy and memory, and the refusal of what was computed elsewhere; with a made-up driver."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import jobs
from arena import files, tensors
from arena.measuring import gpu, nvml
from driver import environment

REPOSITORY = Path(__file__).parents[3]
SCRIPTS = REPOSITORY / "workflow" / "scripts"
WEIGHTS_BYTES = 4_000_000
PROTOCOL = jobs.protocol(tasks=["inference", "training"], energy_seconds=0.5)


@pytest.fixture
def driver(tmp_path):
    """Variables of a process that finds the fake driver, and the file with the card's state."""
    (tmp_path / "driver").mkdir()
    found = environment(tmp_path / "driver")
    return os.environ | found, Path(found["ARENA_FAKE_NVML"])


def ask(environment, expression):
    """What ``expression`` of ``card`` gives in a process of its own, through JSON."""
    code = "import json, os\nfrom arena.measuring import machine, nvml\ncard = nvml.open_gpu()\n"
    command = [sys.executable, "-c", f"{code}print(json.dumps({expression}))"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, cwd=SCRIPTS, timeout=60
    )
    return json.loads(done.stdout)


@pytest.mark.linux
def test_the_driver_is_read_in_its_units(driver):
    environment, state = driver
    state.write_text("used 5000000\nthrottle 2148\nprocess 17 4000000\nprocess 18 18446744073709551615\n")
    facts, now, held = ask(environment, "[card.facts(), card.snapshot(), card.processes()]")
    assert facts == {
        "name": "NVIDIA Fake", "index": 0, "uuid": "GPU-12ab", "driver": "580.1", "cuda_driver": "13.1",
        "memory_bytes": 80_000_000_000, "power_limit_w": 700.0, "max_sm_mhz": 1980,
    }  # fmt: skip
    assert now == {
        "sm_mhz": 1755, "memory_mhz": 2619, "power_w": 250.0, "celsius": 41,
        "throttle": ["power cap", "thermal, software", "thermal, hardware", "0x800"], "used_bytes": 5_000_000,
    }  # fmt: skip
    assert held == {"17": 4_000_000, "18": None}


@pytest.mark.linux
def test_the_machine_and_its_conditions_name_the_card(driver):
    environment, state = driver
    state.write_text("used 7\nprocess 17 4000000\n")
    assert ask(environment, "machine.facts()['gpu']['name']") == "NVIDIA Fake"
    now = ask(environment, "machine.conditions()")
    assert now["gpu"]["used_bytes"] == 7 and now["gpu_processes"] == {"17": 4_000_000}
    assert ask(environment, "[os.sched_setaffinity(0, {0}), machine.facts()['cpus']]")[1] == [0]


@pytest.mark.linux
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs a core to leave to others")
def test_a_process_confined_to_cores_takes_them_and_its_card_and_no_more(driver):
    environment, _ = driver
    taken = "import benchmark; from dataclasses import replace; import records; cell = records.CELL"
    words = f"[exec({taken!r}), os.sched_setaffinity(0, {{0}}), "
    words += "benchmark.taken(replace(cell, accelerator='cuda')), benchmark.taken(cell), benchmark.node.whole()][2:]"
    environment = environment | {"PYTHONPATH": str(REPOSITORY / "tests" / "support")}
    card, processor, everything = ask(environment, words)
    assert [name.split("-", 2)[2] for name in card] == ["card-GPU-12ab", "cpu-0"]
    assert processor == everything


@pytest.mark.parametrize(
    ("visible", "found"), [("0", True), ("GPU-12", True), ("1", False), ("GPU-9", False), ("-1", False)]
)
@pytest.mark.linux
def test_the_card_is_the_one_that_cuda_sees(driver, visible, found):
    environment, _ = driver
    assert ask(environment | {"CUDA_VISIBLE_DEVICES": visible}, "card is not None") is found


def test_without_a_driver_there_is_no_card(monkeypatch):
    monkeypatch.setattr(nvml, "LIBRARIES", ("libno-such-driver.so.1",))
    nvml.open_gpu.cache_clear()
    assert nvml.open_gpu() is None
    nvml.open_gpu.cache_clear()


def seen(process=None, rise=None):
    return {"process_bytes": process, "rise_bytes": rise}


@pytest.mark.parametrize(
    ("lane", "own", "driver", "says"),
    [
        ("float32", 4_100_000, seen(process=90_000_000), None),
        ("float32", None, seen(rise=4_100_000), None),
        ("float32", 4_100_000, seen(), None),
        ("bfloat16", 2_050_000, seen(process=2_050_000), None),  # half the bytes
        ("int8", 1_030_000, seen(rise=1_030_000), None),
        ("float32", 0, seen(process=400_000_000), "the framework counts 0.0 MB"),  # a context, no tensor
        ("float32", 1_900_000, seen(), "the framework counts 1.9 MB"),
        ("float32", 4_100_000, seen(process=1_000, rise=90_000_000), "the driver saw 0.0 MB"),
        ("float32", 4_100_000, seen(rise=0), "the driver saw 0.0 MB"),
        ("bfloat16", 900_000, seen(process=2_050_000), "the framework counts 0.9 MB"),
        ("float32", None, seen(), "neither the framework nor the driver"),
    ],
)
def test_what_was_not_seen_on_the_card_was_not_computed_there(lane, own, driver, says):
    why = gpu.wrong_device(WEIGHTS_BYTES, lane, own, driver)
    assert (why is None) if says is None else (says in why)


def test_a_watch_sums_up_what_it_saw():
    looks = [
        {
            "sm_mhz": mhz,
            "memory_mhz": 2619,
            "power_w": None,
            "celsius": 40,
            "throttle": why,
            "used_bytes": used,
        }
        for mhz, why, used in (
            (345, ["idle"], 1500),
            (1980, ["power cap"], 9000),
            (1755, ["power cap"], 4000),
        )
    ]
    watch = gpu.Watch(SimpleNamespace())
    watch._before = {"total": 10_000, "used": 1000}
    watch._looks = looks
    watch._held = [{}, {5: (5, 6000), 6: (5, 500), 9: (None, 70)}, {5: (5, 3000), 9: (1, 90)}]
    assert watch.summary(5) == {
        "looks": 3, "sm_mhz": [345, 1755, 1980], "memory_mhz": [2619, 2619, 2619], "power_w": None,
        "celsius": [40, 40, 40], "throttle": {"idle": 1, "power cap": 2},
        "process_bytes": 6500, "rise_bytes": 8000, "others": {"9": 90},
    }  # fmt: skip
    assert watch.summary(4)["process_bytes"] is None


def test_energy_is_the_counter_s_rise_over_at_least_the_window():
    ticks = iter(np.arange(0, 100, 2.0))
    counter = iter([10_000, 17_500])
    runs = []
    found = gpu.energy(
        lambda: runs.append(1), SimpleNamespace(energy_mj=lambda: next(counter)), 5.0, lambda: next(ticks)
    )
    assert found == {"joules": 7.5, "seconds": 8.0, "iterations": 2} and len(runs) == 2
    assert gpu.energy(lambda: runs.append(1), SimpleNamespace(energy_mj=lambda: None), 5.0) is None


def benchmark(folder, environment, options, accelerator="cuda"):
    """The record of one round of the adapter that says it is on a GPU."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(4, 3, 8, 8)).astype(np.float32)
    tensors.save(folder / "inputs.safetensors", {"inference.images": images, "target": np.arange(4)})
    tensors.save(folder / "model.safetensors", {"weight": np.ones(WEIGHTS_BYTES // 4, np.float32)})
    files.write_json(folder / "config.json", {"definition": "resnet"})
    cell = jobs.cell(row="fake", accelerator=accelerator, options=options, protocol=PROTOCOL)
    paths = jobs.paths(
        folder, adapter=jobs.ADAPTERS / "on_gpu.py", gradients=folder / "gradients.safetensors"
    )
    result = jobs.measured(cell, paths, environment=environment)
    return result, tensors.load(folder / "outputs.safetensors")


@pytest.mark.linux
def test_a_round_on_the_card_records_it(driver, tmp_path):
    environment, _ = driver
    result, outputs = benchmark(tmp_path, environment, {"counts": 4_100_000, "holds": 5_000_000})
    assert result.status == "ok" and set(outputs) == {"inference.output"}
    during = result.conditions.during.gpu
    assert during.looks >= 1 and during.power_w == [250, 250, 250]
    assert during.process_bytes == 5_000_000 and during.others == {}
    assert result.machine.gpu.driver == "580.1"
    assert result.memory.device_inference_peak_bytes == 4_100_000
    task = result.tasks["inference"]
    assert task.device_ns == [7_000] * len(task.samples_ns)
    assert task.energy.joules / task.energy.seconds == pytest.approx(250, rel=0.02)
    assert task.energy.iterations == 2  # of a quarter of a second, for half a second


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"counts": 4_100_000}, "the driver saw 0.0 MB"),  # it claims memory that the driver never saw
        ({"counts": 0, "holds": 400_000_000}, "the framework counts 0.0 MB"),  # a context, and nothing in it
        ({}, "the driver saw 0.0 MB"),
    ],
)
@pytest.mark.linux
def test_a_cpu_run_under_a_gpu_label_is_refused(driver, tmp_path, options, says):
    environment, _ = driver
    result, outputs = benchmark(tmp_path, environment, options)
    assert result.status == "failed" and outputs == {}
    assert result.reason.code == "wrong-device" and says in result.reason.detail
    assert result.tasks == {} and result.log_tail


@pytest.mark.linux
def test_a_driver_that_names_no_process_shows_the_card_s_memory(driver, tmp_path):
    environment, _ = driver
    result, _ = benchmark(tmp_path, environment, {"raises": 4_100_000})
    assert result.status == "ok"
    assert result.conditions.during.gpu.rise_bytes == 4_100_000


@pytest.mark.linux
def test_on_a_cpu_nothing_is_asked_of_a_card(driver, tmp_path):
    environment, _ = driver
    result, _ = benchmark(tmp_path, environment, {}, accelerator="cpu")
    assert result.status == "ok"
    assert result.conditions.during.gpu is None and result.tasks["inference"].energy is None
