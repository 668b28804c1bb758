"""Key-value caches: what attention does with the keys and values of the tokens that it is given.

Each class is one layer's: ``update(key, value)`` remembers new keys and values (batch, heads, time,
head_dim), already rotated, and returns those to attend to.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Prompt:
    """The prompt, stored at the start of buffers (batch, heads, length, head_dim): it attends to itself."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys, values

    def update(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        time = key.shape[2]
        self.keys[:, :, :time] = key
        self.values[:, :, :time] = value
        return key, value


class Step:
    """One token, at ``position`` (1,) int64 of the same buffers: it attends to all of them, under a mask.

    The buffers never move or grow, so that every step has one shape and can be compiled, or captured in
    a CUDA graph, once.
    """

    def __init__(self, keys: Tensor, values: Tensor, position: Tensor) -> None:
        self.keys, self.values, self.position = keys, values, position

    def update(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        self.keys.index_copy_(2, self.position, key)
        self.values.index_copy_(2, self.position, value)
        return self.keys, self.values


class Growing:
    """Any number of tokens after those so far (batch, heads, past, head_dim), which may be none.

    Nothing is written in place: ``keys`` and ``values`` become new tensors, as a graph without state needs.
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values = keys, values

    def update(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        self.keys = torch.cat((self.keys, key), dim=2)
        self.values = torch.cat((self.values, value), dim=2)
        return self.keys, self.values


Cache = Prompt | Step | Growing
