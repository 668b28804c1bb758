"""The GGUF export: read back and computed with as llama.cpp does, it has to give the reference's logits."""

# ruff: noqa: E402 -- gguf may be absent from an environment that is not the tests' own

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import miniatures

gguf = pytest.importorskip("gguf", reason="needs the tests' environment")

import torch
from gguf import GGMLQuantizationType

from arena.judging import distances, losses, verdict
from frameworks.errors import UnsupportedError
from frameworks.exporting import Export
from frameworks.llamacpp import export as export_gguf
from frameworks.pytorch import reference as pytorch_reference
from tolerances import TOLERANCES

NAME = "SmolLM2-135M"


def export(path: Path, lane: str = "float32", **changes) -> gguf.GGUFReader:
    """The miniature's GGUF, written and opened again."""
    arguments = {"weights": miniatures.weights(NAME), "config": miniatures.config(NAME)} | changes
    export_gguf.write(**arguments, name="a model", lane=lane, path=path)
    return gguf.GGUFReader(path)


def fields(reader: gguf.GGUFReader) -> dict:
    return {name: field.contents() for name, field in reader.fields.items()}


def matrices(reader: gguf.GGUFReader) -> dict[str, np.ndarray]:
    """Every tensor of the file in float64, (out, in)."""
    return {
        tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float64)
        for tensor in reader.tensors
    }


