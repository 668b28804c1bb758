"""The tool that packs a submission: what it writes, what it says, and when it writes nothing."""

import json

import pytest

import records
import submission
import submitted
from platform_csv import good
from reporting.submissions import evidence


@pytest.fixture
def pack(monkeypatch, tmp_path):
    """Run the tool on results made up for tests, with their configuration; its exit status."""
    monkeypatch.setattr(submission, "resolved", lambda overlays: submitted.CONFIG)
    monkeypatch.setattr(submission.catalogue, "of", lambda config: submitted.CATALOGUE)

    def run(*arguments, **made):
        results = submitted.results(tmp_path / "results", **made)
        return submission.main(
            [*map(str, ("--results", results, "--out", tmp_path / "mine.jsonl", *arguments))]
        )

    return run


def test_it_writes_what_the_intake_takes(tmp_path, pack, capsys):
    assert pack("--label", "My machine", "--by", "Somebody", "--rows", "eager", "mine") == 0
    found = evidence.read(tmp_path / "mine.jsonl", submitted.CATALOGUE)
    assert (found.label, found.measured_by) == ("My machine", "Somebody")
    assert [(cell.row, len(cell.rounds)) for cell in found.cells] == [("eager", 2), ("mine", 2)]
    said = capsys.readouterr().out
    size = (tmp_path / "mine.jsonl").stat().st_size
    assert said.startswith(f"{tmp_path}/mine.jsonl: 4 rounds of 2 cells, {size / 1e3:.0f} kB.\n")


def test_it_writes_nothing_that_would_be_refused(tmp_path, pack, capsys):
    worse = [submitted.verdict("eager", relative_l2=0.9)]
    assert pack(rounds=good("eager"), verdicts=worse) == 2
    assert not list(tmp_path.glob("*mine*"))
    said = capsys.readouterr().err
    assert said.startswith(
        f"submission: the records would be refused: {tmp_path}/mine.jsonl:7: Tiny / eager: verdict"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--platform", "gpu"], "benchmarks/gpu holds no round"),
        (["--rows", "jax"], "benchmarks/local: no records of row jax"),
        (["--out", "mine.csv"], "--out mine.csv: expected a name that ends in .jsonl"),
    ],
)
def test_what_cannot_be_packed_ends_in_one_line(pack, capsys, arguments, words):
    assert pack(*arguments) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_of_several_platforms_one_is_to_be_named(tmp_path, pack, capsys):
    (tmp_path / "results/benchmarks/gpu").mkdir(parents=True)
    assert pack() == 2
    assert "benchmarks: gpu, local; say which one with --platform" in capsys.readouterr().err


def test_the_configuration_of_a_run_with_overlays(tmp_path):
    overlay = tmp_path / "over.yaml"
    overlay.write_text("gate: {float32: {relative_l2: 0.5}}\n")
    assert submission.resolved([overlay])["gate"]["float32"]["relative_l2"] == 0.5
    assert json.dumps(records.PROTOCOL.tasks) in json.dumps(submission.resolved([])["protocol"]["tasks"])[:40]
