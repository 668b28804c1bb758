"""What `results/retry` makes again: failed rounds, and what was not made of their exports and builds."""

import json
import subprocess

import pytest

import failed
from arena import files
from arena.contract import codec, failures
from arena.contract.failures import Failure, Failures
from arena.contract.round import Limits
from runner import RUNNER

LIMITS = Limits(timeout_s=30.0, memory_mb=0, memory_bytes=8_000_000_000)


def failure(row="jax", **changes):
    number = changes.get("round", 1)
    fields = {
        "platform": "local", "model": "Tiny", "row": row, "code": "timeout", "detail": "no end after 30 s",
        "round": number, "record": f"results/benchmarks/local/Tiny/{row}/round-{number}.json",
        "limits": LIMITS, "prepared": [],
    }  # fmt: skip
    return Failure(**fields | changes)


def test_each_failed_cell_is_measured_from_its_first_failed_round_on():
    found = [failure(task="training", round=3), failure(task="decode", round=2), failure("onnx")]
    first = "results/benchmarks/local/Tiny/jax/round-2.json"
    assert failed.forced(found, "", 1) == [first, "results/benchmarks/local/Tiny/onnx/round-1.json"]
    assert failed.forced([], "", 1) == []


def test_one_cell_is_measured_whether_or_not_it_failed():
    again = ["results/benchmarks/local/Tiny/eager/round-2.json"]
    assert failed.forced([failure(), failure("onnx")], "local/Tiny/eager", 2) == again


def test_what_was_not_made_is_made_again_first(tmp_path):
    records = {name: tmp_path / f"{name}.json" for name in ("ok", "failed", "unsupported", "gone")}
    for name, path in records.items():
        if name != "gone":
            files.write_json(path, {"status": name})
    found = [failure(prepared=list(map(str, records.values())))]
    made_again = [str(records["failed"]), str(records["gone"])]
    assert failed.forced(found, "", 1) == [*made_again, found[0].record]
    assert failed.forced(found, "local/Tiny/jax", 1) == [*made_again, found[0].record]
    assert failed.forced(found, "local/Tiny/eager", 1) == ["results/benchmarks/local/Tiny/eager/round-1.json"]


def test_what_was_held_to_nothing_needs_a_reference_alone(tmp_path):
    record = tmp_path / "reference.json"
    files.write_json(record, {"failed": {"code": "no-reference", "detail": "IndexError"}})
    found = [failure(code="no-reference", prepared=[str(record)]), failure("onnx")]
    assert failed.forced(found, "", 1) == [str(record), found[1].record]
    files.write_json(record, {"noise": {}})
    assert failed.forced(found, "", 1) == [found[1].record]


def test_it_reads_the_files_that_there_are(tmp_path):
    there, not_there, broken = (tmp_path / name for name in ("local.json", "gpu.json", "broken.json"))
    codec.write(there, Failures(platform="local", failures=[failure()], raised={}))
    broken.write_text("{}")
    python = str(RUNNER / "python")  # as `results/retry` has it
    command = [python, failed.__file__, str(there), str(not_there)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{failure().record}\n"
    done = subprocess.run([*command, str(broken)], capture_output=True, text=True)
    assert done.returncode == 1 and "broken.json" in done.stderr and "delete the file" in done.stderr


@pytest.mark.parametrize(
    ("entry", "accepted"),
    [
        ({}, True),
        ({"platform": "local"}, True),
        ({"task": None}, True),
        ({"code": "crashed"}, False),
        ({"model": "Other"}, False),
        ({"row": "onnx"}, False),
        ({"platform": "gpu"}, False),
        ({"task": "training"}, False),
    ],
)
def test_only_that_failure_is_accepted_that_is_named(entry, accepted):
    named = {"row": "jax", "model": "Tiny", "code": "timeout", "why": "w", "platform": None, "task": None}
    assert failures.accepted(failure(), [named | entry]) == ("w" if accepted else None)
    assert failures.accepted(failure(task="training"), [named | {"task": "training"}]) == "w"


@pytest.mark.parametrize(
    ("code", "limits", "now", "why"),
    [
        ("timeout", LIMITS, (31, 0), "timeout_s is 31"),
        ("timeout", LIMITS, (30, 99_000), None),
        ("timeout", LIMITS, (29, 0), None),
        ("timeout", None, (99, 0), None),
        ("crashed", LIMITS, (99, 99_000), None),
        ("out-of-memory", LIMITS, (99, 8_000), None),
        ("out-of-memory", LIMITS, (30, 8_001), "memory_limit_mb is 8001"),
        ("out-of-memory", LIMITS, (30, 0), None),
        (
            "out-of-memory",
            Limits(timeout_s=30.0, memory_mb=3000, memory_bytes=3_000_000_000),
            (30, 0),
            "memory_limit_mb is a share of what is available",
        ),
    ],
)
def test_a_limit_is_raised_if_it_ended_the_process_and_is_higher_now(code, limits, now, why):
    assert failures.limit_raised(failure(code=code, limits=limits), *now) == why


def test_a_failure_in_words():
    assert str(failure()) == "local/Tiny/jax: timeout: no end after 30 s"
    assert str(failure(task="decode")) == "local/Tiny/jax, decode: timeout: no end after 30 s"
    assert json.loads(codec.to_text(failure()))["record"].endswith("jax/round-1.json")
