"""What the graphs of all architectures need: weights by name, and blocks of layers that compile once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from max.dtype import DType
from max.graph import DeviceRef, Graph, TensorValue, Value, Weight, ops

Params = Mapping[str, TensorValue]  # a checkpoint's name to its tensor, in the layout of layout.py


def weights(shapes: Mapping[str, Sequence[int]], device: DeviceRef) -> dict[str, TensorValue]:
    """The tensors of ``shapes`` as float32 values of the graph being built, on ``device``.

    They are external: names to be bound when the compiled graph is initialised, not constants in it.
    """
    return {
        name: Graph.current.add_weight(Weight(name, DType.float32, shape, device))
        for name, shape in shapes.items()
    }


def below(params: Params, prefix: str) -> dict[str, TensorValue]:
    """The tensors whose name starts with ``prefix`` and a dot, under the rest of their names."""
    start = f"{prefix}."
    return {name.removeprefix(start): params[name] for name in params if name.startswith(start)}


class Repeated:
    """A block of layers as a subgraph: MAX compiles it once, however many layers call it.

    ``block(params, *inputs)`` returns one value. ``params`` are the weights of the layer at ``prefix``, or of
    whichever layer is called; ``inputs`` are examples of what the calls will pass.
    """

    def __init__(
        self, block: Callable[..., TensorValue], params: Params, prefix: str, inputs: Sequence[Value[Any]]
    ):
        self.params = params
        own = below(params, prefix)
        self.names = list(own)
        graph = Graph.current
        with graph.add_subgraph(
            prefix,
            input_types=[value.type for value in (*inputs, *own.values())],
            devices=list(graph.device_chains),  # their chains put writes to buffers in order
        ) as self.subgraph:
            values = list(self.subgraph.inputs)
            arguments, tensors = values[: len(inputs)], values[len(inputs) :]
            named = dict(zip(self.names, (value.tensor for value in tensors), strict=True))
            self.subgraph.output(block(named, *arguments))

    def __call__(self, prefix: str, *inputs: Value[Any]) -> TensorValue:
        """What the layer at ``prefix`` makes of ``inputs``."""
        own = [self.params[f"{prefix}.{name}"] for name in self.names]
        return ops.call(self.subgraph, *inputs, *own)[0].tensor
