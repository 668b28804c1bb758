"""What a row's users lose of a text: figures by hand, and against what is known of them."""

import math

import numpy as np
import pytest

from arena.judging import quality

RANDOM = np.random.default_rng(11)
CLASSES, LENGTH, WINDOWS = 7, 32, 3
LOGITS = RANDOM.normal(size=(WINDOWS, 1, LENGTH, CLASSES)) * 2
TARGET = RANDOM.integers(0, CLASSES, size=(WINDOWS, LENGTH))


def predicted(logits, dtype=np.float64):
    found = quality.Predictions()
    for window, target in zip(logits, TARGET, strict=True):
        found.add(window.astype(dtype), target)
    return found.tensors()


REFERENCE = predicted(LOGITS)


def test_each_token_has_its_probability_and_every_sixteenth_its_distribution():
    exact = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=-1, keepdims=True)
    flat = exact.reshape(-1, CLASSES)
    expected = np.log(flat[np.arange(len(flat)), TARGET.ravel()])
    np.testing.assert_allclose(REFERENCE["log_probability"], expected, rtol=1e-12)
    np.testing.assert_array_equal(REFERENCE["likeliest"], flat.argmax(axis=1))
    kept = LOGITS[:, 0, [15, 31]].reshape(-1, CLASSES)
    np.testing.assert_array_equal(REFERENCE["logits"], kept)


def test_the_reference_loses_nothing_of_itself():
    found = quality.compare(REFERENCE, REFERENCE)
    assert (found["tokens"], found["kl_positions"]) == (96, 6)
    assert found["perplexity"] == found["reference_perplexity"] == math.exp(quality.loss(REFERENCE))
    lost = [
        found[name] for name in ("perplexity_change", "perplexity_change_error", "mean_kl", "mean_kl_error")
    ]
    assert (lost, found["top1_agreement"]) == ([0.0] * 4, 1.0)


def test_equal_chances_have_the_vocabulary_for_perplexity():
    found = quality.compare(predicted(np.zeros_like(LOGITS)), REFERENCE)
    assert found["perplexity"] == pytest.approx(CLASSES, rel=1e-12)
    assert found["perplexity_change"] == pytest.approx(CLASSES / found["reference_perplexity"] - 1, rel=1e-12)


def test_a_shift_of_all_logits_is_no_loss():
    found = quality.compare(predicted(LOGITS + 40.0), REFERENCE)
    assert abs(found["perplexity_change"]) < 1e-12 and found["mean_kl"] < 1e-12


def test_divergence_and_its_error_are_those_of_the_kept_positions():
    other = LOGITS + RANDOM.normal(size=LOGITS.shape) * 0.3
    found = quality.compare(predicted(other), REFERENCE)
    p, q = (np.exp(each[:, 0, [15, 31]].reshape(-1, CLASSES)) for each in (LOGITS, other))
    p, q = (each / each.sum(axis=1, keepdims=True) for each in (p, q))
    by_hand = (p * np.log(p / q)).sum(axis=1)
    assert found["mean_kl"] == pytest.approx(by_hand.mean(), rel=1e-9)
    assert found["mean_kl_error"] == pytest.approx(by_hand.std(ddof=1) / math.sqrt(6), rel=1e-9)
    agree = (other.argmax(axis=-1) == LOGITS.argmax(axis=-1)).mean()
    assert found["top1_agreement"] == pytest.approx(agree) and agree < 1


def test_the_error_of_a_change_is_of_the_tokens_differences_not_of_the_text():
    """All tokens a tenth less likely: the change is known exactly, however the text varies."""
    less = REFERENCE | {"log_probability": REFERENCE["log_probability"] + math.log(0.9)}
    found = quality.compare(less, REFERENCE)
    assert found["perplexity_change"] == pytest.approx(1 / 0.9 - 1, rel=1e-12)
    assert found["perplexity_change_error"] < 1e-12


def test_a_token_that_cannot_be_makes_the_perplexity_infinite():
    impossible = LOGITS.copy()
    impossible[0, 0, 0] = 0.0
    impossible[0, 0, 0, TARGET[0, 0]] = -1e6
    found = quality.compare(predicted(impossible), REFERENCE)
    assert found["perplexity"] == found["perplexity_change"] == math.inf


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"likeliest": REFERENCE["likeliest"][:-1]}, "likeliest of shape [95], expected [96]"),
        ({"logits": REFERENCE["logits"] * np.nan}, "NaN or infinite values"),
    ],
)
def test_what_cannot_be_compared_has_a_note_and_no_figures(change, note):
    found = quality.compare(REFERENCE | change, REFERENCE)
    assert found["note"] == note and "mean_kl" not in found and found["tokens"] == 96


def test_a_missing_tensor_is_no_figure():
    found = {name: array for name, array in REFERENCE.items() if name != "logits"}
    assert quality.compare(found, REFERENCE)["note"].startswith("logits of shape [0]")


@pytest.mark.parametrize(
    ("logits", "target", "says"),
    [
        (np.zeros((1, 4, 7)), np.arange(5), "for 5 tokens"),
        (np.zeros((1, 5, 4)), np.arange(5), "expected 0…3, the vocabulary"),
    ],
)
def test_windows_that_do_not_fit_are_refused(logits, target, says):
    with pytest.raises(ValueError, match=says):
        quality.Predictions().add(logits, target)
