"""Why a figure is missing or does not count, and what speed is held against, as the page's keys say it."""

from pages import document, mixed, published_row, write_rows
from platform_csv import edit
from reporting import intake, trade_offs
from reporting.columns import OWN_STATUSES
from reporting.html import hints, lines


def keys(model):
    texts = lines.Index()
    made = hints.keys(model.lines, texts)
    return made, list(texts)


def test_a_reason_is_kept_once_and_a_column_s_own_beside_it(tmp_path):
    def untrained(rows):
        rows[0] |= {
            "training_ms": None,
            "training_status": "unsupported",
            "training_reason": "no-training: it infers",
        }
        rows[2] |= {"verdict_reasons": "latency: relative L2 3.1e-2 > 1e-4"}

    (model,) = document(edit(mixed(tmp_path), untrained)).models
    made, texts = keys(model)
    said = {number: texts[text] for number, text in made["why"].items()}
    objection = "close, so not ranked: latency: relative L2 3.1e-2 > 1e-4"
    whole = f"{objection}; a row is judged as a whole, so none of it is ranked"
    assert said == {
        0: "unsupported: no-training: it infers",
        2: whole,
        3: "failed: crashed: no end after 900 s",
    }
    assert {
        column: {n: texts[text] for n, text in each.items()} for column, each in made["columnWhy"].items()
    } == {"latency_ms": {2: objection}}


def test_a_long_reason_is_cut_and_of_a_source_that_says_nothing_that_is_said(tmp_path):
    path = write_rows(
        tmp_path / "desk.csv",
        published_row(status="failed", compile_s="", inference_ms="", latency_ms="", training_ms=""),
    )
    (model,) = document(published=[path]).elsewhere
    assert keys(model)[1] == ["failed; its source does not say why"]
    assert hints.short("wrong " * 100).endswith("…") and len(hints.short("wrong " * 100)) == hints.LONGEST


def test_costs_are_error_disk_and_the_device_s_memory_where_one_is_told(tmp_path):
    own = intake.read([mixed(tmp_path)], OWN_STATUSES)[:2]
    for row in own:
        row |= {"relative_l2": 3e-7, "footprint_mb": 800.0, "inference_peak_mb": 500.0}
    assert trade_offs.costs(own) == [{"error": 3e-7, "disk": 800.0, "memory": 500.0}] * 2
    own[1]["inference_device_mb"] = 90.0
    assert [each.get("memory") for each in trade_offs.costs(own)] == [None, 90.0]
    own[0]["relative_l2"] = 0.0  # nothing to draw on a logarithmic axis
    assert "error" not in trade_offs.costs(own)[0]
