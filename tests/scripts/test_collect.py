"""The platform CSV: from rounds and verdicts on disk to rows."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import records
from platform_csv import arguments, collected, good, refusal
from reporting import columns, statistics
from reporting import rounds as rounds_module

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "workflow" / "scripts" / "collect_platform.py"


BOTH = [records.verdict_record("eager"), records.verdict_record("compiled")]


def test_a_cell_that_passed(tmp_path):
    rounds = good("eager") + good("compiled", 20.0)
    rows = collected(tmp_path, rounds, BOTH)
    eager, compiled = rows["eager"], rows["compiled"]
    assert list(rows) == ["eager", "compiled"]
    samples = [[record["tasks"]["inference"]["samples_ns"] for record in rounds[i : i + 3]] for i in (0, 3)]
    logs = np.log([[np.median(process) for process in cell] for cell in samples]) - np.log(1e6)
    expected = statistics.summary(samples[0])
    time, low, high = (float(eager[f"inference_{name}ms"]) for name in ("", "low_", "high_"))
    assert time == pytest.approx(np.exp(logs[0].mean()), abs=1e-6)  # the geometric mean of the medians
    # Two cells are too few for a prior or blocks: one variance, with four degrees of freedom, t = 2.776.
    half = 2.776445 * np.sqrt(logs.var(axis=1, ddof=1).mean() / 3)
    assert (low, high) == pytest.approx((time * np.exp(-half), time * np.exp(half)), abs=1e-6)
    assert float(eager["inference_p95_ms"]) == pytest.approx(expected.p95 / 1e6, abs=1e-6)
    assert (eager["inference_samples"], eager["rounds"]) == ("36", "3")
    assert (eager["inference_noisy"], eager["inference_steady"]) == ("false", "true")
    assert (eager["status"], eager["verdict"], eager["reason_code"]) == ("pass", "pass", "")
    assert float(compiled["inference_ratio"]) == pytest.approx(0.5, abs=0.03)
    assert float(compiled["inference_ratio_high"]) < 0.6
    assert eager["inference_ratio"] == eager["inference_ratio_low"] == "1.0"
    assert compiled["training_to_best"] == "1.0"
    assert (compiled["training_first"], eager["training_first"]) == ("true", "false")
    assert float(eager["training_to_best_low"]) > 1.8
    assert (eager["compile_s"], eager["compile_warm_s"]) == ("2.5", "1.04167")  # of 1.25 and 0.8333
    assert (eager["latency_compile_s"], eager["import_s"], eager["load_s"]) == ("2.5", "3.0", "0.2")
    assert (eager["inference_peak_mb"], eager["training_peak_mb"]) == ("600.0", "1500.0")  # above 100 MB
    assert eager["footprint_mb"] == "900.0"
    assert (eager["relative_l2"], eager["latency_relative_l2"]) == ("3.1e-07", "4e-07")
    assert (eager["gradient_cosine"], eager["worst_tensor"]) == ("0.99999999", "w")
    assert eager["noise_relative_l2"] == "2.9e-07"
    assert (eager["platform"], eager["cpu"]) == ("Xeon | <Gold>", "Xeon | <Gold>")
    assert (eager["weights"], eager["date"], eager["commit"]) == ("seeded (seed 7)", "2026-11-22", "abc123")
    assert eager["weights_sha256"] == "0" * 64
    assert (eager["steal_max"], eager["cores"], eager["memory_gb"]) == ("0.003", "2", "8.0")
    assert json.loads(eager["packages"]) == {"torch": "2.13.0", "numpy": "2.4.6"}
    assert (eager["log_tail"], eager["retry"]) == ("", "")
    assert (eager["baseline"], eager["measured_by"]) == ("PyTorch eager", "arena")


def test_same_records_give_the_same_bytes(tmp_path):
    rounds = good("eager") + good("compiled", 40.2)
    collected(tmp_path / "a", rounds, BOTH)
    collected(tmp_path / "b", rounds[::-1], BOTH[::-1])
    first, second = ((tmp_path / name / "local.csv").read_bytes() for name in "ab")
    assert first == second


def test_a_later_round_that_failed_fails_the_cell(tmp_path):
    rounds = good("eager") + good("compiled")
    rounds[4] = records.failed("compiled", 2, "crashed", "signal 11")
    rows = collected(tmp_path, rounds, [BOTH[0], records.verdict_record("compiled", None)])
    row = rows["compiled"]
    assert (row["status"], row["reason_code"], row["reason_detail"]) == ("failed", "crashed", "signal 11")
    assert [row[name] for name in ("inference_ms", "compile_s", "loss", "inference_to_best")] == [""] * 4
    assert row["log_tail"].splitlines() == [f"line {count}" for count in range(20, 40)]
    assert row["retry"] == "'my results/retry' local/Tiny/compiled 2"
    assert rows["eager"]["inference_to_best"] == "1.0"


def test_the_reason_is_that_of_the_first_failure_not_of_the_skipped_rounds(tmp_path):
    skipped = [records.failed("compiled", n, "skipped", "round 1 did not end well") for n in (2, 3)]
    rounds = [*good("eager"), records.failed("compiled", 1), *skipped]
    row = collected(tmp_path, rounds, [BOTH[0], records.verdict_record("compiled", None)])["compiled"]
    assert row["reason_code"] == "timeout"
    assert row["retry"].endswith("local/Tiny/compiled")


def test_an_unsupported_cell_has_a_reason_and_no_retry(tmp_path):
    rounds = good("eager") + [records.unsupported("compiled", number) for number in (1, 2, 3)]
    row = collected(tmp_path, rounds, [BOTH[0], records.verdict_record("compiled", None)])["compiled"]
    assert (row["status"], row["reason_code"]) == ("unsupported", "unsupported-model")
    assert (row["retry"], row["inference_ms"]) == ("", "")


def test_a_task_that_one_round_could_not_do_has_no_figures(tmp_path):
    rounds = good("eager") + good("compiled")
    rounds[5]["tasks"]["training"] = records.ended_task("failed", "timeout", "900 s")
    row = collected(tmp_path, rounds, BOTH)["compiled"]
    assert row["status"] == "pass"
    assert (row["training_ms"], row["training_status"]) == ("", "failed")
    assert row["training_reason"] == "timeout: 900 s"
    assert float(row["inference_ms"]) > 0
    assert row["retry"].endswith("local/Tiny/compiled 3")


def test_a_task_after_a_crash_is_failed_and_one_not_asked_for_is_empty(tmp_path):
    rounds = good("eager") + good("compiled")
    for record in rounds[:3]:
        del record["tasks"]["training"]  # neither asked for nor measured
        record["cell"]["protocol"]["tasks"] = ["inference", "latency"]
    rounds[3]["tasks"] = {
        "inference": rounds[3]["tasks"]["inference"],
        "latency": records.ended_task("failed", "crashed", "signal 11"),
    }
    rows = collected(tmp_path, rounds, BOTH)
    assert (rows["eager"]["training_status"], rows["eager"]["training_reason"]) == ("", "")
    assert rows["compiled"]["training_status"] == "failed"
    assert rows["compiled"]["training_reason"].startswith("skipped")


def test_only_passing_rows_of_one_lane_are_ranked_together(tmp_path):
    rounds = good("eager") + good("compiled", 20.0) + good("onnx", 10.0) + good("jax", 5.0, lane="bfloat16")
    verdicts = [
        records.verdict_record("eager"),
        records.verdict_record("compiled", "close"),
        records.verdict_record("onnx", "different"),
        records.verdict_record("jax"),
    ]
    rows = collected(tmp_path, rounds, verdicts, rows=("eager", "compiled", "onnx", "jax"))
    assert [rows[row]["inference_to_best"] for row in rows] == ["1.0", "", "", "1.0"]
    assert float(rows["compiled"]["inference_ratio"]) == pytest.approx(0.5, abs=0.03)
    assert rows["onnx"]["verdict_reasons"] == "inference: relative L2 3.1e-2 > 1e-4"


@pytest.mark.parametrize("verdict", ["different", None])
def test_no_ratio_to_a_baseline_that_is_wrong_or_failed(tmp_path, verdict):
    first = good("eager") if verdict else [records.failed("eager")]
    rounds = first + good("compiled")
    rows = collected(tmp_path, rounds, [records.verdict_record("eager", verdict), BOTH[1]])
    assert rows["compiled"]["inference_ratio"] == ""
    assert rows["compiled"]["inference_to_best"] == "1.0"


def test_noisy_unsteady_and_single_rounds_are_recorded(tmp_path):
    rounds = good("eager", rounds=1) + good("compiled")
    task = rounds[0]["tasks"]["inference"]
    task["samples_ns"] = np.linspace(1e6, 2e6, 20).astype(int).tolist()
    task["steady"] = False
    row = collected(tmp_path, rounds, BOTH)["eager"]
    assert (row["inference_noisy"], row["inference_steady"], row["rounds"]) == ("true", "false", "1")
    assert (row["latency_steady"], row["compile_warm_s"]) == ("true", "")


def test_automatic_label_is_the_accelerator_where_one_ran(tmp_path):
    rounds = good("eager", accelerator="cuda", device="NVIDIA H100") + good("compiled")
    assert collected(tmp_path / "a", rounds, BOTH)["eager"]["platform"] == "NVIDIA H100"
    assert collected(tmp_path / "b", rounds, BOTH, label="Desk")["eager"]["platform"] == "Desk"


def test_models_and_rows_come_in_the_order_asked_for(tmp_path):
    rounds = [records.round_record(row, 1, model) for model in ("A", "B") for row in ("eager", "compiled")]
    verdicts = [
        records.verdict_record(row, "pass", model) for model in ("A", "B") for row in ("eager", "compiled")
    ]
    found = list(collected(tmp_path, rounds, verdicts, models=("B", "A"), rows=("compiled", "eager")))
    assert found == [("B", "compiled"), ("B", "eager"), ("A", "compiled"), ("A", "eager")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r, v: r.pop(), "Tiny / compiled: no round among the files"),
        (lambda r, v: r.pop(0), r"Tiny / eager: rounds \[2, 3\]; expected 1 to 3 without a gap"),
        (lambda r, v: v.pop(), "Tiny / compiled: no verdict"),
        (lambda r, v: r.append(records.round_record("jax")), "Tiny / jax: a round of a cell"),
        (lambda r, v: v.append(records.verdict_record("jax")), "Tiny / jax: a verdict of a cell"),
        (
            lambda r, v: r[0]["cell"].update(platform="other"),
            r"round-1\.json: platform is 'other'; expected 'local'",
        ),
        (
            lambda r, v: r[0].update(schema=1),
            r"round-1\.json: schema: expected 2, got 1; delete the file and measure",
        ),
        (lambda r, v: r[0].update(status="fine"), r"round-1\.json: status: expected 'ok' or .*, got 'fine'"),
        (lambda r, v: r[0].pop("tasks"), r"round-1\.json: tasks: missing"),
        (lambda r, v: r[0]["tasks"]["latency"].pop("samples_ns"), r"tasks\.latency\.samples_ns: missing"),
        (lambda r, v: r[0]["tasks"]["latency"].update(samples_ns=[]), "latency: round 1: no samples"),
        (
            lambda r, v: r[0]["tasks"]["latency"].update(samples_ns=[5, -1]),
            r"samples_ns\[1\]: expected at least 0",
        ),
        (lambda r, v: v[0].update(verdict="fine"), r"eager\.json: verdict: expected .* got 'fine'"),
        (lambda r, v: v[0].update(verdict=None), "Tiny / eager: every round is ok, yet its verdict is null"),
    ],
)
def test_records_that_do_not_fit_together_are_refused(tmp_path, change, words):
    rounds, verdicts = good("eager") + good("compiled", rounds=1), [json.loads(json.dumps(v)) for v in BOTH]
    change(rounds, verdicts)
    assert re.search(words, refusal(tmp_path, rounds, verdicts))


def test_broken_or_missing_files_are_named(tmp_path):
    rounds = good("eager") + good("compiled")
    command = [sys.executable, str(SCRIPT), *arguments(tmp_path, rounds, BOTH)]

    def complaint():
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "Traceback" not in ended.stderr
        return ended.stderr

    source = tmp_path / "models" / "Tiny" / "source.json"
    third = tmp_path / "benchmarks" / "local" / "Tiny" / "eager" / "round-3.json"
    source.write_text('{"kind": "found in the street"}')
    assert "source.json: kind 'found in the street'" in complaint()
    source.write_text('{"kind": "hub", "repository": "a/b"}')
    assert "source.json: key 'revision' is missing" in complaint()
    third.write_text('{"schema": 1,')
    assert "round-3.json: not a readable JSON file" in complaint()
    third.unlink()
    assert "round-3.json" in complaint()
    assert not (tmp_path / "local.csv").exists()


def test_weights_from_the_hub_are_named_and_each_model_needs_its_source(tmp_path):
    source = tmp_path / "A" / "source.json"
    source.parent.mkdir()
    source.write_text('{"kind": "hub", "repository": "a/b", "revision": "1f2e", "files": {}}')
    assert rounds_module.weights([source], ["A"]) == {"A": ("hub a/b@1f2e", None)}
    with pytest.raises(ValueError, match=r"B: no B/source\.json among --sources"):
        rounds_module.weights([source], ["A", "B"])


def test_documentation_lists_every_column():
    page = (ROOT / "docs" / "platform-csv.md").read_text(encoding="utf-8")
    assert page.endswith(columns.documentation())
    assert columns.NAMES[5:11] == ("status", "compile_s", "inference_ms", "latency_ms", "training_ms", "loss")
    assert len(set(columns.NAMES)) == len(columns.NAMES)
