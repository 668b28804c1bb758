"""Mistakes that an implementation of the models could make, to be planted in the real ones.

Each function is given a ``Model`` and a ``pytest.MonkeyPatch`` and returns the mistaken module; those at
the end are mistaken losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import make_inputs
import miniatures
import seed_weights
from arena import tensors
from frameworks.pytorch.models import losses
from frameworks.pytorch.models.loading import load


@dataclass(frozen=True)
class Model:
    """One of the arena's models, in miniature or as shipped."""

    config: dict[str, Any]
    weights: dict[str, np.ndarray]
    inputs: dict[str, np.ndarray]
    loss_kind: str

    @classmethod
    def seeded(cls, name: str, full_size: bool = False) -> Model:
        """The model ``name`` with its seeded weights."""
        mapping = miniatures.full(name) if full_size else miniatures.model(name)
        return cls(
            seed_weights.architecture(mapping),
            seed_weights.generate(mapping),
            make_inputs.generate(mapping),
            mapping["loss"],
        )

    def module(self, dtype=torch.float32, weights=None, config=None) -> torch.nn.Module:
        """The PyTorch module, with the tensors of ``weights`` and the keys of ``config`` replaced."""
        changed = self.weights | (weights or {})
        return load(self.config["definition"], self.config | (config or {}), changed, dtype)

    def zeroed(self, name: str) -> torch.nn.Module:
        """The float32 module with one tensor full of zeros."""
        return self.module(weights={name: np.zeros_like(self.weights[name])})


# --- SmolLM2 -----------------------------------------------------------------------------------------


def zeroed_tensor(model, patch):
    return model.zeroed("model.layers.1.mlp.down_proj.weight")


