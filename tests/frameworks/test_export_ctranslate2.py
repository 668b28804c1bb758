"""The CTranslate2 export: every weight of the checkpoint is in it, in the matrix where the engine looks."""

import numpy as np
import pytest

import miniatures
from frameworks.ctranslate2 import export

MODELS = {"SmolLM2-135M": export.llama_variables, "Whisper-tiny": export.whisper_variables}


def exported(name):
    weights = miniatures.weights(name)
    return weights, MODELS[name](weights, miniatures.config(name))


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_is_exported_unchanged(name):
    """As a multiset of elements, but for the tied head, which stands twice, and the keys' biases of zero."""
    weights, variables = exported(name)
    head = variables.pop("decoder/projection/weight")
    assert head is variables["decoder/embeddings/weight"]
    ours = np.sort(np.concatenate([array.ravel() for array in variables.values()]))
    theirs = np.sort(np.concatenate([array.ravel() for array in weights.values()]))
    added = len(ours) - len(theirs)
    keys = [name for name in weights if name.endswith("k_proj.weight")]
    assert added == (sum(len(weights[name]) for name in keys) if name == "Whisper-tiny" else 0)
    np.testing.assert_array_equal(ours[ours != 0], theirs[theirs != 0])
    assert np.sum(ours == 0) == np.sum(theirs == 0) + added


def test_queries_keys_and_values_share_one_matrix_in_this_order():
    weights, variables = exported("SmolLM2-135M")
    fused = variables["decoder/layer_1/self_attention/linear_0/weight"]
    parts = [weights[f"model.layers.1.self_attn.{part}_proj.weight"] for part in "qkv"]
    queries, keys = (len(part) for part in parts[:2])
    for found, part in zip(np.split(fused, [queries, queries + keys]), parts, strict=True):
        np.testing.assert_array_equal(found, part)


def test_attention_to_the_audio_keeps_queries_apart_and_gives_keys_no_bias():
    weights, variables = exported("Whisper-tiny")
    source, target = "model.decoder.layers.0.encoder_attn", "decoder/layer_0/attention"
    np.testing.assert_array_equal(variables[f"{target}/linear_0/weight"], weights[f"{source}.q_proj.weight"])
    np.testing.assert_array_equal(variables[f"{target}/linear_0/bias"], weights[f"{source}.q_proj.bias"])
    keys, values = np.split(variables[f"{target}/linear_1/weight"], 2)
    np.testing.assert_array_equal(keys, weights[f"{source}.k_proj.weight"])
    np.testing.assert_array_equal(values, weights[f"{source}.v_proj.weight"])
    key_bias, value_bias = np.split(variables[f"{target}/linear_1/bias"], 2)
    assert not key_bias.any()
    np.testing.assert_array_equal(value_bias, weights[f"{source}.v_proj.bias"])
    np.testing.assert_array_equal(
        variables[f"{target}/linear_2/weight"], weights[f"{source}.out_proj.weight"]
    )


def test_gate_and_up_projection_are_not_swapped():
    weights, variables = exported("SmolLM2-135M")
    for target, source in {"linear_0": "gate", "linear_0_noact": "up", "linear_1": "down"}.items():
        np.testing.assert_array_equal(
            variables[f"decoder/layer_1/ffn/{target}/weight"],
            weights[f"model.layers.1.mlp.{source}_proj.weight"],
        )


@pytest.mark.parametrize("name", MODELS)
def test_a_missing_weight_is_named(name):
    weights = miniatures.weights(name)
    lost = next(key for key in reversed(weights) if key.endswith("v_proj.weight"))
    del weights[lost]
    with pytest.raises(KeyError, match=lost):
        MODELS[name](weights, miniatures.config(name))
