"""The program that exports: files and a record, however the exporter ends."""

import os
import subprocess
import sys

import numpy as np
import pytest

from arena import files, tensors
from frameworks.exporting import Export
from runner import REPOSITORY

PROGRAM = REPOSITORY / "workflow/scripts/export.py"
EXPORTER = """
import os, signal
from arena import files, tensors
from frameworks.errors import UnsupportedError

def export(task):
    if task.definition == "refused":
        raise UnsupportedError("unsupported-operator", "It has no such thing.")
    if task.definition == "broken":
        raise ValueError("no such tensor")
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

    def run(definition="llama", read=("weights", "model.safetensors")):
        made = tmp_path / "made"
        paths = [made / "a.bin", made / "b.bin"]
        command = [sys.executable, PROGRAM, "--exporter", "exporter_of_tests", "--model", "Tiny"]
        command += ["--definition", definition, "--lane", "int8", "--read", read[0], tmp_path / read[1]]
        command += ["--files", *paths, "--record", made / "a.bin.json"]
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        subprocess.run(command, env=environment, check=True, timeout=120)
        assert sorted(path.name for path in made.iterdir()) == ["a.bin", "a.bin.json", "b.bin"]
        return files.read_json(made / "a.bin.json"), *(path.read_text() for path in paths)

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
