"""What a row's users lose, as the tables tell it: against the reference, and against the framework's float32 row."""

import pytest

import records
from platform_csv import analysis_of, good, own_csv
from reporting import analysis, columns, quality

TOLD = {"status": "ok", "reason": None, "tokens": 2048, "loss": 4.1, "seconds": 9.0}
EXACT = {
    "tokens": 2048, "kl_positions": 128, "reference_perplexity": 60.0, "perplexity": 60.0,
    "perplexity_change": 1e-9, "perplexity_change_error": 2e-9, "top1_agreement": 0.9995, "mean_kl": 1e-11,
    "mean_kl_error": 1e-12, "note": None,
}  # fmt: skip
COARSE = EXACT | {
    "perplexity": 63.0, "perplexity_change": 0.05, "perplexity_change_error": 0.006, "top1_agreement": 0.91,
    "mean_kl": 0.03, "mean_kl_error": 0.004,
}  # fmt: skip


def run(tmp_path, exact=EXACT, coarse=COARSE, told=TOLD, verdict="pass"):
    """The rows of a float32 cell and of one in int8, whose framework's float32 row the first is."""
    rounds = good("eager") + good("compiled")
    verdicts = [records.verdict_record(name, verdict) for name in ("eager", "compiled")]
    rounds[0]["quality"], rounds[3]["quality"] = TOLD, told
    for one, text in zip(verdicts, (exact, coarse), strict=True):
        one["parts"]["quality"] = text
    for record in rounds[3:]:
        record["cell"]["lane"] = "int8"
    verdicts[1]["lane"] = "int8"
    path = own_csv(tmp_path, rounds, verdicts, float32_rows={"compiled": "eager"})
    return analysis.read([analysis_of(path)])


def test_a_reduced_row_is_held_against_the_reference_and_against_its_float32_row(tmp_path):
    eager, compiled = run(tmp_path)
    assert (compiled["quality_status"], compiled["quality_tokens"]) == ("ok", 2048)
    assert (compiled["quality_perplexity"], compiled["quality_perplexity_change"]) == (63.0, 0.05)
    assert compiled["quality_perplexity_float32_change"] == pytest.approx(0.05)
    assert compiled["quality_top1_float32_change"] == pytest.approx(0.91 - 0.9995)
    assert compiled["quality_kl_float32_change"] == pytest.approx(0.03, rel=1e-6)
    assert eager["quality_kl"] == 1e-11 and eager.get("quality_kl_float32_change") is None


def test_a_wrong_float32_row_is_nothing_to_compare_with(tmp_path):
    _, compiled = run(tmp_path, verdict="different")
    assert compiled["quality_kl"] == 0.03
    assert compiled.get("quality_kl_float32_change") is None


def test_a_text_that_was_not_predicted_says_why_and_has_no_figures(tmp_path):
    told = {"status": "failed", "reason": {"code": "error", "detail": "no"}, "tokens": None}
    _, compiled = run(tmp_path, coarse=None, told=told | {"loss": None, "seconds": None})
    assert (compiled["quality_status"], compiled["quality_reason"]) == ("failed", "error: no")
    assert compiled.get("quality_kl") is None
    assert quality.known([compiled]) == [] and quality.drawn(compiled) is None


def test_the_table_has_changes_with_their_signs_and_errors(tmp_path):
    eager, compiled = quality.table(run(tmp_path))
    assert (compiled["change"], compiled["change_float32"]) == ("+5 % ± 0.6", "+5 %")
    assert (compiled["top1"], compiled["top1_float32"]) == ("91 %", "-8.9 points")
    assert (compiled["kl"], compiled["kl_float32"]) == ("3.0e-02 ± 4.0e-03", "+3.0e-02")
    assert (eager["change_float32"], eager["kl_float32"]) == ("—", "—")


def test_what_is_drawn_is_what_is_lost(tmp_path):
    _, compiled = run(tmp_path)
    assert quality.drawn(compiled) == {"kl": 0.03, "perplexity": 5.0, "top1": 9.0}
    assert list(quality.drawn(compiled)) == list(quality.MEASURES)


def test_seeded_weights_have_learnt_no_language():
    assert not quality.is_language("seeded (seed 1)")
    assert quality.is_language("path smollm2 (sha256 abc)")


def test_every_column_has_a_place():
    names = {column.name for column in columns.QUALITY}
    assert names <= set(columns.NAMES)
    assert {name for name in names if name.endswith("_change")} <= columns.SIGNED
    assert set(quality.FIGURES) <= names & columns.NUMERIC
