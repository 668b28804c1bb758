"""The program that exports: files and a record, however the exporter ends."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from arena import files, storage, tensors
from frameworks.exporting import Export
from runner import REPOSITORY
from small_disk import small_disk

PROGRAM = REPOSITORY / "workflow/scripts/export.py"
EXPORTER = """
import json, os, signal, subprocess, time
from arena import files, tensors
from frameworks.errors import UnsupportedError

def export(task):
    if task.definition == "refused":
        raise UnsupportedError("unsupported-operator", "It has no such thing.")
    if task.definition == "broken":
        raise ValueError("no such tensor")
    if task.definition == "full":
        task.files[0].write_bytes(b"x" * 5_000_000)
    if task.definition == "full in words":
        raise RuntimeError("protobuf: No space left on device")
    if task.definition == "tells":
        raise ValueError("no access with hf_secret_of_mine")
    if task.definition == "environ":
        return [files.write_text(path, json.dumps(dict(os.environ))) for path in task.files]
    if task.definition == "hangs":
        child = subprocess.Popen(["sleep", "3600"])
        task.files[1].write_text(f"{os.getpid()} {child.pid}")
        time.sleep(3600)
    if task.definition == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    written = task.files[:1] if task.definition == "partial" else task.files
    for path in written:
        files.write_text(path, f"{task.model} {task.lane} {sorted(task.reads)} {path.name}")
"""


@pytest.fixture
def exported(tmp_path):
    """Export with an exporter of the tests' own; the record and the two files."""
    (tmp_path / "exporter_of_tests.py").write_text(EXPORTER)

    def started(definition, read=("weights", "model.safetensors"), made=tmp_path / "made", **shell):
        paths = [made / "a.bin", made / "b.bin"]
        command = [sys.executable, PROGRAM, "--exporter", "exporter_of_tests", "--model", "Tiny"]
        command += ["--definition", definition, "--lane", "int8", "--read", read[0], tmp_path / read[1]]
        command += ["--files", *paths, "--record", made / "a.bin.json"]
        environment = os.environ | {"PYTHONPATH": str(tmp_path)} | shell
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    def run(definition="llama", **given):
        process = started(definition, **given)
        process.communicate(timeout=120)
        assert process.returncode == 0
        made = tmp_path / "made"
        assert sorted(path.name for path in made.iterdir()) == ["a.bin", "a.bin.json", "b.bin"]
        return files.read_json(made / "a.bin.json"), *(
            (made / name).read_text() for name in ("a.bin", "b.bin")
        )

    run.started = started
    return run


def test_what_is_exported_is_recorded(exported):
    record, first, second = exported()
    assert (record["status"], record["reason"]) == ("ok", None) and record["seconds"] > 0
    assert (first, second) == ("Tiny int8 ['weights'] a.bin", "Tiny int8 ['weights'] b.bin")


@pytest.mark.parametrize(
    ("definition", "status", "code", "detail"),
    [
        ("refused", "unsupported", "unsupported-operator", "It has no such thing."),
        ("broken", "failed", "export-failed", "ValueError: no such tensor"),
        ("killed", "failed", "export-failed", "the export's process ended with signal 9; its log says more"),
        ("partial", "failed", "export-failed", "exporter_of_tests wrote no b.bin"),
    ],
)
def test_what_is_not_exported_leaves_empty_files_and_a_reason(exported, definition, status, code, detail):
    exported()  # an earlier export's files do not pass for this one's
    record, *contents = exported(definition)
    assert (record["status"], record["reason"]) == (status, {"code": code, "detail": detail})
    assert contents == ["", ""]


def test_an_export_of_what_was_not_exported_says_why(exported, tmp_path):
    files.write_text(tmp_path / "model.onnx", "")
    reason = {"code": "unsupported-operator", "detail": "It has no such thing."}
    files.write_json(tmp_path / "model.onnx.json", {"status": "unsupported", "reason": reason, "seconds": 1})
    record, *contents = exported(read=("onnx/model.onnx", "model.onnx"))
    assert (record["status"], record["reason"], contents) == ("unsupported", reason, ["", ""])


@pytest.mark.parametrize("read", ["weights", "config"])
def test_an_export_of_weights_that_were_not_made_says_why(exported, tmp_path, read):
    reason = {"code": "no-weights", "detail": "the hub has no such repository"}
    files.write_json(tmp_path / "config.json", {"failed": reason})
    file = {"weights": "model.safetensors", "config": "config.json"}[read]
    record, *contents = exported("broken", read=(read, file))
    assert (record["status"], record["reason"], contents) == ("failed", reason, ["", ""])


def test_an_exporter_is_given_what_it_reads(tmp_path):
    paths = {name: tmp_path / name for name in ("weights", "config", "inputs")}
    tensors.save(paths["weights"], {"w": np.ones(2, np.float32)})
    tensors.save(paths["inputs"], {"target": np.arange(3)})
    files.write_json(paths["config"], {"definition": "llama"})
    task = Export("Tiny", "llama", "float32", (tmp_path / "a", tmp_path / "b"), paths)
    assert task.out == tmp_path / "a"
    assert task.weights()["w"].tolist() == [1, 1]
    assert task.architecture() == {"definition": "llama"}
    assert task.inputs()["target"].tolist() == [0, 1, 2]
    assert (
        Export("Tiny", "llama", "float32", (tmp_path / "a",), {"onnx/m": paths["weights"]}).source()
        == paths["weights"]
    )


def test_an_exporter_has_the_listed_variables_alone(exported):
    shell = {"TORCHDYNAMO_DISABLE": "1", "HF_TOKEN": "hf_secret_of_mine", "LC_ALL": "C.UTF-8"}
    _, text, _ = exported("environ", **shell)
    found = json.loads(text)
    assert found["LC_ALL"] == "C.UTF-8" and found["PATH"] == os.environ["PATH"]
    assert {"TORCHDYNAMO_DISABLE", "HF_TOKEN"} & found.keys() == set()


def test_a_secret_is_not_recorded(exported):
    record, *_ = exported("tells", HF_TOKEN="hf_secret_of_mine")
    assert record["reason"]["detail"] == "ValueError: no access with [HF_TOKEN]"


@pytest.mark.linux
@pytest.mark.parametrize("definition", ["full", "full in words"])
def test_a_full_disk_is_no_exporter_s_failure(exported, tmp_path, definition):
    with small_disk(tmp_path, megabytes=2) as disk:
        process = exported.started(definition, made=disk / "made")
        said, _ = process.communicate(timeout=120)
        assert process.returncode == storage.EXIT
        assert "Nothing is recorded: make room or mend the disk, then run again" in said
        assert not (disk / "made/a.bin.json").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_exporter_and_its_children_die_with_the_program(exported, tmp_path, number):
    process = exported.started("hangs")
    told, deadline = tmp_path / "made/b.bin", time.monotonic() + 60
    while not told.exists() or len(told.read_text().split()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    family = [psutil.Process(int(pid)) for pid in told.read_text().split()]
    process.send_signal(number)
    assert process.wait(20) != 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []
