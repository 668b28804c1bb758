"""Findings: what they say of made-up runs, and of the published rows, about which claims are known."""

import math

import pytest

from pages import mixed, published_row, write_rows
from published_csv import PUBLISHED
from reporting import findings, intake
from reporting.columns import OWN_STATUSES, PUBLISHED_STATUSES
from reporting.document import build
from reporting.marks import BEST


def rows(path):
    return intake.read([path], OWN_STATUSES)


def found_in(own, published):
    """The findings of the document of these rows."""
    captions = {row["model"]: {} for row in own}
    return build.report(list(own), list(published), captions).findings


@pytest.fixture(scope="module")
def published():
    return found_in([], intake.read(PUBLISHED, PUBLISHED_STATUSES))


def one(found, kind, **where):
    """The one finding of a kind at a place."""
    fits = [
        f for f in found if f.kind == kind and all(getattr(f, key) == value for key, value in where.items())
    ]
    assert len(fits) == 1, fits
    return fits[0]


def said(found, *words):
    """The one finding whose text has all the words."""
    fits = [finding for finding in found if all(word in finding.text for word in words)]
    assert len(fits) == 1, [finding.text for finding in fits]
    return fits[0]


# The claims made about the published rows, as they are: computed from the CSVs, here with the true figures.


@pytest.mark.parametrize(
    ("does", "by_model"),
    [
        ("infers", {"SmolLM2-135M": 356 / 97, "SmolVLA": 173 / 13, "StableDiffusion": 504 / 6.9}),
        ("trains", {"SmolLM2-135M": 699 / 253, "SmolVLA": 117 / 24, "StableDiffusion": 222 / 9.3}),
    ],
)
def test_mlx_is_several_times_as_fast_as_pytorch_on_the_m3(published, does, by_model):
    finding = said(published, "Apple M3: MLX", does)
    assert finding.kind == "speed-up" and finding.basis == "rounding of the figures"
    for model, times in by_model.items():
        assert f"{model} {times:#.3g} (" in finding.text
    # The claim is 3 to 50 times; the range of inference is 3.7 to 73, of training 2.8 to 24.
    least, most = min(by_model.values()), max(by_model.values())
    assert finding.low < least < most < finding.high
    assert finding.estimate == pytest.approx(math.sqrt(least * most))
    assert {cell["framework"] for cell in finding.cells} == {"MLX", "PyTorch"}
    assert {cell["model"] for cell in finding.cells} == set(by_model)


def test_llama_cpp_is_ahead_of_mlx_for_the_language_model_on_the_m3(published):
    finding = one(published, "fastest", platform="Apple M3", model="SmolLM2-135M", task="inference")
    assert "GGML (49 ms) is first; 1.98 (1.95–2.01) times as fast as the next, MLX (97 ms)" in finding.text  # noqa: RUF001
    assert finding.estimate == pytest.approx(97 / 49)
    assert (finding.low, finding.high) == pytest.approx((96.5 / 49.5, 97.5 / 48.5))


def test_pytorch_is_ahead_in_training_on_nvidia(published):
    finding = said(published, "NVIDIA, training: PyTorch is first")
    assert "in 9 of the 10 cells in which it is ranked, 1 of them tied" in finding.text
    assert "not on NVIDIA GeForce RTX 5080 / Whisper-tiny (Meganeura)" in finding.text
    assert finding.estimate == 0.9
    assert (finding.low, finding.high) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert len(finding.cells) == 9


def test_onnx_runtime_is_strong_on_amd(published):
    finding = said(published, "AMD, inference: ONNX Runtime is first")
    assert "in 3 of the 3 cells in which it is ranked" in finding.text
    assert {(cell["platform"], cell["model"]) for cell in finding.cells} == {
        ("AMD Radeon 890M Graphics", model) for model in ("SmolVLA", "Whisper-tiny", "ResNet-50")
    }
    assert finding.high == 1.0 and finding.low == pytest.approx(0.4385, abs=1e-4)


def test_rows_with_wrong_results_lead_nothing(published):
    # Candle's 22 ms on the M3 would be first, were its loss right.
    first = one(published, "fastest", platform="Apple M3", model="SmolLM2-135M", task="inference")
    assert "Candle" not in first.text
    wrong = said(published, "Apple M3: Candle has wrong results in")
    assert {cell["model"] for cell in wrong.cells} == {"SmolLM2-135M", "StableDiffusion"}


# A run of our own.


def test_ties_are_ties_and_leads_have_the_interval_of_the_csv(tmp_path):
    own = rows(mixed(tmp_path, compiled=60.0))
    found = found_in(own, [])
    finding = one(found, "fastest", task="inference")
    compiled = own[1]
    assert finding.text.startswith("This machine, Tiny: inference: PyTorch eager (40 ms) is first; 1.49 (")
    stored = [compiled[f"inference_to_best{end}"] for end in ("", "_low", "_high")]
    assert [
        finding.estimate,
        finding.low,
        finding.high,
    ] == stored and finding.basis == "95 %, between processes"
    tied = one(found_in(rows(mixed(tmp_path / "tied")), []), "fastest", task="inference")
    assert "tie of PyTorch" in tied.text and tied.estimate is None and len(tied.cells) == 2


def test_who_is_first_is_what_the_document_s_marks_say(tmp_path):
    """Sentences and tables name the same first, whatever made the document say so."""
    own = rows(mixed(tmp_path, compiled=60.0))
    report = build.report(own, [], {"Tiny": {}})
    marked = {
        (line.row["framework"], each.quantity.column)
        for line in report.lines()
        for each in line.figures
        if each.mark == BEST and each.quantity.column != "compile_s"
    }
    told = {
        (finding.cells[0]["framework"], finding.cells[0]["column"])
        for finding in report.findings
        if finding.kind == "fastest"
    }
    assert told == marked and marked
    firsts = {id(row): set() for row in own} | {id(own[1]): {"inference_ms"}}
    turned = one(findings.find(own, [], firsts), "fastest", task="inference")
    assert turned.text.startswith("This machine, Tiny: inference: PyTorch compiled (60 ms) is first")


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(20.0, "has paid for it after"), (40.1, "within the noise (never, or from"), (60.0, "it never pays")],
)
def test_compile_time_pays_after_a_number_of_calls(tmp_path, milliseconds, words):
    own = rows(mixed(tmp_path, compiled=milliseconds))
    own[1]["compile_s"] = 12.5  # ten seconds more than the baseline
    finding = one(found_in(own, []), "compile")
    assert words in finding.text and "compiles 10.00 s longer than PyTorch eager" in finding.text
    if milliseconds == 20.0:
        saved = own[0]["inference_ms"] * (1 - own[1]["inference_ratio"])
        assert finding.estimate == pytest.approx(10_000 / saved)
        assert finding.low < finding.estimate < finding.high
    else:
        assert finding.estimate is None


def test_footprint_against_speed_names_what_nothing_beats_in_both(tmp_path):
    own = rows(mixed(tmp_path, compiled=60.0))
    own[0]["footprint_mb"], own[1]["footprint_mb"] = 900.0, 100.0
    finding = one(found_in(own, []), "footprint")
    assert (
        "nothing is both smaller and faster than PyTorch eager (900 MB, 40 ms), PyTorch compiled"
        in finding.text
    )
    own[1]["footprint_mb"] = 1000.0
    assert "PyTorch eager (900 MB, 40 ms) is the smallest" in one(found_in(own, []), "footprint").text


def test_the_gate_and_failures_give_their_reasons(tmp_path):
    found = [f.text for f in found_in(rows(mixed(tmp_path)), []) if f.kind == "gate"]
    assert found == [
        "This machine: ONNX Runtime is beyond the tolerance in Tiny: inference: relative L2 3.1e-2 > 1e-4.",
        "This machine: JAX failed in Tiny: crashed: no end after 900 s.",
    ]