def logits(reader: gguf.GGUFReader, tokens: np.ndarray) -> np.ndarray:
    """LLaMA's forward pass from the file alone, (tokens, classes): rotary embedding of neighbours."""
    meta, weights = fields(reader), matrices(reader)
    size, theta = meta["llama.attention.key_length"], meta["llama.rope.freq_base"]
    heads, groups = meta["llama.attention.head_count"], meta["llama.attention.head_count_kv"]
    angles = np.outer(np.arange(len(tokens)), theta ** (-np.arange(0, size, 2) / size))
    turn = np.exp(1j * angles)[:, None, :]  # (tokens, 1, size / 2)

    def norm(x, name):
        scale = np.sqrt(np.mean(x * x, -1, keepdims=True) + meta["llama.attention.layer_norm_rms_epsilon"])
        return x / scale * weights[name]

    def rotated(x, count):
        pairs = x.reshape(len(tokens), count, size // 2, 2)
        turned = (pairs[..., 0] + 1j * pairs[..., 1]) * turn
        return np.stack([turned.real, turned.imag], -1).reshape(len(tokens), count, size)

    mask = np.triu(np.full((len(tokens), len(tokens)), -np.inf), 1)
    x = weights["token_embd.weight"][tokens]
    for index in range(meta["llama.block_count"]):
        block = {
            kind: weights[f"blk.{index}.{kind}.weight"]
            for kind in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
        }
        y = norm(x, f"blk.{index}.attn_norm.weight")
        query = rotated(y @ block["attn_q"].T, heads)
        key = rotated(y @ block["attn_k"].T, groups).repeat(heads // groups, axis=1)
        value = (y @ block["attn_v"].T).reshape(len(tokens), groups, size).repeat(heads // groups, axis=1)
        scores = np.einsum("qhd,khd->hqk", query, key) / np.sqrt(size) + mask
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        x = x + np.einsum("hqk,khd->qhd", shares, value).reshape(len(tokens), -1) @ block["attn_output"].T
        y = norm(x, f"blk.{index}.ffn_norm.weight")
        gated = y @ block["ffn_gate"].T
        x = x + (gated / (1 + np.exp(-gated)) * (y @ block["ffn_up"].T)) @ block["ffn_down"].T
    return norm(x, "output_norm.weight") @ weights["token_embd.weight"].T


@pytest.fixture(scope="module")
def reference() -> pytorch_reference.Results:
    return pytorch_reference.run(
        miniatures.config(NAME),
        miniatures.weights(NAME),
        miniatures.inputs(NAME),
        "cross_entropy",
        torch.float64,
    )


def judged(reader: gguf.GGUFReader, reference: pytorch_reference.Results) -> tuple[str, dict]:
    """The verdict on the file's inference output as a float32 row, and the figures behind it."""
    inputs = miniatures.inputs(NAME)
    output = logits(reader, inputs["inference.input_ids"][0])[None]
    figures = distances.compare_output(output, reference.inference, "cross_entropy", None)
    loss = losses.loss("cross_entropy", output, inputs["target"])
    error = distances.relative_error(loss, reference.loss)
    figures |= {"loss_error": error, "printed_loss_error": 0.0}
    return verdict.judge({"inference": figures}, TOLERANCES, 10)["verdict"], figures


def test_the_file_holds_the_reference_s_model(tmp_path, reference):
    found, figures = judged(export(tmp_path / "model.gguf"), reference)
    assert found == "pass"
    assert figures["relative_l2"] < 1e-6  # the weights are exact; eps and theta are float32 in GGUF


def test_queries_and_keys_in_the_checkpoint_s_order_are_different(tmp_path, reference, monkeypatch):
    monkeypatch.setattr(export_gguf, "interleaved", lambda weight, heads: weight)
    found, figures = judged(export(tmp_path / "model.gguf"), reference)
    assert found == "different"
    assert figures["relative_l2"] > 0.01


def test_rows_are_interleaved_within_each_head():
    weight = np.arange(8.0)[:, None] * [1.0, 10.0]
    found = export_gguf.interleaved(weight, heads=2)
    assert found[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert np.array_equal(found[:, 1], 10 * found[:, 0])


@pytest.mark.parametrize(
    ("lane", "kind", "file_type"),
    [
        ("float32", GGMLQuantizationType.F32, 0),
        ("float16", GGMLQuantizationType.F16, 1),
        ("int8", GGMLQuantizationType.Q8_0, 7),
    ],
)
def test_matrices_have_the_lane_s_format_and_norms_stay_float32(tmp_path, lane, kind, file_type):
    reader = export(tmp_path / "model.gguf", lane)
    assert fields(reader)["general.file_type"] == file_type
    for tensor in reader.tensors:
        norm = tensor.name.endswith("norm.weight")
        assert tensor.tensor_type == (GGMLQuantizationType.F32 if norm else kind), tensor.name


@pytest.mark.parametrize(
    ("lane", "bound"), [("float32", 0.0), ("float16", 2.0**-11), ("int8", 1 / 254 + 2.0**-11)]
)
def test_no_weight_is_off_by_more_than_the_format_s_half_step(tmp_path, lane, bound):
    """Half a step: of a float16, 2^-11 of it; in a block of Q8_0, 1 / 254 of its largest weight, and as much
    again as the scale, a float16, is rounded."""
    exact = matrices(export(tmp_path / "exact.gguf"))
    for name, array in matrices(export(tmp_path / "model.gguf", lane)).items():
        scale = np.abs(exact[name])
        if lane == "int8" and array.ndim == 2:
            scale = scale.reshape(-1, 32).max(1, keepdims=True).repeat(32, 1).reshape(array.shape)
        # below 2^-14 float16 is subnormal: its step is 2^-24 whatever the size
        floor = 2.0**-25 if lane == "float16" else 0.0
        assert np.all(np.abs(array - exact[name]) <= np.maximum(bound * scale, floor)), name


def test_metadata_says_all_that_llama_cpp_needs(tmp_path):
    config, reader = miniatures.config(NAME), export(tmp_path / "model.gguf")
    parameters = sum(array.size for array in miniatures.weights(NAME).values())
    found = {name: value for name, value in fields(reader).items() if not name.startswith("GGUF.")}
    assert found == {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": "a model",
        "general.size_label": f"{parameters / 1000:.0f}K",
        "general.file_type": 0,
        "general.quantization_version": 2,
        "llama.block_count": config["num_hidden_layers"],
        "llama.context_length": config["max_position_embeddings"],
        "llama.embedding_length": config["hidden_size"],
        "llama.feed_forward_length": config["intermediate_size"],
        "llama.attention.head_count": config["num_attention_heads"],
        "llama.attention.head_count_kv": config["num_key_value_heads"],
        "llama.attention.key_length": config["head_dim"],
        "llama.attention.value_length": config["head_dim"],
        "llama.attention.layer_norm_rms_epsilon": pytest.approx(config["rms_norm_eps"]),
        "llama.rope.dimension_count": config["head_dim"],
        "llama.rope.freq_base": config["rope_theta"],
        "llama.vocab_size": config["vocab_size"],
        "tokenizer.ggml.model": "no_vocab",
    }
    names = {tensor.name for tensor in reader.tensors}
    assert "output.weight" not in names  # the head is tied
    assert len(names) == 2 + 9 * config["num_hidden_layers"]


def test_what_cannot_be_exported_is_refused_by_name(tmp_path):
    path, weights = tmp_path / "model.gguf", miniatures.weights(NAME)
    with pytest.raises(KeyError, match=r"missing.*model\.norm\.weight"):
        export(path, weights={name: array for name, array in weights.items() if name != "model.norm.weight"})
    with pytest.raises(UnsupportedError, match="llama only, not resnet") as raised:
        export_gguf.export(Export("ResNet-50", "resnet", "float32", (path,), {}))
    assert raised.value.code == "unsupported-model"
    odd = weights | {"model.embed_tokens.weight": weights["model.embed_tokens.weight"][:, :80]}
    with pytest.raises(ValueError, match=r"token_embd\.weight has rows of 80 elements; Q8_0 needs multiples"):
        export(path, "int8", weights=odd)
    assert not path.exists()
