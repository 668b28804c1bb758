"""Each writer of the report against the text that it wrote when it was last looked at."""

import difflib

import pytest

import golden


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return golden.written(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """One framework a quarter slower."""
    return golden.written(tmp_path_factory.mktemp("changed"), {"onnx": 31.25})


@pytest.mark.parametrize("name", golden.WRITTEN)
def test_a_writer_writes_what_it_wrote(texts, name):
    expected = (golden.GOLDEN / name).read_text(encoding="utf-8")
    lines = [text.splitlines(keepends=True) for text in (expected, texts[name])]
    found = "".join(difflib.unified_diff(*lines, f"golden/{name}", "now"))
    assert not found, f"{found}\nmeant so? .venv-tests/bin/python tests/support/golden.py"


@pytest.mark.parametrize("name", golden.WRITTEN)
def test_another_figure_is_another_text(texts, changed, name):
    assert "25" in texts[name] and "31" in changed[name]
    assert texts[name] != changed[name]


def test_there_is_a_text_of_every_writer(texts):
    assert set(texts) == set(golden.WRITTEN)
    assert {path.name for path in golden.GOLDEN.iterdir()} == {*golden.WRITTEN, "published.csv"}
