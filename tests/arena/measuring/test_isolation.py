"""A measuring process for real: generation as it is timed, its start, and the network that it has not."""

import socket
import sys
import time
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

import jobs
import measure
from arena import files, tensors
from arena.measuring import supervisor

TOKENS = [3, 1, 4, 1]
OPTIONS = {"prefill_s": 0.03, "token_s": 0.005, "tokens": TOKENS}
TASKS = ["inference", "decode"]
needs_namespaces = pytest.mark.skipif(
    not supervisor.isolation(), reason="this system lets no ordinary user cut a process off from the network"
)


def measured(folder, options=OPTIONS, **changes):
    """One round of the framework of tests/support/adapters/generating.py: its record, and its outputs."""
    ids = np.arange(12).reshape(1, 12)
    inputs = {"inference.input_ids": ids, "latency.input_ids": ids[:, :1], "decode.input_ids": ids}
    tensors.save(folder / "inputs.safetensors", inputs | {"target": np.arange(12) % 8})
    tensors.save(folder / "model.safetensors", {"weight": np.ones(3, np.float32)})
    files.write_json(folder / "config.json", {"definition": "llama"})
    cell = jobs.cell(
        row="generating",
        definition="llama",
        options=options,
        decode_tokens=len(TOKENS),
        protocol=jobs.protocol(tasks=TASKS, **changes),
    )
    record = jobs.measured(cell, jobs.paths(folder, adapter=jobs.ADAPTERS / "generating.py"))
    return record, tensors.load(folder / "outputs.safetensors")


def test_generation_is_timed_whole_and_to_its_first_token(tmp_path):
    record, outputs = measured(tmp_path)
    assert list(record.tasks) == TASKS
    decode = record.tasks["decode"]
    assert decode.status == "ok", decode
    assert len(decode.samples_ns) == len(decode.first_token_ns) >= 5
    assert (decode.prompt_tokens, decode.new_tokens) == (12, 4)
    for total, first in zip(decode.samples_ns, decode.first_token_ns, strict=True):
        assert first >= 30e6 and total - first >= 3 * 5e6  # a sleep may last longer, never shorter
    assert outputs["decode.tokens"].tolist() == TOKENS and outputs["decode.tokens"].dtype == np.int64
    assert record.memory.decode_peak_bytes > 0


def test_cold_start_is_from_the_process_to_its_first_output(tmp_path):
    record, _ = measured(tmp_path)
    known = record.import_s + record.load_s + record.compile_s
    assert known < record.cold_start_s < record.duration_s


def test_what_only_the_arena_does_is_no_part_of_a_cold_start(tmp_path):
    record, _ = measured(tmp_path, OPTIONS | {"own_s": 1000})
    assert -1000 < record.cold_start_s < record.duration_s - 1000
    assert 0 < measure.RECORDS_S < 1
    job = replace(jobs.job(tmp_path, adapter=jobs.ADAPTERS / "generating.py"), cell=record.cell)
    ours = measure.Measurement(job, own_s=500)
    ours.run()
    assert -1600 < ours.record.first_output_monotonic_s - time.monotonic() < -1500


@needs_namespaces
def test_a_process_is_cut_off_and_a_clean_one_tries_nothing(tmp_path):
    record, _ = measured(tmp_path)
    assert (record.offline, record.network_attempts) == (True, 0)
    assert record.command[0] == "unshare"


@needs_namespaces
def test_an_attempt_is_counted_and_leads_nowhere(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(0.5)
        reach = ["192.0.2.1", "2001:db8::1", "127.0.0.1"]
        record, _ = measured(tmp_path, OPTIONS | {"reach": reach})
        assert record.status == "ok" and record.offline is True
        assert record.network_attempts >= 2
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_run_may_keep_its_network(tmp_path):
    record, _ = measured(tmp_path, offline=False)
    assert (record.offline, record.network_attempts) == (False, None)
    assert record.command[0] == sys.executable
