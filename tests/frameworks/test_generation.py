"""Generated tokens, from the gate's comparison to the report's table."""

import json
import math

import numpy as np
import pytest

import records
from arena import files, tensors
from arena.contract import codec
from arena.contract.verdict import Part
from arena.judging import distances, verdict
from judged_cell import NOTHING, OK, ROUNDS, TOLERANCES, JudgedCell
from platform_csv import collected, own_csv, refusal
from report_text import page, table_lines
from reporting import columns, serving, tables

REFERENCE = np.array([5, 7, 7, 2, 9])
MARGINS = np.array([0.5, 1.0, 1e-5, 0.3, 2.0])
TIE = 1e-4
REDUCED = TOLERANCES | {"mean_kl": 1e-2, "relative_l2": 1e-2}


def compared(tokens):
    figures = distances.compare_tokens(np.array(tokens), REFERENCE, MARGINS, TIE)
    return figures["tokens_ok"], figures["matching_tokens"], figures["divergence_margin"]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([5, 7, 7, 2, 9], (True, 5, None)),
        ([5, 7, 1, 8, 8], (True, 2, 1e-5)),  # a tie: what follows is another text
        ([5, 7, 7, 1, 9], (False, 3, 0.3)),
        ([1, 7, 7, 2, 9], (False, 0, 0.5)),
    ],
)
def test_tokens_agree_up_to_the_first_tie(tokens, expected):
    assert compared(tokens) == expected


@pytest.mark.parametrize("tokens", [[5, 7, 7, 2], [[5, 7, 7, 2, 9]], [5.0, 7.0, 7.0, 2.0, 9.0], []])
def test_what_is_no_row_of_so_many_token_ids_is_different(tokens):
    figures = distances.compare_tokens(np.array(tokens), REFERENCE, MARGINS, TIE)
    assert figures["shape_ok"] is False and "expected int64 [5]" in figures["note"]
    assert verdict.judge({"decode": figures}, TOLERANCES, 10)["verdict"] == "different"


def test_a_tie_is_twice_the_noise_or_twice_the_floor():
    assert distances.tie_margin(1e-3, 5.0) == 2e-3
    assert (
        distances.tie_margin(None, 5.0) == distances.tie_margin(1e-9, 5.0) == 2 * distances.NOISE_FLOOR * 5.0
    )


@pytest.fixture
def cell(tmp_path):
    """A cell of three rounds that also generated; ``tokens`` spoils one."""
    cell = JudgedCell(tmp_path)
    held = tensors.load(tmp_path / "reference.safetensors")
    tensors.save(
        tmp_path / "reference.safetensors", held | {"decode.tokens": REFERENCE, "decode.margins": MARGINS}
    )
    facts = files.read_json(tmp_path / "reference.json")
    facts["noise"]["decode"] = {"tie_margin": TIE}
    files.write_json(tmp_path / "reference.json", facts)
    for number in ROUNDS:
        generated(cell, number, REFERENCE)
    return cell


def generated(cell, number, tokens, **changes):
    tasks = {task: OK for task in ("inference", "latency", "decode", "training")}
    cell.record(number, tasks=tasks, **changes)
    kept = cell.outputs if tokens is None else cell.outputs | {"decode.tokens": np.array(tokens)}
    tensors.save(cell.directory / f"round-{number}.safetensors", kept)


def test_a_cell_that_generates_the_references_tokens_passes(cell):
    found = cell.judge()
    assert (found["verdict"], found["reasons"]) == ("pass", [])
    decode = found["parts"]["decode"]
    assert [decode[key] for key in ("verdict", "matching_tokens", "decode_tokens")] == ["pass", 5, 5]


def test_one_round_that_turns_off_decides(cell):
    generated(cell, 1, [5, 7, 1, 2, 9])  # earlier, but in a tie
    generated(cell, 2, [5, 7, 7, 3, 9])
    found = cell.judge()
    assert (found["verdict"], found["parts"]["decode"]["verdict"]) == ("different", "different")
    assert found["reasons"] == ["decode: token 4 of 5 differs, where the reference decides by 3e-1 (round 2)"]


def test_tokens_that_are_absent_although_the_task_ended_well_are_different(cell):
    generated(cell, 3, None)
    found = cell.judge()
    assert found["parts"]["decode"]["verdict"] == "different"
    assert "expected int64 [5]" in found["reasons"][0]


def test_a_task_that_failed_costs_itself_only(cell):
    ended = records.ended_task("unsupported", "no-kv-cache", "whole sequences only")
    for number in ROUNDS:
        tasks = dict.fromkeys(("inference", "latency", "training"), OK)
        cell.record(number, tasks=tasks | {"decode": ended})
    found = cell.judge()
    assert found["verdict"] == "pass" and found["parts"]["decode"] == NOTHING
    assert found["reasons"] == ["decode: unsupported (no-kv-cache): whole sequences only"]


