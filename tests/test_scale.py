"""The generated configurations of scale.py, and one dry run."""

import pytest
import scale
from arena import config
from runner import REPOSITORY, RUNNER

SIZE = scale.Size(2, 3, 2, 2)


def test_a_generated_configuration_has_the_cells_that_it_promises():
    framework = scale.read("config/frameworks.yaml")["frameworks"]["onnxruntime"]
    model = scale.read("config/models/ResNet-50.yaml")["models"]["ResNet-50"]
    whole = config.resolve(scale.overlay(SIZE, framework, model), REPOSITORY)
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
    monkeypatch.setattr(scale.sys, "executable", str(RUNNER / "python"))
    seconds, memory = scale.dry_run(SIZE)
    assert 0 < seconds < 300 and 20 < memory < 5000


def test_a_refused_run_is_no_figure(monkeypatch):
    monkeypatch.setattr(scale.sys, "executable", str(RUNNER / "python"))
    with pytest.raises(SystemExit, match="no-such-option"):
        scale.dry_run(SIZE, "--no-such-option")
