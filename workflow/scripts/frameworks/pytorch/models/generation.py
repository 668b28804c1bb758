"""Greedy generation with a key-value cache, of a module with ``buffers_for``, ``prefill`` and ``step``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

Prefill = Callable[[Tensor], Tensor]  # prompt (batch, time) -> logits (batch, vocabulary)
Step = Callable[[Tensor, Tensor], Tensor]  # token (batch, 1), position (1,) -> logits (batch, vocabulary)


def continuation(
    prefill: Prefill, step: Step, input_ids: Tensor, count: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The ``count`` tokens (batch, 1) that follow ``input_ids``, each of the highest logit, and those logits.

    Every token but the last is fed back. Nothing waits for a device: that is the caller's choice.
    """
    logits = prefill(input_ids)
    position = torch.tensor([input_ids.shape[1]], device=input_ids.device)
    for remaining in reversed(range(count)):
        token = logits.argmax(dim=-1, keepdim=True)
        yield token, logits
        if remaining:
            logits = step(token, position)
            position = position + 1


@torch.inference_mode()
def greedy(module: nn.Module, input_ids: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The greedy continuation of ``input_ids`` (1, time): ``count`` tokens int64 and their margins.

    A margin is the highest logit's lead over the second, in the module's dtype. Both are (count,).
    """
    buffers = module.buffers_for(input_ids.shape[1] + count)
    tokens, margins = [], []
    steps = continuation(
        lambda prompt: module.prefill(prompt, buffers),
        lambda token, position: module.step(token, position, buffers),
        input_ids,
        count,
    )
    for token, logits in steps:
        highest, second = logits[0].topk(2).values
        tokens.append(token[0, 0])
        margins.append(highest - second)
    return torch.stack(tokens), torch.stack(margins)
