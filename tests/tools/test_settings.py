"""Which setting changed, from what to what: from the values that Snakemake keeps, which have no names."""

import json

import pytest

import settings

CELL = {"threads": 2, "row": "jax", "protocol": {"tasks": ["inference"], "sampling": {"min_iterations": 10}}}


def told(old, new, **names):
    """In words, for params ``new`` under their names, where ``old`` were."""
    texts = {repr(value): name for name, value in names.items()}
    return settings.in_words(map(repr, old), map(repr, new), texts)


def cell(**changes):
    return json.dumps(CELL | changes)


def test_a_cells_setting_is_told_by_its_own_name():
    now = cell(threads=1)
    assert told([cell()], [now], cell=now) == "threads 2 → 1"
    now = cell(protocol={"tasks": ["inference", "training"], "sampling": {"min_iterations": 20}})
    assert told([cell()], [now], cell=now) == (
        'protocol.tasks ["inference"] → ["inference", "training"], protocol.sampling.min_iterations 10 → 20'
    )


def test_values_are_held_against_those_most_like_them():
    now = cell(threads=4)
    found = told([cell(), "seeded", 3], [now, "hub", 4], cell=now, asked="hub", rounds=4)
    assert found == "threads 2 → 4, asked seeded → hub, rounds 3 → 4"


def test_an_option_names_what_stands_behind_it():
    old, now = (["--tolerances", json.dumps({"max_error": x}), "--close-factor", 10] for x in (0.1, 0.2))
    assert told([old], [now], gate=now) == "max_error 0.1 → 0.2"
    assert told([old], [[*old[:3], 5]], gate=[*old[:3], 5]) == "close-factor 10 → 5"


@pytest.mark.parametrize(
    ("old", "new", "names", "words"),
    [
        ([], ["hub"], {"asked": "hub"}, "asked: hub is new"),
        (["hub"], [], {}, "hub is gone"),
        (["code a:1"], ["code a:2"], {"code": "code a:2"}, ""),
        (["code a:1", 1], ["code a:2", 2], {"code": "code a:2", "seed": 2}, "seed 1 → 2"),
        ([None], ["x" * 100], {"label": "x" * 100}, f"label none → {'x' * 59}…"),
        (["{half"], ["{whole"], {"text": "{whole"}, "text {half → {whole"),
        (
            [json.dumps(dict.fromkeys("abcdef", 1))],
            [json.dumps(dict.fromkeys("abcdef", 2))],
            {"cell": json.dumps(dict.fromkeys("abcdef", 2))},
            "a 1 → 2, b 1 → 2, c 1 → 2, d 1 → 2 and 2 more",
        ),
    ],
)
def test_in_words(old, new, names, words):
    assert told(old, new, **names) == words