def test_a_float32_row_that_is_tf32_is_told_with_the_row_that_says_so(tmp_path):
    own = rows(mixed(tmp_path))
    strict = next(row for row in own if row["framework"] == "ONNX Runtime")
    strict |= {
        "status": "different",
        "verdict_reasons": "inference: computes in TF32, whatever it calls itself",
    }
    alone = said(found_in(own, []), "ONNX Runtime has wrong results")
    assert alone.text.endswith("whatever it calls itself. It has no TF32 row here.")
    honest = strict | {"status": "pass", "lane": "tf32", "verdict_reasons": None}
    others = [honest | {"framework": name} for name in ("ONNX Runtime TF32", "ONNX Runtime TF32, CUDA graph")]
    found = said(found_in([*own, *others], []), "ONNX Runtime has wrong results")
    assert found.text.endswith("whatever it calls itself. Its TF32 row is ONNX Runtime TF32 (pass).")


@pytest.mark.parametrize(("published", "ratio"), [("400", 10.0), ("4.0", 10.0), ("70", None), ("25", None)])
def test_sources_that_differ_more_than_twofold_on_like_hardware(tmp_path, published, ratio):
    own = rows(mixed(tmp_path))  # 40 ms, on "Xeon | <Gold>"
    alike = published_row(
        platform="Xeon | <Gold> CPU @ 2.1GHz", inference_ms=published, latency_ms="", training_ms=""
    )
    other = alike | {"platform": "Xeon | <Silver>"}
    theirs = intake.read([write_rows(tmp_path / "their.csv", alike, other)], PUBLISHED_STATUSES)
    found = [f for f in found_in(own, theirs) if f.kind == "disagreement"]
    assert len(found) == (ratio is not None)
    for finding in found:
        assert (
            finding.estimate == pytest.approx(ratio, rel=0.03)
            and finding.low < finding.estimate < finding.high
        )
        assert {cell["framework"] for cell in finding.cells} >= {"PyTorch"}
        assert (
            "times as slow as" in finding.text if published == "400" else "times as fast as" in finding.text
        )


def test_reduced_precision_is_held_against_its_own_float32(tmp_path):
    own = rows(mixed(tmp_path, compiled=20.0))
    own[1] |= {"lane": "bfloat16", "float32_row": "PyTorch eager", "mean_kl": 1.2e-3}
    own[1] |= {
        f"inference_float32_ratio{end}": own[1][f"inference_ratio{end}"] for end in ("", "_low", "_high")
    }
    finding = one(found_in(own, []), "precision")
    assert "PyTorch compiled is 2.0" in finding.text and "times as fast as PyTorch eager, at" in finding.text
    assert "mean KL 1.2e-03" in finding.text
    assert finding.estimate == pytest.approx(1 / own[1]["inference_ratio"])


@pytest.mark.parametrize(
    ("count", "total", "low", "high"), [(9, 10, 0.5958, 0.9821), (0, 4, 0.0, 0.4899), (4, 4, 0.5101, 1.0)]
)
def test_wilson(count, total, low, high):
    assert findings.wilson(count, total) == pytest.approx((low, high), abs=1e-4)


def test_kinds_take_turns_what_is_wrong_first_and_this_runs_before_others(tmp_path, published):
    own = found_in(rows(mixed(tmp_path, ("Tiny", "Small"), compiled=60.0)), [])
    found = findings.in_order([*published, *own])
    assert sorted(map(id, found)) == sorted(map(id, [*published, *own]))
    assert [each.own for each in found] == [True] * len(own) + [False] * len(published)
    kinds = [each.kind for each in found[: len(own)]]
    first = list(dict.fromkeys(kinds))
    assert kinds[: len(first)] == first == [kind for kind in findings.TURNS if kind in first]
    assert first[:3] == ["gate", "speed-up", "fastest"]
    # Of one kind on one machine, the largest sure ratio comes first.
    leads = [each.estimate for each in found if each.kind == "fastest" and each.platform == "Apple M3"]
    sure = [estimate for estimate in leads if estimate is not None]
    assert sure[0] == max(sure) and len(sure) > 3