def test_reduced_precision_tells_its_tokens_without_being_judged_by_them(cell):
    for number in ROUNDS:
        generated(cell, number, [5, 7, 7, 3, 9], lane="bfloat16")
    found = cell.judge(**{"--tolerances": [json.dumps(REDUCED)]})
    assert (found["verdict"], found["reasons"]) == ("pass", [])
    decode = found["parts"]["decode"]
    assert [decode[key] for key in ("verdict", "matching_tokens", "divergence_margin")] == [None, 3, 0.3]


def test_a_reference_without_its_tie_is_refused(cell):
    files.write_json(
        cell.directory / "reference.json",
        files.read_json(cell.directory / "reference.json") | {"noise": cell.noise},
    )
    assert "noise.decode.tie_margin" in cell.refused()


def decoding(row, first=20.0, total=80.0, **changes):
    return [
        records.generating(records.round_record(row, number, **changes), total, first) for number in (1, 2, 3)
    ]


def verdicts(**decode):
    record = records.verdict_record("eager")
    part = codec.encode(Part(verdict="pass", **decode))
    return [record | {"parts": record["parts"] | {"decode": part}}]


def test_speeds_are_tokens_over_median_times(tmp_path):
    judged = verdicts(matching_tokens=12, divergence_margin=2e-5)
    row = collected(tmp_path, decoding("eager"), judged, rows=("eager",))["eager"]
    assert (row["prompt_tokens"], row["new_tokens"], row["matching_tokens"]) == ("32", "16", "12")
    assert float(row["divergence_margin"]) == 2e-5
    # 32 tokens in 20 ms, always; 15 more in about 60 ms
    assert [float(row[f"prefill_tokens_per_s{end}"]) for end in ("_low", "", "_high")] == [1600.0] * 3
    assert float(row["decode_tokens_per_s"]) == pytest.approx(250, rel=0.05)
    assert float(row["decode_tokens_per_s_low"]) < float(row["decode_tokens_per_s"])
    assert float(row["decode_tokens_per_s"]) < float(row["decode_tokens_per_s_high"])
    assert float(row["decode_ms"]) == pytest.approx(80, rel=0.05)


def test_a_model_that_does_not_generate_has_no_such_figures(tmp_path):
    rounds = [records.round_record("eager", number) for number in (1, 2)]
    for record in rounds:  # another task's failure does not make this one asked for
        record["tasks"]["training"] = records.ended_task("failed", "error", "x")
    row = collected(tmp_path, rounds, [records.verdict_record("eager")], rows=("eager",))["eager"]
    names = [column.name for column in columns.GENERATION]
    assert {row[name] for name in (*names, "decode_status", "decode_reason", "decode_ms")} == {""}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda task: task.update(first_token_ns=None), "tasks.decode.first_token_ns is null"),
        (lambda task: task["first_token_ns"].pop(), "11 first_token_ns for 12 samples_ns"),
        (lambda task: task["first_token_ns"].__setitem__(0, 10**12), "each the shorter"),
    ],
)
def test_times_that_cannot_be_are_refused(tmp_path, change, words):
    rounds = decoding("eager")
    change(rounds[1]["tasks"]["decode"])
    message = refusal(tmp_path, rounds, verdicts(), rows=("eager",))
    assert "round-2.json" in message and words in message


def test_the_report_has_a_table_of_its_own(tmp_path):
    judged = [*verdicts(matching_tokens=16), records.verdict_record("compiled")]
    rounds = decoding("eager") + [records.round_record("compiled", number) for number in (1, 2, 3)]
    text = page(tmp_path, own_csv(tmp_path, rounds, judged))
    (line,) = table_lines(text, "### Serving Tiny at batch 1")
    assert line[:4] == ["PyTorch eager", "float32", "1600", "1600–1600"]  # noqa: RUF001
    assert float(line[4]) == pytest.approx(250, rel=0.05)
    assert line[6:8] == ["3 × 12", "16 of 16"]  # noqa: RUF001
    nothing = own_csv(tmp_path, rounds[3:], judged[1:], ("compiled",))
    assert "Serving" not in page(tmp_path, nothing)


def test_where_the_tokens_turn_off_is_said():
    row = {"matching_tokens": 3.0, "new_tokens": 64.0, "divergence_margin": 0.0123}
    assert serving.tokens(row) == "3 of 64, then a lead of 1.2e-02"
    assert serving.tokens(row | {"divergence_margin": None, "matching_tokens": 64.0}) == "64 of 64"


def test_csv_takes_the_new_columns_back(tmp_path):
    own = own_csv(tmp_path, decoding("eager"), verdicts(matching_tokens=16), ("eager",))
    (row,) = tables.read([own], columns.OWN_STATUSES)
    assert row["decode_tokens_per_s"] == pytest.approx(250, rel=0.05)
    assert (row["offline"], row["network_attempts"], row["loss_change"]) == (True, 0.0, -1.2e-7)
    assert math.isclose(row["mean_kl"], 2e-12)
