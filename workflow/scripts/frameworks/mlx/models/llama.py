"""LLaMA (Touvron et al. 2023) with Hugging Face's names: RMSNorm, half-split RoPE, GQA, SwiGLU, tied head.
Greedy generation keeps its keys and values as mlx_lm does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from frameworks.mlx.models.layers import GroupedQueries, SwiGLU, attention


class KVCache:
    """Keys and values of one layer, (batch, heads, positions, size), in buffers that grow by ``STEP``."""

    STEP = 256  # positions; mlx_lm's step

    def __init__(self):
        self.keys: mx.array | None = None
        self.values: mx.array | None = None
        self.offset = 0  # positions held

    def extend(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Append new positions; return the keys and values of all of them."""
        before, self.offset = self.offset, self.offset + keys.shape[2]
        if self.keys is None or self.offset > self.keys.shape[2]:
            self.keys = self._grown(self.keys, keys, before)
            self.values = self._grown(self.values, values, before)
        self.keys[:, :, before : self.offset] = keys
        self.values[:, :, before : self.offset] = values
        return self.keys[:, :, : self.offset], self.values[:, :, : self.offset]

    def _grown(self, held: mx.array | None, new: mx.array, before: int) -> mx.array:
        batch, heads, positions, size = new.shape
        room = mx.zeros((batch, heads, -(-positions // self.STEP) * self.STEP, size), new.dtype)
        return room if held is None else mx.concatenate((held[:, :, :before], room), axis=2)


class Attention(GroupedQueries):
    """Causal self-attention with rotary positions (Su et al. 2021) in Hugging Face's pairing."""

    def __init__(self, config: dict[str, Any]):
        super().__init__(config)
        self.rope = nn.RoPE(config["head_dim"], traditional=False, base=config["rope_theta"])

    def __call__(self, x: mx.array, cache: KVCache | None) -> mx.array:
        query, key, value = self.project(x, x)
        offset = cache.offset if cache else 0
        query, key = self.rope(query, offset=offset), self.rope(key, offset=offset)
        if cache:
            key, value = cache.extend(key, value)
        return self.o_proj(attention(query, key, value, causal=x.shape[1] > 1))


class Layer(nn.Module):
    """Pre-norm attention and feed-forward, each added to the stream."""

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.mlp = SwiGLU(config)

    def __call__(self, x: mx.array, cache: KVCache | None) -> mx.array:
        x = x + self.self_attn(self.input_layernorm(x), cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Token ids (batch, positions) to normalised hidden states (batch, positions, hidden)."""

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = [Layer(config) for _ in range(config["num_hidden_layers"])]
        self.norm = nn.RMSNorm(config["hidden_size"], config["rms_norm_eps"])

    def __call__(self, input_ids: mx.array, caches: Sequence[KVCache | None]) -> mx.array:
        x = self.embed_tokens(input_ids)
        for layer, cache in zip(self.layers, caches, strict=True):
            x = layer(x, cache)
        return self.norm(x)


class Llama(nn.Module):
    """Token ids (batch, positions) int32 to logits (batch, positions, vocabulary) of every position."""

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        self.model = Decoder(config)

    def __call__(self, input_ids: mx.array) -> mx.array:
        return self.model.embed_tokens.as_linear(self.model(input_ids, [None] * len(self.model.layers)))

    def _next(self, input_ids: mx.array, caches: Sequence[KVCache]) -> mx.array:
        """The likeliest token after ``input_ids``, (batch, 1): only the last position's logits are made."""
        last = self.model(input_ids, caches)[:, -1:]
        return mx.argmax(self.model.embed_tokens.as_linear(last).astype(mx.float32), axis=-1)

    def generate(self, prompt: mx.array, count: int) -> Iterator[mx.array]:
        """Greedy continuation of ``prompt`` (batch, positions): ``count`` times the next token, (batch, 1).

        The step after a token is under way before that token is handed out, as in mlx_lm's generate_step.
        """
        caches = [KVCache() for _ in self.model.layers]
        token = self._next(prompt, caches)
        mx.async_eval(token)
        for _ in range(count - 1):
            following = self._next(token, caches)
            mx.async_eval(following)
            yield token
            token = following
        yield token


def build(config: dict[str, Any]) -> Llama:
    """The module of ``config`` (Hugging Face's keys), with untrained weights."""
    return Llama(config)
