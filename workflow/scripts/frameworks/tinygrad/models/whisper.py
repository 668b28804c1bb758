"""Whisper, encoder and decoder (Radford et al. 2022), with Hugging Face's names and a tied head."""

from __future__ import annotations

from typing import Any

from tinygrad import Tensor, nn

from frameworks.tinygrad.models.layers import merge_heads, split_heads, tied_head

LAYER_NORM_EPS = 1e-5  # not in config.json: every checkpoint uses PyTorch's default


def _gelu(x: Tensor) -> Tensor:
    return x.gelu(approximate="none")  # tinygrad's default is the approximation by tanh


class Attention:
    """Multi-head attention from ``x`` to ``source``; the keys have no bias."""

    def __init__(self, width: int, heads: int):
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def __call__(self, x: Tensor, source: Tensor, causal: bool = False) -> Tensor:
        query = split_heads(self.q_proj(x), self.heads)
        key = split_heads(self.k_proj(source), self.heads)
        value = split_heads(self.v_proj(source), self.heads)
        return self.out_proj(merge_heads(query.scaled_dot_product_attention(key, value, is_causal=causal)))


class EncoderLayer:
    """Pre-norm self-attention and feed-forward, each added to the stream."""

    def __init__(self, width: int, heads: int, inner: int):
        self.self_attn_layer_norm = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.self_attn = Attention(width, heads)
        self.final_layer_norm = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def __call__(self, x: Tensor) -> Tensor:
        h = self.self_attn_layer_norm(x)
        x = x + self.self_attn(h, h)
        return x + self.fc2(_gelu(self.fc1(self.final_layer_norm(x))))


class DecoderLayer:
    """Pre-norm causal self-attention, attention to the audio and feed-forward."""

    def __init__(self, width: int, heads: int, inner: int):
        self.self_attn_layer_norm = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.self_attn = Attention(width, heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.encoder_attn = Attention(width, heads)
        self.final_layer_norm = nn.LayerNorm(width, LAYER_NORM_EPS)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def __call__(self, x: Tensor, audio: Tensor) -> Tensor:
        h = self.self_attn_layer_norm(x)
        x = x + self.self_attn(h, h, causal=True)
        x = x + self.encoder_attn(self.encoder_attn_layer_norm(x), audio)
        return x + self.fc2(_gelu(self.fc1(self.final_layer_norm(x))))


class Encoder:
    """Mel spectrogram (batch, mel_bins, frames) to audio states (batch, frames / 2, width)."""

    def __init__(self, config: dict[str, Any]):
        width, heads = config["d_model"], config["encoder_attention_heads"]
        self.conv1 = nn.Conv1d(config["num_mel_bins"], width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(config["max_source_positions"], width)
        self.layers = [
            EncoderLayer(width, heads, config["encoder_ffn_dim"]) for _ in range(config["encoder_layers"])
        ]
        self.layer_norm = nn.LayerNorm(width, LAYER_NORM_EPS)

    def __call__(self, input_features: Tensor) -> Tensor:
        x = _gelu(self.conv1(input_features))
        x = _gelu(self.conv2(x)).transpose(1, 2) + self.embed_positions.weight
        return self.layer_norm(x.sequential(self.layers))


class Decoder:
    """Token ids (batch, positions) and audio states to normalised states (batch, positions, width)."""

    def __init__(self, config: dict[str, Any]):
        width, heads = config["d_model"], config["decoder_attention_heads"]
        self.embed_tokens = nn.Embedding(config["vocab_size"], width)
        self.embed_positions = nn.Embedding(config["max_target_positions"], width)
        self.layers = [
            DecoderLayer(width, heads, config["decoder_ffn_dim"]) for _ in range(config["decoder_layers"])
        ]
        self.layer_norm = nn.LayerNorm(width, LAYER_NORM_EPS)

    def __call__(self, input_ids: Tensor, audio: Tensor) -> Tensor:
        x = self.embed_tokens(input_ids) + self.embed_positions.weight[: input_ids.shape[1]]
        for layer in self.layers:
            x = layer(x, audio)
        return self.layer_norm(x)


class EncoderDecoder:
    """The two halves under the checkpoint's names."""

    def __init__(self, config: dict[str, Any]):
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)


class Whisper:
    """Spectrogram (batch, mel_bins, frames), frames twice the encoder's positions, and ids (batch, positions)
    int32 to logits (batch, positions, vocabulary)."""

    def __init__(self, config: dict[str, Any]):
        self.model = EncoderDecoder(config)

    def __call__(self, input_features: Tensor, decoder_input_ids: Tensor) -> Tensor:
        audio = self.model.encoder(input_features)
        x = self.model.decoder(decoder_input_ids, audio)
        return tied_head(x, self.model.decoder.embed_tokens)


def build(config: dict[str, Any]) -> Whisper:
    """The module of ``config`` (Hugging Face's keys), with untrained weights."""
    return Whisper(config)
