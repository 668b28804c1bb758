"""What surrounds a measuring process: its variables, its cores, its disk."""

import json
import os
import subprocess

import pytest

from arena import storage
from arena.contract.cell import Reason
from arena.measuring import machine
from small_disk import small_disk
from supervised import command, measured, prepared, wait_for


@pytest.fixture
def model(tmp_path):
    return prepared(tmp_path / "model")


SHELL = {
    "TORCHDYNAMO_DISABLE": "1", "GOMP_CPU_AFFINITY": "0", "OMP_NUM_THREADS": "7", "LD_PRELOAD": "",
    "HF_TOKEN": "hf_secret_of_mine", "AWS_SECRET_ACCESS_KEY": "abc/def+ghi", "LC_ALL": "C.UTF-8",
}  # fmt: skip


def test_a_process_has_the_listed_variables_the_protocol_s_and_its_row_s(model):
    own = {"OWN": "{threads}", "AT": "{cache}/x", "MY_TOKEN": "of the row's"}
    record = measured(model, {"fault": "environ"}, os.environ | SHELL, environment=own)
    cache = model / "round/cache"
    found = json.loads((cache / "environ.json").read_text())
    assert record.status == "ok"
    for name, value in {
        "OMP_NUM_THREADS": "1", "OMP_PROC_BIND": "false", "OMP_DYNAMIC": "false", "LC_ALL": "C.UTF-8",
        "TMPDIR": str(cache / "tmp"), "TEMP": str(cache / "tmp"), "XDG_CACHE_HOME": str(cache / "user"),
        "OWN": "1", "AT": f"{cache}/x", "MY_TOKEN": "of the row's", "PATH": os.environ["PATH"],
    }.items():  # fmt: skip
        assert found[name] == value
    withheld = {"TORCHDYNAMO_DISABLE", "GOMP_CPU_AFFINITY", "LD_PRELOAD", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"}
    assert withheld & found.keys() == set() and withheld <= set(record.withheld)
    # Python sets LC_CTYPE by itself where no language is set.
    assert found.keys() - {"LC_CTYPE"} == record.environment.keys() - {"LC_CTYPE"}
    assert record.environment == {name: found[name] for name in record.environment} | {"MY_TOKEN": "[secret]"}


def test_what_a_framework_prints_of_secrets_is_nowhere_written(model):
    told = "hf_secret_of_mine, abc/def+ghi and https://me:mine@hub.example/x"
    record = measured(model, {"fault": "tell", "secret": told}, os.environ | SHELL)
    assert record.reason.code == "error"
    without = "no access with [HF_TOKEN], [AWS_SECRET_ACCESS_KEY] and https://[secret]@hub.example/x"
    assert record.reason.detail == f"RuntimeError: {without}"
    assert f"RuntimeError: {without}" in record.log_tail and "the environment: [HF_TOKEN]" in record.log_tail
    for path in (model / "round/result.json", model / "round/process.log"):
        text = path.read_text()
        options = json.dumps(record.cell.options)  # the configuration's own words stand
        assert "hf_secret" not in text.replace(options, "").replace(json.dumps(told)[1:-1], ""), path


@pytest.mark.linux
def test_a_process_on_fewer_cores_than_threads_is_not_timed(model):
    if machine.physical_cores() < 2:
        pytest.skip("one core is all that there is")
    assert measured(model, {}, threads=2).status == "ok"
    one = str(min(os.sched_getaffinity(0)))
    record = measured(model, {}, prefix=["taskset", "-c", one], threads=2)
    assert (record.status, record.reason.code) == ("failed", "confined")
    assert record.reason.detail.startswith("2 threads were asked for, and this process may run on 1 cores")
    record = measured(model, {"fault": "pinned"}, threads=2)
    detail = f"2 threads were asked for, and those of the framework are bound to CPU {one}"
    assert record.reason == Reason(code="confined", detail=detail)


def test_another_disk_that_is_full_is_the_framework_s_business(model):
    """Such as a container's small /dev/shm: where the arena writes there is room."""
    record = measured(model, {"fault": "elsewhere"})
    assert (record.status, record.reason.code) == ("failed", "error")
    assert record.reason.detail == "OSError: [Errno 28] No space left on device: '/dev/shm/semaphore'"


FULL = {
    "its outputs": {"fault": "large"},
    "a framework's cache": {"fault": "fill"},
    "a framework's cache, since emptied": {"fault": "fill", "tidy": True},
    "a framework's cache, and a crash": {"fault": "fill-and-die"},
}


@pytest.mark.linux
@pytest.mark.parametrize("what", FULL)
def test_a_full_disk_fails_the_job_and_charges_nobody(model, tmp_path, what):
    with small_disk(tmp_path, megabytes=4) as disk:
        words, where = command(model, FULL[what], disk / "round")
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert done.returncode == storage.EXIT, done.stderr
        assert "benchmark.py: " in done.stderr and "make room or mend the disk, then run again" in done.stderr
        assert "Traceback" not in done.stderr
        assert not (where / "result.json").exists()
        assert list(where.glob(".measuring-*")) == []
        kernels = where / "cache/kernels"
        if kernels.exists():
            kernels.unlink()
        again = measured(model, {}, results=disk / "round")
        assert again.status == "ok"  # once there is room, the same command measures it


@pytest.mark.linux
def test_a_disk_that_is_full_before_fails_the_job(model, tmp_path):
    with small_disk(tmp_path, megabytes=1) as disk:
        (disk / "round").mkdir()
        (disk / "most").write_bytes(b"x" * (1 << 20 - 1))
        with open(disk / "rest", "wb", buffering=0) as stream, pytest.raises(OSError, match="No space"):
            while True:
                stream.write(b"x" * 4096)
        words, where = command(model, {}, disk / "round")
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert done.returncode == storage.EXIT and "No space left on device" in done.stderr
        assert not (where / "result.json").exists()


@pytest.mark.linux
@pytest.mark.slow
def test_a_disk_that_goes_while_it_is_measured_fails_the_job(model, tmp_path):
    with small_disk(tmp_path, megabytes=4) as disk:
        words, where = command(model, {"fault": "family"}, disk / "round", timeout=5)
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        wait_for(where / "cache/family")
        subprocess.run(["umount", "--lazy", disk], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], check=True)  # what was there is gone
        _, said = process.communicate(timeout=60)
        assert process.returncode == storage.EXIT, said
        assert not (disk / "round").exists()
