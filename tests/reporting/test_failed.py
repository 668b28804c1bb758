"""What failed on a platform, from its rounds and verdicts."""

import records
from arena.contract import codec, failures
from arena.contract.round import Limits
from arena.contract.verdict import Parts
from platform_csv import collected, good
from reporting import analysis

LIMITS = {"timeout_s": 900.0, "memory_mb": 0, "memory_bytes": 8_000_000_000, "raised": ""}
BOTH = [records.verdict_record("eager"), records.verdict_record("compiled")]


def found(tmp_path, rounds, verdicts, **options):
    collected(tmp_path, rounds, verdicts, **options)
    return failures.read(tmp_path / "failures.json").failures


def test_where_all_is_well_nothing_is_failed(tmp_path):
    assert found(tmp_path, good("eager") + good("compiled"), BOTH) == []


def test_a_failed_cell_with_its_first_failed_round_limits_and_preparations(tmp_path):
    rounds = good("eager") + good("compiled")
    rounds[4] = records.failed("compiled", 2, "timeout", "no end after 900 s") | {"limits": LIMITS}
    verdicts = [BOTH[0], records.verdict_record("compiled", None)]
    prepared = '{"Tiny/compiled": ["results/exports/Tiny/onnx/model.onnx.json"], "Tiny/eager": ["other"]}'
    (failure,) = found(tmp_path, rounds, verdicts, prepared=prepared)
    assert (failure.cell, failure.task, failure.round) == ("local/Tiny/compiled", None, 2)
    assert (failure.code, failure.detail) == ("timeout", "no end after 900 s")
    assert failure.record.endswith("compiled/round-2.json")
    assert failure.limits == Limits(**LIMITS)
    assert failure.prepared == ["results/exports/Tiny/onnx/model.onnx.json"]


def test_a_cell_that_was_held_to_nothing_has_failed_and_its_figures_are_gone(tmp_path):
    why = {"code": "no-reference", "detail": "IndexError: class 10000"}
    unjudged = records.verdict_record("eager", None, unjudged=why, noise={}, parts=codec.encode(Parts()))
    rounds, verdicts = good("eager") + good("compiled"), [unjudged, BOTH[1]]
    prepared = '{"Tiny/eager": ["results/models/Tiny/reference.json"]}'
    (failure,) = found(tmp_path, rounds, verdicts, prepared=prepared)
    assert (failure.cell, failure.code, failure.detail) == ("local/Tiny/eager", *why.values())
    assert (failure.task, failure.round) == (None, 1)
    eager, compiled = analysis.read([tmp_path / "local.json"])
    assert (eager["status"], eager["reason_code"]) == ("failed", "no-reference")
    assert eager["inference_ms"] is eager["loss"] is None and compiled["inference_ms"] > 0
    assert (
        compiled["inference_first"] and compiled["inference_ratio"] is None
    )  # the baseline was held to nothing


def test_the_rounds_that_were_skipped_after_it_are_no_failures(tmp_path):
    skipped = [records.failed("compiled", n, "skipped", "round 1 did not end well") for n in (2, 3)]
    rounds = [*good("eager"), records.failed("compiled", 1, "crashed", "signal 11"), *skipped]
    (failure,) = found(tmp_path, rounds, [BOTH[0], records.verdict_record("compiled", None)])
    assert (failure.round, failure.code) == (1, "crashed")


def test_a_failed_task_of_a_cell_that_was_measured(tmp_path):
    rounds = good("eager") + good("compiled")
    rounds[5]["tasks"]["training"] = records.ended_task("failed", "timeout", "900 s")
    (failure,) = found(tmp_path, rounds, BOTH)
    assert (failure.cell, failure.task, failure.round) == ("local/Tiny/compiled", "training", 3)
    assert (failure.code, failure.detail) == ("timeout", "900 s")


def test_a_text_that_was_not_predicted_is_a_failure_of_its_own(tmp_path):
    rounds = good("eager") + good("compiled")
    rounds[3]["quality"] = records.ended_task("failed", "error", "ValueError: no")
    rounds[3]["quality"] = {key: rounds[3]["quality"][key] for key in ("status", "reason")}
    rounds[3]["quality"] |= {"tokens": None, "loss": None, "seconds": None}
    (failure,) = found(tmp_path, rounds, BOTH)
    assert (failure.cell, failure.task, failure.round) == ("local/Tiny/compiled", "quality", 1)
    assert (failure.code, failure.detail) == ("error", "ValueError: no")


def test_a_round_that_was_measured_again_for_a_raised_limit_is_known(tmp_path):
    rounds = good("eager") + good("compiled")
    rounds[5] |= {"limits": LIMITS | {"raised": "timeout_s is 900"}}
    collected(tmp_path, rounds, BOTH)
    ((path, why),) = failures.read(tmp_path / "failures.json").raised.items()
    assert path.endswith("compiled/round-3.json") and why == "timeout_s is 900"


def test_what_is_unsupported_is_not_failed(tmp_path):
    rounds = good("eager") + [records.unsupported("compiled", number) for number in (1, 2, 3)]
    assert found(tmp_path, rounds, [BOTH[0], records.verdict_record("compiled", None)]) == []
    rounds = good("eager") + good("compiled")
    for record in rounds[3:]:
        record["tasks"]["training"] = records.ended_task("unsupported", "no-training", "it has none")
    assert found(tmp_path / "task", rounds, BOTH) == []
