"""The generated configurations of many_jobs.py, and one dry run."""

import pytest

import many_jobs
from arena.configuration import loader
from runner import REPOSITORY, RUNNER

SIZE = many_jobs.Size(2, 3, 2, 2)


def test_a_generated_configuration_has_the_cells_that_it_promises():
    framework = many_jobs.read("config/frameworks/onnxruntime.yaml")["frameworks"]["onnxruntime"]
    model = many_jobs.read("config/models/ResNet-50.yaml")["models"]["ResNet-50"]
    whole = loader.resolve(many_jobs.overlay(SIZE, framework, model), REPOSITORY)
    run = whole["run"]
    counts = len(whole["platforms"]), len(run["rows"]), len(run["models"]), whole["protocol"]["rounds"]
    assert counts == SIZE
    assert SIZE.measurements == 24
    owners = [
        name for row in run["rows"] for name, entry in whole["frameworks"].items() if row in entry["rows"]
    ]
    assert len(set(owners)) == 3
    assert {whole["models"][name]["weights"] for name in run["models"]} == {"seeded"}


@pytest.mark.slow
def test_a_dry_run_takes_time_and_memory(monkeypatch):
    monkeypatch.setattr(many_jobs.sys, "executable", str(RUNNER / "python"))
    seconds, memory = many_jobs.dry_run(SIZE)
    assert 0 < seconds < 300 and 20 < memory < 5000


def test_a_refused_run_is_no_figure(monkeypatch):
    monkeypatch.setattr(many_jobs.sys, "executable", str(RUNNER / "python"))
    with pytest.raises(SystemExit, match="no-such-option"):
        many_jobs.dry_run(SIZE, "--no-such-option")
