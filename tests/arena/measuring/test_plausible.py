"""What a process can have measured: every way in which an engine's record has lied or broken down, as a table."""

import json
import time

import pytest

import jobs
from arena.contract import codec
from arena.contract.measured import Measured
from arena.measuring import plausible
from records import ended_task, ok_task

CELL = jobs.cell(protocol=jobs.protocol(tasks=["inference", "decode"]), decode_tokens=4)
TASK = ok_task(samples_ns=[5000, 5000], warmup_ns=[9000])
DECODE = TASK | {"first_token_ns": [2000, 2000], "prompt_tokens": 3, "new_tokens": 4}
RECORD = codec.encode(
    codec.build(Measured, status="ok", stage="done", tasks={"inference": TASK, "decode": DECODE})
)


def check(text):
    """Read ``text`` as the supervisor does, of a process that lived for two seconds."""
    plausible.check(codec.from_text(Measured, text), CELL, 2.0)


def test_an_honest_record_is_taken():
    check(json.dumps(RECORD))
    check(json.dumps(RECORD | {"stage": "decode", "tasks": {"inference": TASK}}))  # it died there
    failed = ended_task("failed", "error", "no")
    check(json.dumps(RECORD | {"tasks": RECORD["tasks"] | {"decode": failed}}))


def with_task(**changes):
    return {"tasks": RECORD["tasks"] | {"inference": TASK | changes}}


def with_decode(**changes):
    return {"tasks": RECORD["tasks"] | {"decode": DECODE | changes}}


ENERGY = {"joules": 1.0, "seconds": 1.0, "iterations": 1}
REASON = {"code": "error", "detail": "no"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tasks": []}, "tasks: expected object, got list"),
        ({"tasks": {}}, "tasks.inference: missing, though the process is done"),
        ({"tasks": {"inference": TASK, "decode": DECODE, "training": TASK}}, "tasks.training: was not asked for"),
        ({"tasks": {"inference": TASK, "sorcery": TASK}}, "tasks.sorcery: expected 'inference' or"),
        ({"loss": float("nan")}, "loss: expected a finite number, got nan"),
        ({"loss": float("-inf")}, "loss: expected a finite number, got -inf"),
        ({"loss": 10**400}, "loss: expected a number of 64 bits"),
        ({"loss": "6.0"}, "loss: expected float, got str"),
        ({"version": "\ud800"}, "version: expected text, got half a character"),
        ({"\udfff": 1}, r"\udfff: unknown"),
        ({"backend": "x" * 2000}, "backend: a text of 2000 characters"),
        ({"platform": "Apple M3"}, "platform: unknown"),
        ({"cell": {}}, "cell: unknown"),
        ({"schema": 2}, "schema: unknown"),
        ({"memory": None}, "memory: expected object, got null"),
        ({"threads_reported": 10**30}, "threads_reported: expected a number of 64 bits"),
        ({"threads_reported": True}, "threads_reported: expected int, got bool"),
        ({"status": "pass"}, "status: expected 'ok' or 'failed'"),
        ({"status": "failed"}, "reason: null, though the status is failed"),
        ({"reason": REASON}, "reason: given, though the status is ok"),
        ({"status": "failed", "reason": {"code": "No such", "detail": ""}}, "reason.code: 'No such'; expected words"),
        ({"import_s": -1.0}, "import_s: -1 s; expected between 0 and"),
        ({"load_s": 1e308}, "load_s: 1e+308 s; expected between 0 and"),
        ({"first_output_monotonic_s": 1e12}, "first_output_monotonic_s: 1000000000000.0, which is yet to come"),
        (with_task(samples_ns=["5000"]), "tasks.inference.samples_ns[0]: expected int, got str"),
        (with_task(samples_ns="5000"), "tasks.inference.samples_ns: expected list, got str"),
        (with_task(samples_ns=[5000.5]), "tasks.inference.samples_ns[0]: expected int, got float"),
        (with_task(samples_ns=[-5000]), "tasks.inference.samples_ns[0]: expected at least 0, got -5000"),
        (with_task(samples_ns=[10**30]), "tasks.inference.samples_ns[0]: expected a number of 64 bits"),
        (with_task(samples_ns=[]), "tasks.inference.samples_ns: empty, though the task is ok"),
        (with_task(samples_ns=None), "tasks.inference.samples_ns: null, though the task is ok"),
        (with_task(samples_ns=[5000, 5]), "tasks.inference.samples_ns[1]: 5 ns; expected at least 100"),
        (with_task(warmup_ns=[0]), "tasks.inference.warmup_ns[0]: 0 ns; expected at least 100"),
        (with_task(samples_ns=[9 * 10**9]), "tasks: 9.00"),  # seconds, of a life of two
        (with_task(compile_s=60.0), "tasks.inference.compile_s: 60 s; expected between 0 and"),
        (with_task(device_ns=[1]), "tasks.inference.device_ns: 1 entries for 2 samples"),
        (with_task(energy=ENERGY | {"iterations": 0}), "tasks.inference.energy: 1.0 J in 1.0 s and 0 iterations"),
        (with_task(energy=ENERGY | {"seconds": 0}), "tasks.inference.energy: 1.0 J in 0.0 s"),
        (with_task(energy=ENERGY | {"joules": -5}), "tasks.inference.energy: -5.0 J"),
        (with_task(status="unsupported"), "tasks.inference.reason: null, though the status is unsupported"),
        (with_decode(first_token_ns=None), "tasks.decode.first_token_ns: null, though the task is ok"),
        (with_decode(first_token_ns=[2000]), "tasks.decode.first_token_ns: 1 entries for 2 samples"),
        (with_decode(first_token_ns=[2000, 6000]), "tasks.decode.first_token_ns[1]: 6000 ns of a generation of 5000"),
        (with_decode(new_tokens=400), "tasks.decode.new_tokens: 400; expected 4, as asked"),
    ],
)  # fmt: skip
def test_what_no_process_can_have_measured_is_refused(changes, says):
    with pytest.raises(codec.ContractError) as refused:
        check(json.dumps(RECORD | changes))
    assert says in str(refused.value)
    assert str(refused.value).encode()  # it can be written


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"loss": ' + "9" * 5000 + "}", "not readable JSON"),
        ("null", "expected object, got null"),
        ("", "not readable JSON"),
    ],
)
def test_what_is_no_record_at_all_is_refused(text, says):
    with pytest.raises(codec.ContractError, match=says):
        check(text)


def test_the_clock_of_the_first_output_is_this_machine_s():
    check(json.dumps(RECORD | {"first_output_monotonic_s": time.monotonic() - 1}))
