"""The JSON schemas say what the records' types say, and every key is described."""

import json

import jsonschema
import pytest

import document_records
import jobs
import records
from arena.contract import codec
from arena.contract.cell import Job
from arena.contract.measured import Measured
from arena.contract.round import Gpu
from runner import REPOSITORY

SCHEMAS = REPOSITORY / "workflow" / "schemas"
MADE = {
    "cell": codec.encode(records.CELL),
    "round": records.round_record(),
    "verdict": records.verdict_record(),
    "measured": codec.encode(Measured(status="ok", stage="load")),
    "decision": {
        "schema": 1,
        "platform": "local",
        "planned": 2,
        "max_rounds": 3,
        "target": 0.02,
        "max_seconds": 120.0,
        "cells": {
            "Tiny/eager": {
                "rounds": 3,
                "why": "inference ± 3.0 %",
                "half_widths": {"inference": 0.03},
                "started": ["2026-11-22T10:01:00+00:00", "2026-11-22T10:02:00+00:00"],
                "judged": True,
            }
        },
    },
    "build": {
        "status": "ok",
        "reason": None,
        "version": "1.0",
        "packages": {"rustc": "1.95.0"},
        "program_bytes": 5,
        "seconds": 1.5,
        "build": {"flags": "", "features": [], "target_cpu": None},
    },
    "allocations": {
        "schema": 2,
        "allocations": [
            {
                "id": "a1",
                "host": "host 1",
                "began": "2026-11-28T09:00:00+00:00",
                "ended": "2026-11-28T09:10:00+00:00",
                "commits": ["abc123"],
                "cards": [codec.encode(Gpu(name="NVIDIA H200", index=0))],
                "kernels": ["Linux 6"],
                "cpus": [[0, 1]],
                "cores": [2],
                "sm_mhz": [345.0, 1980.0],
                "beside": [{"id": "a2", "rounds": 3}],
                "judged": ["Tiny/eager"],
                "rounds": [{"cell": "Tiny/eager", "there": 1, "here": 1}],
            }
        ],
        "missing": [{"cells": "*/jax", "why": "time was up"}],
    },
    "failures": {
        "schema": 1,
        "platform": "local",
        "failures": [
            {
                "platform": "local",
                "model": "Tiny",
                "row": "eager",
                "task": None,
                "code": "timeout",
                "detail": "no end after 30 s",
                "round": 1,
                "record": "results/benchmarks/local/Tiny/eager/round-1.json",
                "limits": {"timeout_s": 30.0, "memory_mb": 0, "memory_bytes": 8_000_000_000, "raised": ""},
                "prepared": ["results/exports/Tiny/onnx/model.onnx.json"],
            }
        ],
        "raised": {"results/benchmarks/local/Tiny/jax/round-1.json": "timeout_s is 60"},
    },
}


@pytest.fixture
def made(tmp_path):
    job = Job(cell=jobs.cell(), round=1, files=jobs.paths(tmp_path), offline=True)
    return MADE | {"job": codec.encode(job)}


#: What a round of an earlier commit lacks: report/published/ has some.
LATER = {
    "round": {"waited_s", "environment", "withheld", "limits", "fallback", "quality"},
    "cell": {"predicts"},
    "measured": {"fallback", "quality"},
    "verdict": {"unjudged", "rounding", "rounding_noise"},
    "decision": {"max_seconds"},
}
LATER_INSIDE = {
    "Machine": {"cpu_family", "cpu_model", "cpu_stepping", "cpus"},
    "Gpu": {"index"},
    "Cell": {"predicts"},
    "Parts": {"quality"},
    "Part": {"tolerances", "widened", "median_kl"},
    "Verdict": {"rounding", "rounding_noise"},
}


@pytest.mark.parametrize("name", document_records.RECORDS)
def test_the_files_are_those_of_the_types(name):
    written = (SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8")
    assert written == document_records.text(document_records.RECORDS[name]), "run `make docs`"


@pytest.mark.parametrize("name", document_records.RECORDS)
def test_a_record_keeps_its_schema_and_what_is_none_does_not(made, name):
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert codec.encode(codec.decode(document_records.RECORDS[name], made[name])) == made[name]
    assert list(validator.iter_errors(made[name])) == []
    for key, value in made[name].items():
        without = {other: each for other, each in made[name].items() if other != key}
        wrong = made[name] | {key: [value]}
        if key in LATER.get(name, ()):
            assert validator.is_valid(without)
        refused = [wrong, made[name] | {f"{key}_": value}, *([] if key in LATER.get(name, ()) else [without])]
        for record in refused:
            with pytest.raises(codec.ContractError):
                codec.decode(document_records.RECORDS[name], record)
            assert not validator.is_valid(record), key


@pytest.mark.parametrize("name", document_records.RECORDS)
def test_every_key_is_described(name):
    schema = document_records.schema(document_records.RECORDS[name])
    objects = {name: schema} | schema.get("$defs", {})
    assert len(objects) >= 2
    for called, each in objects.items():
        assert each["description"]
        later = LATER.get(name, ()) if each is schema else LATER_INSIDE.get(called, ())
        assert each["required"] == [key for key in each["properties"] if key not in later]
        for key, value in each["properties"].items():
            assert len(value["description"]) >= 4, key