def wrong_rope_theta(model, patch):
    assert model.config["rope_theta"] == 100000.0
    return model.module(config={"rope_theta": 10000.0})


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows reordered from RoPE's half-split layout to the interleaved one, as GGUF files have them."""
    return weight.reshape(heads, 2, len(weight) // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def interleaved_queries_and_keys(model, patch):
    changed = {}
    for name, weight in model.weights.items():
        for projection, heads in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
            if projection in name:
                changed[name] = interleaved(weight, model.config[heads])
    assert len(changed) == 2 * model.config["num_hidden_layers"]
    return model.module(weights=changed)


def no_causal_mask(model, patch):
    attend = functional.scaled_dot_product_attention

    def unmasked(*arguments, is_causal, **options):
        assert is_causal
        return attend(*arguments, is_causal=False, **options)

    patch.setattr(functional, "scaled_dot_product_attention", unmasked)
    return model.module()


def swapped_layers(model, patch):
    first, second = "model.layers.0.", "model.layers.1."
    changed = {}
    for name in tensors.select(model.weights, first):
        changed |= {first + name: model.weights[second + name], second + name: model.weights[first + name]}
    return model.module(weights=changed)


def eight_bits(weight: np.ndarray, axis: int | None = 1) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers from -127 to 127 and their scales: by row, or (``axis`` None) one."""
    scales = np.abs(weight).max(axis=axis, keepdims=True) / 127
    return np.round(weight / scales), scales


def scales_of_the_next_channel(model, patch):
    """One matrix in eight bits whose scales are off by one."""
    numbers, scales = eight_bits(model.weights[QUANTISED])
    return model.module(weights={QUANTISED: numbers * np.roll(scales, 1, axis=0)})


def neighbours_swapped(model, patch):
    """One matrix in eight bits, two by two in the wrong order: what swapped nibbles are to four bits."""
    numbers, scales = eight_bits(model.weights[QUANTISED])
    swapped = numbers.reshape(len(numbers), -1, 2)[..., ::-1].reshape(numbers.shape)
    return model.module(weights={QUANTISED: swapped * scales})


def forgotten_zero_points(model, patch):
    """One matrix in unsigned eight bits between its rows' extremes, taken as if 128 meant zero in all of them."""
    weight = model.weights[QUANTISED]
    least, most = weight.min(axis=1, keepdims=True), weight.max(axis=1, keepdims=True)
    steps = (most - least) / 255
    return model.module(weights={QUANTISED: (np.round((weight - least) / steps) - 128) * steps})


def one_scale_a_matrix(model, patch):
    """Every matrix in eight bits with one scale, where each row has its own."""
    matrices = {name: array for name, array in model.weights.items() if array.ndim == 2}
    rounded = {name: np.multiply(*eight_bits(array, axis=None)) for name, array in matrices.items()}
    return model.module(weights=rounded)


QUANTISED = "model.layers.1.mlp.down_proj.weight"
QUANTISATION = [scales_of_the_next_channel, neighbours_swapped, forgotten_zero_points]
SMOLLM2 = [zeroed_tensor, wrong_rope_theta, interleaved_queries_and_keys, no_causal_mask, swapped_layers]


# --- the other models --------------------------------------------------------------------------------


def self_attention_for_cross_attention(model, patch):
    module = model.module()
    crossing = [layer for layer in module.layers if layer.cross]
    assert crossing
    for layer in crossing:
        layer.cross = False
    return module


def swapped_skip_connections(model, patch):
    """The decoder's input and its skip, concatenated in the other order."""
    concatenate = torch.cat
    patch.setattr(torch, "cat", lambda parts, dim: concatenate(parts[::-1], dim=dim))
    return model.module()


def default_batch_norm_statistics(model, patch):
    defaults = {}
    for name, array in model.weights.items():
        if name.endswith(("running_mean", "running_var")):
            defaults[name] = np.full_like(array, 1.0 if name.endswith("var") else 0.0)
    assert defaults
    return model.module(weights=defaults)


def convolution_in_another_layout(model, patch):
    """One weight's OHWI values taken for OIHW."""
    name = "layer1.0.conv2.weight"
    weight = model.weights[name]
    return model.module(weights={name: weight.transpose(0, 2, 3, 1).reshape(weight.shape)})


def no_encoder_positions(model, patch):
    return model.zeroed("model.encoder.embed_positions.weight")


def no_decoder_positions(model, patch):
    return model.zeroed("model.decoder.embed_positions.weight")


def approximate_gelu(model, patch):
    """Hendrycks and Gimpel's tanh formula in place of the error function."""
    gelu = functional.gelu
    patch.setattr(functional, "gelu", lambda x: gelu(x, approximate="tanh"))
    return model.module()


OTHERS = [
    ("SmolVLA", self_attention_for_cross_attention),
    ("StableDiffusion", swapped_skip_connections),
    ("ResNet-50", default_batch_norm_statistics),
    ("ResNet-50", convolution_in_another_layout),
    ("Whisper-tiny", no_encoder_positions),
    ("Whisper-tiny", no_decoder_positions),
]


# --- losses: right outputs, a wrong number and wrong gradients ---------------------------------------


def labels_shifted_twice(kind, output, target):
    """The targets are aligned already; this shifts them again."""
    return losses.loss(kind, output[:, :-1], target[1:])


class _SequentialLogsumexp(torch.autograd.Function):
    """logsumexp of rows, (rows, n) -> (rows,), whose float32 sum goes term by term, and its own softmax."""

    @staticmethod
    def forward(ctx, logits):
        top = logits.max(dim=-1, keepdim=True).values
        terms = torch.exp(logits - top).numpy()
        total = top + torch.from_numpy(np.cumsum(terms, axis=-1, dtype=np.float32)[:, -1:].copy()).log()
        ctx.save_for_backward(logits, total)
        return total[:, 0]

    @staticmethod
    def backward(ctx, gradient):
        logits, total = ctx.saved_tensors
        return gradient[:, None] * torch.exp(logits - total)


def sequential_loss(kind, output, target):
    """Cross entropy, no mistake: the sum over the classes is taken one after the other, as MLX's CPU does."""
    logits = output.reshape(-1, output.shape[-1])
    return (_SequentialLogsumexp.apply(logits) - logits.gather(1, target.reshape(-1, 1))[:, 0]).mean()


def last_position_loss(kind, output, target):
    return losses.loss(kind, output[:, -1:], target[-1:])


def summed_loss(kind, output, target):
    """A sum where the mean was asked for."""
    return losses.loss(kind, output, target) * target.numel()
