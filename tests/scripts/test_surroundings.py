"""What surrounds a measuring process: its variables, its cores, its disk."""

import json
import os

import pytest

from arena.contract.cell import Reason
from arena.measuring import machine
from supervised import measured, prepared


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
