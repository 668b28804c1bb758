"""docs/unsupported.md says of every cell that the catalogue leaves out why it does."""

import pytest

from arena.configuration.loader import catalogues
from runner import REPOSITORY

LINES = (REPOSITORY / "docs" / "unsupported.md").read_text().splitlines()
ENTRIES = catalogues(REPOSITORY)["frameworks"].values()
LEFT_OUT = [
    (entry["name"], model, reason["code"], reason["why"])
    for entry in ENTRIES
    for model, reason in entry.get("unsupported", {}).items()
]


def cells(line):
    return [cell.strip().strip("`") for cell in line.strip("|").split(" | ")]


@pytest.mark.parametrize("cell", LEFT_OUT, ids=[f"{name} {model}" for name, model, *_ in LEFT_OUT])
def test_every_model_that_a_framework_leaves_out_has_its_line(cell):
    assert list(cell) in [cells(line) for line in LINES]


def test_no_line_is_left_of_a_model_that_runs():
    listed = {tuple(cells(line)) for line in LINES if line.count(" | ") == 3}
    models = {cell[:2] for cell in listed if cell[1] in {model for _, model, *_ in LEFT_OUT}}
    assert models == {cell[:2] for cell in LEFT_OUT}


@pytest.mark.parametrize("name", [entry["name"] for entry in ENTRIES if not entry["trains"]])
def test_every_framework_that_does_not_train_has_its_line(name):
    of_all = [cells(line)[0] for line in LINES if "no-training" in line or "all five" in line]
    assert name in of_all
