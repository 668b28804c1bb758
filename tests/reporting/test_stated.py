"""A framework's sentence on what it lacks: records name it by its key, reports have it in full."""

import json

import records
from arena.configuration import frameworks
from platform_csv import collected, good
from reporting import stated
from reporting.submissions import packing

KEY = frameworks.stated("onnxruntime", "training")
ENTRY = {"onnxruntime": {"unsupported_tasks": {"training": "It infers."}}, "jax": {"unsupported_tasks": {}}}
SENTENCES = {KEY: "It infers."}


def lacking():
    """Rounds and verdict of a row whose framework does not train."""
    rounds = good("eager")
    for record in rounds:
        record["tasks"]["training"] = records.ended_task("unsupported", "no-training", KEY)
    verdict = records.verdict_record("eager")
    verdict["reasons"] = [f"training: unsupported (no-training): {KEY}"]
    return rounds, [verdict]


def test_sentences_stand_under_what_records_have():
    assert frameworks.sentences(ENTRY) == SENTENCES


def test_only_texts_change():
    samples = [1, 2]
    found = stated.in_full({"a": [f"no-training: {KEY}", {"b": KEY}], "c": 1.5, "d": samples}, SENTENCES)
    assert found == {"a": ["no-training: It infers.", {"b": "It infers."}], "c": 1.5, "d": samples}
    assert stated.in_full("[frameworks.other.unsupported_tasks.training]", SENTENCES).startswith(
        "[frameworks.o"
    )


def test_the_table_has_the_sentence_of_the_day(tmp_path):
    for sentence in ("It infers.", "Another wording."):
        rows = collected(
            tmp_path / sentence[:2], *lacking(), rows=("eager",), sentences=json.dumps({KEY: sentence})
        )
        assert rows["eager"]["training_reason"] == f"no-training: {sentence}"
        assert rows["eager"]["verdict_reasons"] == f"training: unsupported (no-training): {sentence}"


def test_a_submission_needs_no_configuration_to_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(packing.lines, "text", lambda header, records: json.dumps(records))
    monkeypatch.setattr(packing, "_model", lambda *_: {})
    rounds, verdicts = lacking()
    records.write(tmp_path, rounds, verdicts)
    config = {"run": {"baseline": "eager"}, "gate": {"float32": {}}, "models": {}, "frameworks": ENTRY}
    text = packing.packed(tmp_path, "local", config)
    assert KEY not in text and text.count("It infers.") == len(rounds) + 1
