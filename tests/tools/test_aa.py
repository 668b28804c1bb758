"""The A/A check: which configuration it asks for, and what it makes of a table."""

import pytest

import aa
import records
from arena.configuration import loader
from platform_csv import good, own_csv
from reporting import tables
from reporting.columns import OWN_STATUSES
from runner import REPOSITORY

COPIES = ("eager", "compiled", "onnx")


def table(directory, *times):
    """The rows of a table of copies that take so many ms in each of five processes."""
    names = COPIES[: len(times)]
    rounds = [record for name, ms in zip(names, times, strict=True) for record in good(name, ms, rounds=5)]
    path = own_csv(directory, rounds, [records.verdict_record(name) for name in names], names)
    return tables.read([path], OWN_STATUSES)


def test_the_overlay_is_a_row_under_several_names_that_the_workflow_takes():
    frameworks = loader.catalogues(REPOSITORY)["frameworks"]
    chosen = aa.overlay(frameworks, "pytorch-bf16", 3, ["ResNet-50"])
    resolved = loader.resolve(
        loader.merge(loader.read_yaml(REPOSITORY / "config/config.yaml"), chosen), REPOSITORY
    )
    assert resolved["run"]["rows"] == ["pytorch-bf16", "pytorch-bf16-2", "pytorch-bf16-3"]
    assert resolved["run"]["models"] == ["ResNet-50"]
    assert [platform["name"] for platform in resolved["platforms"]] == ["aa"]
    rows = resolved["frameworks"]["pytorch"]["rows"]
    first, third = rows["pytorch-bf16"], rows["pytorch-bf16-3"]
    assert third == first | {"label": "PyTorch compiled bfloat16 (3)"}


def test_a_row_that_is_not_in_the_catalogue_is_refused():
    with pytest.raises(ValueError, match="--row: 'pytorch' is no row of the catalogue; expected one of "):
        aa.overlay(loader.catalogues(REPOSITORY)["frameworks"], "pytorch", 2, None)


def test_equal_rows_are_compared_with_the_fastest_and_not_told_apart(tmp_path):
    text, status = aa.report(table(tmp_path, 40.0, 40.05, 40.1))
    assert status == 0
    assert "0 of 6 comparisons of equal rows tell them apart; up to 1 may." in text
    assert text.count("| no |") == 6  # three tasks, two slower copies each


def test_rows_that_are_told_apart_are_counted_and_an_error(tmp_path):
    text, status = aa.report(table(tmp_path, 40.0, 60.0))
    assert status == 1
    assert "3 of 3 comparisons of equal rows tell them apart; up to 1 may." in text
    assert text.count("PyTorch compiled | 1.") == 3


def test_a_run_without_two_rows_that_pass_is_nothing_to_compare(tmp_path):
    rows = table(tmp_path, 40.0, 41.0)
    assert aa.report(rows[:1]) == (
        "Nothing to compare: no row passed in two copies; see the reasons in the table.",
        2,
    )
