"""Weights in the report: tables that mix two sources say so, and a known loss is checked."""

import csv

import pytest

import records
from platform_csv import analysis_of, good, own_csv
from report_text import details, page, table_lines
from reporting import columns, origins
from runner import REPOSITORY

PUBLISHED_5080 = REPOSITORY / "report/published/nvidia-geforce-rtx-5080.csv"
HUB = "hub HuggingFaceTB/SmolLM2-135M@93efa2f"


def with_weights(path, weights):
    """The CSV, and the analysis beside it, as if these weights had run, another file."""
    for each in (path, analysis_of(path)):
        text = each.read_text(encoding="utf-8")
        assert "seeded (seed 7)" in text
        each.write_text(
            text.replace("seeded (seed 7)", weights).replace("0" * 64, "5" * 64), encoding="utf-8"
        )
    return path


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own").mkdir()
    verdicts = [records.verdict_record("eager"), records.verdict_record("compiled")]
    return own_csv(tmp_path / "own", [*good("eager"), *good("compiled", 41.0)], verdicts)


def published(tmp_path, weights):
    """The CSV of another machine's run of the arena."""
    directory = tmp_path / weights.split()[0]
    directory.mkdir()
    path = own_csv(directory, good("eager"), [records.verdict_record("eager")], ("eager",))
    return with_weights(path, weights)


def test_rows_of_other_weights_are_marked(tmp_path, own):
    text = details(tmp_path, own, [published(tmp_path, HUB)])
    frameworks = [line[1] for line in table_lines(text, "Weights: seeded", before="\n-")]
    assert [name.endswith(" ◇") for name in frameworks] == [False, False, True]
    note = "- ◇ Ran other weights, so that its loss is another: hub HuggingFaceTB/SmolLM2-135M@93efa2f."
    assert note in text and note in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_rows_of_the_same_weights_are_not(tmp_path, own):
    text = page(tmp_path, with_weights(own, HUB), [published(tmp_path, HUB)])
    assert f"Weights: {HUB}." in text
    assert "◇" not in text
    assert "other weights" not in text


def test_another_file_from_the_same_source_is_other_weights(tmp_path, own):
    """What a framework or a converter made otherwise of one seed or one repository."""
    theirs = published(tmp_path, "seeded (seed 7)")
    text = details(tmp_path, own, [theirs])
    frameworks = [line[1] for line in table_lines(text, "Weights: seeded", before="\n-")]
    assert [name.endswith(" ◇") for name in frameworks] == [False, False, True]
    assert "is another: seeded (seed 7), yet another file (sha256 555555555555)." in text


def test_a_table_without_sums_is_believed_by_its_words():
    rows = [{"weights": "a", "weights_sha256": sha256} for sha256 in ("1" * 64, None, "1" * 64, "2" * 64)]
    assert list(origins.weights_of(rows).values()) == ["a"] * 3 + [f"a, yet another file (sha256 {'2' * 12})"]
    assert origins.weights_of([{"weights": None, "weights_sha256": "1" * 64}]) == {}
    # The same file in other words, as where one machine found no hub and the other asked for none.
    rows = [
        {"weights": words, "weights_sha256": "1" * 64} for words in ("seeded, for want of a hub", "seeded")
    ]
    assert set(origins.weights_of(rows).values()) == {"seeded, for want of a hub"} and not origins.marks(rows)
    rows[1] |= {"weights_sha256": None}
    assert not origins.marks(rows)


def test_a_third_source_has_its_own_mark():
    marks = origins.marks([{"weights": weights} for weights in ("a", "b", None, "c", "a", "b")])
    assert marks == {"b": "◇", "c": "◆"}
    notes = map(origins.mark_note, marks.items())
    assert [note[:2] + note.split()[-1] for note in notes] == ["◇ b.", "◆ c."]


@pytest.mark.parametrize(
    ("weights", "expected", "words"),
    [
        (HUB, 6.01, "Check of the hub's weights: the loss is 6.01, as is known of them."),
        (HUB, 8.35, "**Check of the hub's weights failed**: the loss is 6.01, 8.35 is known of them."),
        ("seeded (seed 7)", 6.01, None),
        (HUB, None, None),
    ],
)
def test_a_known_loss_is_checked_where_the_hub_s_weights_ran(tmp_path, own, weights, expected, words):
    text = page(tmp_path, with_weights(own, weights), caption={"expected_loss": expected})
    if words is None:
        assert "Check of" not in text
    else:
        assert f"- {words}" in text


def test_only_rows_that_pass_in_float32_are_judged(tmp_path, own):
    with open(with_weights(own, HUB), newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert set(columns.NAMES) >= {"weights", "lane", "loss"}
    rows = [row | {"loss": 6.0125} for row in rows]
    assert "as is known" in origins.loss_check(rows, 6.01)
    assert origins.loss_check([row | {"status": "different"} for row in rows], 6.01) is None
    assert origins.loss_check([row | {"lane": "int8"} for row in rows], 6.01) is None
    # one wrong row among right ones is enough
    assert "failed" in origins.loss_check([rows[0], rows[1] | {"loss": 6.02}], 6.01)


def asked(**changes):
    row = {"platform": "NVIDIA GeForce RTX 5080", "framework": "PyTorch", "measured_by": "kvark/inferena"}
    row["evidence"] = "original"
    return origins.asks_for(row | {"lane": None} | changes)


def test_what_a_source_asks_for_without_a_word_is_said_of_its_rows():
    """Its NVIDIA rows of PyTorch alone: other devices have no TF32, and a row with a lane says itself what it is."""
    assert asked() == "TF32"
    others = [
        {"platform": "Apple M3"}, {"framework": "Candle"}, {"measured_by": "arena"}, {"lane": "float32"},
        {"evidence": "claimed"},
    ]  # fmt: skip
    assert [asked(**other) for other in others] == [None] * 5


def test_the_source_s_note_has_the_call(tmp_path, own):
    text = page(tmp_path, own, [PUBLISHED_5080])
    note = next(line for line in text.splitlines() if "Measured elsewhere, by kvark/inferena" in line)
    assert note.endswith(
        "on NVIDIA cards PyTorch asks for TF32 "
        '(set\\_float32\\_matmul\\_precision("high")), so those rows are not float32.'
    ), note
