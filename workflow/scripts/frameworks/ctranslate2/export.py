"""Write a model in CTranslate2's own format: model.bin, config.json and vocabulary.json, in float32.

CTranslate2 keeps no graph: a file names one of its built-in architectures and holds that architecture's
variables. Its converters set them from a PyTorch module and a tokenizer; here they are set from
model.safetensors, under the same names, and the vocabulary is made of the token ids.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from frameworks.errors import UnsupportedError
from frameworks.exporting import Export

Tensors = dict[str, np.ndarray]


def llama_variables(weights: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> Tensors:
    """CTranslate2's variables of a LLaMA decoder, float32; queries, keys and values share one matrix.

    Raises KeyError naming a tensor that ``weights`` lacks.
    """
    found = {
        "decoder/embeddings/weight": weights["model.embed_tokens.weight"],
        "decoder/projection/weight": weights["model.embed_tokens.weight"],
        "decoder/layer_norm/gamma": weights["model.norm.weight"],
    }
    for index in range(config["num_hidden_layers"]):
        source, target = f"model.layers.{index}", f"decoder/layer_{index}"
        qkv = [weights[f"{source}.self_attn.{part}_proj.weight"] for part in "qkv"]
        found |= {
            f"{target}/self_attention/layer_norm/gamma": weights[f"{source}.input_layernorm.weight"],
            f"{target}/self_attention/linear_0/weight": np.concatenate(qkv),
            f"{target}/self_attention/linear_1/weight": weights[f"{source}.self_attn.o_proj.weight"],
            f"{target}/ffn/layer_norm/gamma": weights[f"{source}.post_attention_layernorm.weight"],
            f"{target}/ffn/linear_0/weight": weights[f"{source}.mlp.gate_proj.weight"],
            f"{target}/ffn/linear_0_noact/weight": weights[f"{source}.mlp.up_proj.weight"],
            f"{target}/ffn/linear_1/weight": weights[f"{source}.mlp.down_proj.weight"],
        }
    return found


def whisper_variables(weights: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> Tensors:
    """CTranslate2's variables of Whisper, float32; fused projections get zeros as the keys' bias.

    Raises KeyError naming a tensor that ``weights`` lacks.
    """
    found = {
        "decoder/embeddings/weight": weights["model.decoder.embed_tokens.weight"],
        "decoder/projection/weight": weights["model.decoder.embed_tokens.weight"],
    }
    for name in ("conv1", "conv2"):
        found |= _affine(weights, f"model.encoder.{name}", f"encoder/{name}")
    for half in ("encoder", "decoder"):
        positions = weights[f"model.{half}.embed_positions.weight"]
        found[f"{half}/position_encodings/encodings"] = positions
        found |= _layer_norm(weights, f"model.{half}.layer_norm", f"{half}/layer_norm")
        for index in range(config[f"{half}_layers"]):
            source, target = f"model.{half}.layers.{index}", f"{half}/layer_{index}"
            found |= _attention(weights, f"{source}.self_attn", f"{target}/self_attention", ["qkv"])
            if half == "decoder":
                found |= _attention(weights, f"{source}.encoder_attn", f"{target}/attention", ["q", "kv"])
            found |= _layer_norm(weights, f"{source}.final_layer_norm", f"{target}/ffn/layer_norm")
            found |= _affine(weights, f"{source}.fc1", f"{target}/ffn/linear_0")
            found |= _affine(weights, f"{source}.fc2", f"{target}/ffn/linear_1")
    return found


def _affine(weights: Mapping[str, np.ndarray], source: str, target: str) -> Tensors:
    return {f"{target}/{part}": weights[f"{source}.{part}"] for part in ("weight", "bias")}


def _layer_norm(weights: Mapping[str, np.ndarray], source: str, target: str) -> Tensors:
    return {f"{target}/gamma": weights[f"{source}.weight"], f"{target}/beta": weights[f"{source}.bias"]}


def _attention(weights: Mapping[str, np.ndarray], source: str, target: str, groups: list[str]) -> Tensors:
    """The projections of ``groups``, one matrix each, the output projection and the norm before them."""
    found = _layer_norm(weights, f"{source}_layer_norm", f"{target}/layer_norm")
    for number, group in enumerate(groups):
        matrices = [weights[f"{source}.{part}_proj.weight"] for part in group]
        biases = [
            np.zeros(len(matrix), matrix.dtype) if part == "k" else weights[f"{source}.{part}_proj.bias"]
            for part, matrix in zip(group, matrices, strict=True)
        ]
        found[f"{target}/linear_{number}/weight"] = np.concatenate(matrices)
        found[f"{target}/linear_{number}/bias"] = np.concatenate(biases)
    return found | _affine(weights, f"{source}.out_proj", f"{target}/linear_{len(groups)}")


VARIABLES = {"llama": llama_variables, "whisper": whisper_variables}


def specification(config: Mapping[str, Any], inputs: Mapping[str, np.ndarray]) -> Any:
    """The architecture's empty ``ctranslate2.specs.ModelSpec``, with a vocabulary."""
    from ctranslate2.specs import TransformerDecoderModelSpec, WhisperSpec, common_spec

    tokens = [str(index) for index in range(config["vocab_size"])]
    if config["definition"] == "llama":
        spec = TransformerDecoderModelSpec.from_config(
            config["num_hidden_layers"],
            config["num_attention_heads"],
            activation=common_spec.Activation.SWISH,
            ffn_glu=True,
            rms_norm=True,
            rotary_dim=0,  # every dimension
            rotary_interleave=False,
            rotary_base=config["rope_theta"],
            num_heads_kv=config["num_key_value_heads"],
            head_dim=config["head_dim"],
        )
        spec.decoder.scale_embeddings = False
        spec.config.layer_norm_epsilon = config["rms_norm_eps"]
        spec.config.unk_token = tokens[0]  # any that exists; no token ever is unknown, begins or ends a text
    else:
        spec = WhisperSpec(
            config["encoder_layers"],
            config["encoder_attention_heads"],
            config["decoder_layers"],
            config["decoder_attention_heads"],
        )
        # The engine looks for <|startoftranscript|> and <|notimestamps|>, and for <|endoftext|> in place of
        # one that is absent. Were they all here, a prompt's task tokens would be read in one pass without
        # logits, and logits of text would be masked while a timestamp is due. With all three on the first
        # token of the prompt, every further token is forced text, and every position's logits come out raw.
        start = int(inputs["inference.decoder_input_ids"][0, 0])
        tokens[start] = "<|endoftext|>"
    spec.register_vocabulary(tokens)
    return spec


def fill(spec: Any, variables: Mapping[str, np.ndarray]) -> None:
    """Set the variables of ``spec`` by name.

    Raises ValueError if one that the architecture needs is missing, AttributeError if it has no such one.
    """
    from ctranslate2.specs import model_spec

    for name, array in variables.items():
        scope, _, attribute = name.rpartition("/")
        setattr(model_spec.index_spec(spec, scope), attribute, array)
    spec.validate()
    spec.optimize(quantization="float32")


def export(task: Export) -> None:
    """Write model.bin, config.json and vocabulary.json. Raises UnsupportedError for other architectures."""
    if task.definition not in VARIABLES:
        why = (
            f"CTranslate2 has {', '.join(VARIABLES)} among the arena's architectures, not {task.definition}."
        )
        raise UnsupportedError("unsupported-model", why)
    config = task.architecture()
    variables = VARIABLES[task.definition](task.weights(), config)
    spec = specification(config, task.inputs())
    fill(spec, variables)
    folder = task.out.parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        spec.save(temporary)
        for path in reversed(task.files):
            Path(temporary, path.name).replace(path)
    print(f"{len(variables)} variables, {task.out.stat().st_size / 1e6:.1f} MB")
