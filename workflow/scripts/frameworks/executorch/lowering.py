"""Captured modules of PyTorch to one ExecuTorch program, lowered to XNNPACK where that has the operator."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from executorch.backends.xnnpack.partition.xnnpack_partitioner import (
    XnnpackDynamicallyQuantizedPartitioner,
    XnnpackPartitioner,
)
from executorch.backends.xnnpack.utils.configs import (
    get_xnnpack_edge_compile_config,
    get_xnnpack_executorch_backend_config,
)
from executorch.exir import to_edge_transform_and_lower
from executorch.exir.dialects.edge._ops import EdgeOpOverload
from torch.export import ExportedProgram

from arena import files


def write(
    methods: Mapping[str, ExportedProgram],
    out: Path,
    constants: Mapping[str, int] | None = None,
    quantised: bool = False,
) -> None:
    """Write the program with these methods, which share their weights, and say how much of each is XNNPACK's.

    ``constants`` are methods that return a number. What is ``quantised`` dynamically XNNPACK takes first and by itself,
    as in ExecuTorch's own export of LLaMA: together with the rest its parts would wait for each other.
    """
    begin = time.perf_counter()
    partitioners = [XnnpackDynamicallyQuantizedPartitioner()] if quantised else []
    lowered = to_edge_transform_and_lower(
        dict(methods),
        partitioner=[*partitioners, XnnpackPartitioner()],
        constant_methods=dict(constants or {}),
        compile_config=get_xnnpack_edge_compile_config(),
    )
    for name in methods:
        nodes = [node for node in lowered.exported_program(name).graph.nodes if node.op == "call_function"]
        delegates = sum("executorch_call_delegate" in str(node.target) for node in nodes)
        own = {node.target._name for node in nodes if isinstance(node.target, EdgeOpOverload)}
        print(f"{name}: {delegates} parts on XNNPACK; by ExecuTorch's own kernels: {', '.join(sorted(own))}")
    program = lowered.to_executorch(get_xnnpack_executorch_backend_config())
    with files.replacing(out) as temporary, temporary.open("wb") as stream:
        program.write_to_file(stream)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB in {time.perf_counter() - begin:.1f} s")
