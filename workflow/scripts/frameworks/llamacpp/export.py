"""Write a LLaMA's weights as GGUF, the format of llama.cpp, in one of its number formats.

float32 and tf32: every tensor F32. float16: matrices F16. int8: matrices Q8_0 (blocks of 32 signed bytes with one
float16 scale). Norms stay F32 in all, as llama.cpp's own converter leaves them. There is no tokenizer in
the file, only the size of the vocabulary: every tool that needs no text reads it (llama-bench does).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, LlamaFileType

from arena import files, tensors
from frameworks.errors import UnsupportedError
from frameworks.exporting import Export
from models.spec import llama

#: Lane -> (the file's type as llama.cpp names it, the type of its matrices).
FORMATS = {
    "float32": (LlamaFileType.ALL_F32, GGMLQuantizationType.F32),
    "tf32": (LlamaFileType.ALL_F32, GGMLQuantizationType.F32),
    "float16": (LlamaFileType.MOSTLY_F16, GGMLQuantizationType.F16),
    "int8": (LlamaFileType.MOSTLY_Q8_0, GGMLQuantizationType.Q8_0),
}


def export(task: Export) -> None:
    """Write the GGUF file. Raises UnsupportedError where the model is no LLaMA."""
    if task.definition != "llama":
        raise UnsupportedError(
            "unsupported-model", f"This export to GGUF knows llama only, not {task.definition}."
        )
    write(task.weights(), task.architecture(), task.model, task.lane, task.out)
    print(f"{task.out}: {task.out.stat().st_size / 1e6:.1f} MB, {task.lane}")


def write(
    weights: Mapping[str, np.ndarray], config: dict[str, Any], name: str, lane: str, path: Path
) -> None:
    """Write ``weights`` (float32, under the checkpoint's names) to ``path``, atomically.

    Raises TensorNameError (a KeyError) naming missing and unexpected tensors, ValueError where a tensor has a
    row that Q8_0's blocks of 32 do not divide.
    """
    tensors.check_names(set(weights), set(llama.tensors(config)), "weights of definition llama")
    file_type, matrix_type = FORMATS[lane]
    with files.replacing(path) as temporary:
        writer = gguf.GGUFWriter(temporary, "llama")
        describe(writer, config, name, file_type, sum(array.size for array in weights.values()))
        for tensor, array in converted(weights, config):
            kind = matrix_type if array.ndim > 1 else GGMLQuantizationType.F32
            writer.add_tensor(tensor, quantized(tensor, array, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def describe(
    writer: gguf.GGUFWriter, config: dict[str, Any], name: str, file_type: LlamaFileType, parameters: int
) -> None:
    """Add the metadata: all that llama.cpp's converter writes for a LLaMA, but for its tokenizer."""
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_size_label(gguf.size_label(parameters, parameters, 0, 0))
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")


def converted(weights: Mapping[str, np.ndarray], config: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor under GGUF's name and with its order of rows, (out, in) as in the checkpoint.

    llama.cpp takes the embedding for the head where there is no ``output.weight``: the head is tied.
    """
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    heads = {"q_proj.weight": "num_attention_heads", "k_proj.weight": "num_key_value_heads"}
    for name, array in weights.items():
        kind = ".".join(name.split(".")[-2:])
        rotated = interleaved(array, config[heads[kind]]) if kind in heads else array
        yield names.get_name(name, try_suffixes=(".weight",)), rotated


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key projection, (heads x head_dim, in), reordered for interleaved rotary embedding.

    Hugging Face's rotates element i of a head with element i + head_dim / 2, llama.cpp's rotates
    neighbours: row i goes to 2 i, row i + head_dim / 2 to 2 i + 1 (``permute`` in its converter). Scores do
    not change, as queries and keys are reordered alike.
    """
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def quantized(name: str, array: np.ndarray, kind: GGMLQuantizationType) -> np.ndarray:
    """``array`` in the number format ``kind``. Raises ValueError where blocks do not fit its rows."""
    block = gguf.GGML_QUANT_SIZES[kind][0]
    if array.shape[-1] % block:
        raise ValueError(
            f"tensor {name} has rows of {array.shape[-1]} elements; {kind.name} needs multiples of {block}"
        )
    return gguf.quantize(array, kind)
