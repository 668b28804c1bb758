"""PyTorch in measuring processes, on a miniature: the caller's shell changes nothing, and what goes wrong is seen."""

import os

import numpy as np
import pytest

import jobs
import miniatures
from arena import files, tensors
from arena.measuring import machine
from runner import REPOSITORY

ADAPTER = REPOSITORY / "workflow/scripts/frameworks/pytorch/adapter.py"
MODEL = "SmolVLA"  # compiles fastest of all
OFF = {"TORCHDYNAMO_DISABLE": "1"}
PINNED = {"GOMP_CPU_AFFINITY": "0", "OMP_PLACES": "{0}", "OMP_PROC_BIND": "true", "KMP_AFFINITY": "compact"}
# As in config/test.yaml: a cold Inductor would compile three programs to find out about vector instructions.
INDUCTOR = {"TORCHINDUCTOR_CACHE_DIR": "{cache}/inductor", "TORCHINDUCTOR_VEC_ISA_OK": "1"}
pytestmark = pytest.mark.slow


def measured(folder, shell, **changes):
    """The record of round 1 and its output, started from ``shell`` in addition to this process's variables."""
    folder.mkdir()
    tensors.save(folder / "model.safetensors", miniatures.weights(MODEL))
    files.write_json(folder / "config.json", miniatures.config(MODEL))
    tensors.save(folder / "inputs.safetensors", miniatures.inputs(MODEL))
    model = miniatures.model(MODEL)
    cell = jobs.cell(
        definition=model["definition"],
        loss=model["loss"],
        distribution="torch",
        protocol=jobs.protocol(tasks=["inference"]),
        **changes,
    )
    record = jobs.measured(
        cell, jobs.paths(folder, adapter=ADAPTER), environment=os.environ | shell, timeout=900
    )
    return record, tensors.load(folder / "outputs.safetensors").get("inference.output")


def compiled(folder):
    """Programs that Inductor has left in the cell's cache."""
    return [path for path in (folder / "cache").rglob("*") if path.suffix in (".so", ".cpp")]


def test_a_compiled_row_compiles_whatever_the_shell_says(tmp_path):
    options = {"options": {"compile": True}, "environment": INDUCTOR}
    free, output = measured(tmp_path / "free", {}, **options)
    told, same = measured(tmp_path / "told", OFF, **options)
    for record in (free, told):
        assert [task.status for task in record.tasks.values()] == ["ok"], record.reason
        assert record.backend == "CPU, Inductor"
    assert "TORCHDYNAMO_DISABLE" in told.withheld and "TORCHDYNAMO_DISABLE" not in told.environment
    assert len(compiled(tmp_path / "told")) == len(compiled(tmp_path / "free")) > 0
    np.testing.assert_array_equal(output, same)


@pytest.mark.parametrize("way", [True, "regional"])
def test_a_compiled_row_that_compiles_nothing_fails(tmp_path, way):
    record, output = measured(tmp_path / "off", {}, options={"compile": way}, environment=OFF)
    assert (record.status, record.reason.code) == ("failed", "not-compiled")
    assert record.tasks["inference"].reason == record.reason and output is None
    assert compiled(tmp_path / "off") == []


@pytest.mark.linux
def test_threads_run_on_as_many_cores_whatever_the_shell_says(tmp_path):
    if machine.physical_cores() < 2:
        pytest.skip("one core is all that there is")
    free, output = measured(tmp_path / "free", {}, threads=2)
    told, same = measured(tmp_path / "told", PINNED, threads=2)
    assert (free.status, told.status) == ("ok", "ok")
    assert set(PINNED) - {"OMP_PROC_BIND"} <= set(told.withheld)
    assert told.environment["OMP_PROC_BIND"] == "false"
    np.testing.assert_array_equal(output, same)
    # It takes both: the protocol's OMP_PROC_BIND alone keeps libgomp from binding anything.
    own = {"GOMP_CPU_AFFINITY": "0", "OMP_PROC_BIND": "true"}
    bound, _ = measured(tmp_path / "bound", {}, threads=2, environment=own)
    assert (bound.status, bound.reason.code) == ("failed", "confined")
    assert bound.reason.detail.endswith("those of the framework are bound to CPU 0")
