"""Whisper (Radford et al. 2022): an audio encoder and a text decoder, as in Hugging Face's checkpoints."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from frameworks.pytorch.models.layers import linear, merge_heads, split_heads

LAYER_NORM_EPS = 1e-5  # not in config.json: every checkpoint uses torch's default


class Attention(nn.Module):
    """Multi-head attention from ``x`` to ``source``; the keys have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.head_dim = width // heads
        self.q_proj = linear(width, width, bias=True)
        self.k_proj = linear(width, width)
        self.v_proj = linear(width, width, bias=True)
        self.out_proj = linear(width, width, bias=True)

    def forward(self, x: Tensor, source: Tensor, causal: bool = False) -> Tensor:
        query = split_heads(self.q_proj(x), self.head_dim)
        key = split_heads(self.k_proj(source), self.head_dim)
        value = split_heads(self.v_proj(source), self.head_dim)
        return self.out_proj(merge_heads(F.scaled_dot_product_attention(query, key, value, is_causal=causal)))


class EncoderLayer(nn.Module):
    """Pre-norm self-attention and feed-forward, each added to the stream."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.self_attn = Attention(width, heads)
        self.final_layer_norm = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.fc1 = linear(width, inner, bias=True)
        self.fc2 = linear(inner, width, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.self_attn_layer_norm(x)
        x = x + self.self_attn(normed, normed)
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))


class DecoderLayer(nn.Module):
    """Pre-norm causal self-attention, attention to the audio and feed-forward."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.self_attn = Attention(width, heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.encoder_attn = Attention(width, heads)
        self.final_layer_norm = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.fc1 = linear(width, inner, bias=True)
        self.fc2 = linear(inner, width, bias=True)

    def forward(self, x: Tensor, audio: Tensor) -> Tensor:
        normed = self.self_attn_layer_norm(x)
        x = x + self.self_attn(normed, normed, causal=True)
        x = x + self.encoder_attn(self.encoder_attn_layer_norm(x), audio)
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))


class Encoder(nn.Module):
    """Mel spectrogram (batch, mel_bins, frames) to audio states (batch, frames/2, width)."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width = config["d_model"]
        self.conv1 = nn.Conv1d(config["num_mel_bins"], width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(config["max_source_positions"], width)
        self.layers = nn.ModuleList(
            EncoderLayer(width, config["encoder_attention_heads"], config["encoder_ffn_dim"])
            for _ in range(config["encoder_layers"])
        )
        self.layer_norm = nn.LayerNorm(width, LAYER_NORM_EPS)

    def forward(self, input_features: Tensor) -> Tensor:
        x = F.gelu(self.conv1(input_features))
        x = F.gelu(self.conv2(x)).transpose(1, 2)
        # every position: a spectrogram of another length than the model's is an error, as upstream
        x = x + self.embed_positions.weight
        for layer in self.layers:
            x = layer(x)
        return self.layer_norm(x)


class Decoder(nn.Module):
    """Token ids (batch, time) and audio states to normalised states (batch, time, width)."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width = config["d_model"]
        self.embed_tokens = nn.Embedding(config["vocab_size"], width)
        self.embed_positions = nn.Embedding(config["max_target_positions"], width)
        self.layers = nn.ModuleList(
            DecoderLayer(width, config["decoder_attention_heads"], config["decoder_ffn_dim"])
            for _ in range(config["decoder_layers"])
        )
        self.layer_norm = nn.LayerNorm(width, LAYER_NORM_EPS)

    def forward(self, input_ids: Tensor, audio: Tensor) -> Tensor:
        x = self.embed_tokens(input_ids) + self.embed_positions.weight[: input_ids.shape[1]]
        for layer in self.layers:
            x = layer(x, audio)
        return self.layer_norm(x)


class EncoderDecoder(nn.Module):
    """The two halves under the checkpoint's names."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)


class WhisperForConditionalGeneration(nn.Module):
    """Spectrogram (batch, mel_bins, frames) and ids (batch, time) to logits (batch, time, vocabulary)."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.model = EncoderDecoder(config)

    def forward(self, input_features: Tensor, decoder_input_ids: Tensor) -> Tensor:
        audio = self.model.encoder(input_features)
        x = self.model.decoder(decoder_input_ids, audio)
        return F.linear(x, self.model.decoder.embed_tokens.weight)


def build(config: dict[str, Any]) -> WhisperForConditionalGeneration:
    """The module of ``config`` (Hugging Face's keys), with untrained weights."""
    return WhisperForConditionalGeneration(config)
