"""Export a model to ONNX with PyTorch's dynamo exporter: one file, weights inside.

An axis whose size differs between the inference and the latency input becomes dynamic; all others
stay fixed, so that the runtime can specialise on them.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import torch

from arena import files, tensors
from frameworks.pytorch.models.loading import load as load_module

PROTOBUF_LIMIT = 2_000_000_000  # bytes; a larger model needs its weights beside the graph


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--definition", required=True, help="module in frameworks/pytorch/models/")
    for name in ("weights", "config", "inputs"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="model.onnx")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    log = logging.getLogger("export_onnx")
    log.setLevel(logging.INFO)  # the exporter itself tells every rewrite at this level

    if args.weights.stat().st_size > PROTOBUF_LIMIT:
        raise SystemExit(
            f"{args.weights}: over 2 GB, which one ONNX file cannot hold; export a smaller model"
        )
    weights, config = tensors.load(args.weights), files.read_json(args.config)
    module = load_module(args.definition, config, weights, torch.float32, torch.device("cpu")).eval()
    inputs = tensors.load(args.inputs)
    full, small = tensors.select(inputs, "inference."), tensors.select(inputs, "latency.")
    shapes = {name: dynamic_axes(name, full[name].shape, small[name].shape) for name in full}
    log.info("exporting %s, dynamic axes %s", args.definition, shapes)
    begin = time.perf_counter()
    with files.replacing(args.out) as temporary:
        torch.onnx.export(
            module,
            kwargs={name: torch.from_numpy(array) for name, array in full.items()},
            f=temporary,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=list(full),
            output_names=["output"],
            external_data=False,
            verbose=False,
        )
    log.info("%s: %.1f MB in %.1f s", args.out, args.out.stat().st_size / 1e6, time.perf_counter() - begin)


def dynamic_axes(name: str, full: tuple[int, ...], small: tuple[int, ...]) -> dict[int, torch.export.Dim]:
    """The axes of one input whose size differs between two shapes, as dynamic dimensions up to the larger.

    Raises ValueError if the two shapes differ in rank.
    """
    if len(full) != len(small):
        raise ValueError(f"input {name}: inference has shape {full}, latency {small}; ranks must agree")
    return {
        axis: torch.export.Dim(f"{name}_{axis}", min=1, max=max(sizes))
        for axis, sizes in enumerate(zip(full, small, strict=True))
        if sizes[0] != sizes[1]
    }


if __name__ == "__main__":
    main()
