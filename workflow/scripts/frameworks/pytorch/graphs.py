"""CUDA graphs captured by hand: what was recorded once is replayed, with nothing launched from Python.

PyTorch's own recipe ("CUDA graphs" in its notes): every tensor that goes in or comes out keeps its place, and what is
to be captured has run before, on another stream, so that nothing is set up while it is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")
WARM = 3  # as PyTorch's recipe warms up


def captured(
    run: Callable[[], Result], device: torch.device, warm: Callable[[], object] | None = None
) -> Callable[[], Result]:
    """``run`` as a graph: each call replays it and returns what ``run`` returned, overwritten in place.

    ``warm`` runs before the capture, by default ``run`` itself.
    """
    aside = torch.cuda.Stream(device)
    aside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(aside):
        for _ in range(WARM):
            (warm or run)()
    torch.cuda.current_stream(device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = run()

    def replay() -> Result:
        graph.replay()
        return result

    return replay


class Continuation:
    """Greedy generation in tensors that keep their place: ``start`` reads the prompt, ``advance`` one token more.

    ``tokens`` (1, count) int64 fill from the left. Both run without waiting for the device, so both can be captured.
    """

    def __init__(
        self,
        prefill: Callable[[Tensor], Tensor],
        step: Callable[[Tensor, Tensor], Tensor],
        prompt: Tensor,
        count: int,
    ) -> None:
        self.prefill, self.step, self.prompt = prefill, step, prompt
        self.tokens = prompt.new_zeros(1, count)
        self.token = prompt.new_zeros(1, 1)
        self.position = prompt.new_zeros(1)

    def start(self) -> None:
        """The first token after the prompt."""
        self.position.fill_(self.prompt.shape[1])
        self._take(self.prefill(self.prompt))

    def advance(self) -> None:
        """The token after the latest, which stands at ``position``."""
        logits = self.step(self.token, self.position)
        self.position += 1
        self._take(logits)

    def _take(self, logits: Tensor) -> None:
        torch.argmax(logits, dim=-1, keepdim=True, out=self.token)
        self.tokens.index_copy_(1, self.position - self.prompt.shape[1], self.token)
