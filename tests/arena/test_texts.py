"""Texts as token ids, and what a workload makes of them."""

import os
from pathlib import Path

import numpy as np
import pytest

from arena import texts
from runner import REPOSITORY

TEXTS = REPOSITORY / "config" / "text"


def test_a_file_of_token_ids(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text("# who wrote it\n3 1\n4 # the end\n")
    assert texts.tokens(path).tolist() == [3, 1, 4]
    path.write_text("3\n1 -4\n")
    with pytest.raises(ValueError, match=r"ids.txt, line 2: '-4' is no token id"):
        texts.tokens(path)


@pytest.mark.parametrize("word", ["\N{ARABIC-INDIC DIGIT THREE}", "9" * 6000, "9" * 20, "1e3"])
def test_what_is_no_token_id(tmp_path, word):
    path = tmp_path / "ids.txt"
    path.write_text(f"1 {word}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=f"line 1: '{word[:40]}' is no token id") as refused:
        texts.tokens(path)
    assert len(str(refused.value)) < 300


def test_what_might_never_end_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(ValueError, match="no file"):
            texts.tokens(path)
    with open(tmp_path / "large", "wb") as stream:
        stream.truncate(texts.LARGEST_BYTES + 1)
    with pytest.raises(ValueError, match="expected 16777216 at most"):
        texts.tokens(tmp_path / "large")


def test_windows_follow_one_another_and_examples_come_after_the_last_token_asked_for():
    found = texts.inputs(np.arange(100, 121), length=4, windows=3, examples=2)
    assert found["quality.input_ids"].shape == (3, 1, 4)
    assert found["quality.input_ids"].ravel().tolist() == list(range(100, 112))
    assert found["quality.target"].ravel().tolist() == list(range(101, 113))
    assert found["calibration.input_ids"].ravel().tolist() == list(range(113, 121))
    with pytest.raises(ValueError, match="21 tokens; expected 25 for 4 windows and 2 examples of 4"):
        texts.inputs(np.arange(21), length=4, windows=4, examples=2)
    assert "calibration.input_ids" not in texts.inputs(np.arange(21), length=4, windows=5, examples=0)


def test_the_miniature_s_ids_are_the_text_s_bytes():
    text = (TEXTS / "persuasion.txt").read_bytes()
    ids = texts.tokens(TEXTS / "persuasion.bytes.txt")
    assert ids.tolist() == list(text[: ids.size]) and ids.size == 3 * 128 + 1


def test_smollm2_s_ids_are_a_text_s_by_their_number():
    """A tokenizer's 3,073 ids of 13,790 characters: some four and a half a token, and more than one word in use."""
    ids = texts.tokens(TEXTS / "persuasion.smollm2.txt")
    assert ids.size == texts.needed(128, 16, 8) == 3073
    assert ids.min() >= 0 and ids.max() < 49152
    assert 700 < np.unique(ids).size < 1500
