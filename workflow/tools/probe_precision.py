"""In which format each framework multiplies float32 numbers on this machine, by default and as it is told.

Every framework that is installed multiplies two matrices and convolves an image, in a process of its own for each
setting. All factors of one product are the same number or 1, chosen so that every sum is exact in float32 in any
order: whatever the result lacks, a narrower format of the factors took away. The table is that of docs/gpu.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

SIZE = 256  # of the matrices: large enough for tensor cores
IMAGE, FILTERS = (8, 64, 32, 32), (64, 64, 3, 3)
#: Numbers that the formats hold up to the named one: 24, 11 and 8 significant bits, and a small one with 11 of them,
#: which float16 lacks.
FINE, MIDDLE, COARSE, SMALL = 1 + 2**-12, 1 + 2**-9, 1 + 2**-7, 2**-20 * (1 + 2**-9)
EXACT = 1e-5  # largest relative error that is no rounding of factors: half of the least of those is 1.2e-4
Multiply = Callable[[np.ndarray, np.ndarray], np.ndarray]

#: Framework -> module, and its settings: in words, environment, and a name that its functions know.
SETTINGS: dict[str, tuple[str, list[tuple[str, dict[str, str], str]]]] = {
    "PyTorch": (
        "torch",
        [
            ("default", {}, ""),
            ('set_float32_matmul_precision("high")', {}, "high"),
            ("allow_tf32 = False for cuDNN too", {}, "strict"),
        ],
    ),
    "JAX": ("jax", [("default", {}, ""), ('jax_default_matmul_precision = "highest"', {}, "highest")]),
    "MLX": ("mlx", [("default", {}, ""), ("MLX_ENABLE_TF32=0", {"MLX_ENABLE_TF32": "0"}, "")]),
    "ONNX Runtime": ("onnxruntime", [("default", {}, ""), ("use_tf32=0", {}, "strict")]),
    "MAX": ("max", [("default", {}, "")]),
}
OVERRIDE = ("NVIDIA_TF32_OVERRIDE=0", {"NVIDIA_TF32_OVERRIDE": "0"}, "")  # cuBLAS's and cuDNN's own switch


def multiplied_in(multiply: Multiply, first: tuple[int, ...], second: tuple[int, ...], terms: int) -> str:
    """The format in which ``multiply`` takes its factors: float32, TF32, float16 or bfloat16.

    It is given two float32 arrays of these shapes; at least one number of the result sums ``terms`` products.
    """

    def exact(number: float) -> bool:
        factors = np.full(first, number, np.float32), np.ones(second, np.float32)
        result = np.asarray(multiply(*factors), np.float64)
        return abs(float(result.max()) - terms * number) <= EXACT * terms * number

    if not exact(COARSE):
        return "fewer than 8 bits"
    if exact(FINE):
        return "float32"
    if not exact(MIDDLE):
        return "bfloat16"
    return "TF32" if exact(SMALL) else "float16"


def torch_functions(setting: str) -> tuple[str, Multiply, Multiply]:
    import torch

    if setting == "high":
        torch.set_float32_matmul_precision("high")
    elif setting == "strict":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def on(function: Callable) -> Multiply:
        return lambda a, b: function(*(torch.from_numpy(x).to(device) for x in (a, b))).cpu().numpy()

    return f"{torch.__version__} on {device}", on(torch.matmul), on(torch.conv2d)


def jax_functions(setting: str) -> tuple[str, Multiply, Multiply]:
    import jax

    if setting:
        jax.config.update("jax_default_matmul_precision", setting)
    convolve = jax.jit(lambda x, w: jax.lax.conv(x, w, (1, 1), "VALID"))
    return f"{jax.__version__} on {jax.devices()[0].platform}", jax.jit(jax.numpy.matmul), convolve


def mlx_functions(setting: str) -> tuple[str, Multiply, Multiply]:
    import mlx.core as mx

    device = "cuda" if mx.cuda.is_available() else "metal" if mx.metal.is_available() else "cpu"

    def convolve(x: np.ndarray, w: np.ndarray) -> np.ndarray:
        last = (mx.array(np.ascontiguousarray(np.moveaxis(array, 1, -1))) for array in (x, w))
        return np.array(mx.conv2d(*last))

    return f"{mx.__version__} on {device}", lambda a, b: np.array(mx.array(a) @ mx.array(b)), convolve


def onnxruntime_functions(setting: str) -> tuple[str, Multiply, Multiply]:
    import onnxruntime as ort
    from onnx import TensorProto, helper

    provider = "CUDAExecutionProvider"
    on_card = provider in ort.get_available_providers()
    options = {"use_tf32": "0"} if setting else {}
    providers = [(provider, options)] if on_card else ["CPUExecutionProvider"]
    if on_card:
        ort.preload_dlls()

    def of(operator: str) -> Multiply:
        names = ("a", "b", "c")
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
        graph = helper.make_graph(
            [helper.make_node(operator, names[:2], names[2:])], "g", values[:2], values[2:]
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        session = ort.InferenceSession(model.SerializeToString(), providers=providers)
        if on_card and session.get_providers()[0] != provider:
            raise RuntimeError(f"{provider} did not start; the message above says why")
        return lambda a, b: session.run(None, {"a": a, "b": b})[0]

    return f"{ort.__version__} on {'cuda' if on_card else 'cpu'}", of("MatMul"), of("Conv")


def max_functions(setting: str) -> tuple[str, Multiply, Multiply]:
    from importlib import metadata

    from max.driver import CPU, Accelerator, Buffer, accelerator_count
    from max.dtype import DType
    from max.engine import InferenceSession
    from max.graph import DeviceRef, Graph, TensorType, ops

    device = Accelerator() if accelerator_count() else CPU()
    place = DeviceRef.from_device(device)
    session = InferenceSession(devices=[device])

    def of(function: Callable, *shapes: tuple[int, ...]) -> Multiply:
        types = [TensorType(DType.float32, shape, place) for shape in shapes]
        with Graph("probe", input_types=types) as graph:
            graph.output(function(*(value.tensor for value in graph.inputs)))
        model = session.load(graph)

        def run(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            b = b if b.ndim == 2 else np.ascontiguousarray(b.transpose(2, 3, 1, 0))  # as MAX has filters
            a = a if a.ndim == 2 else np.ascontiguousarray(a.transpose(0, 2, 3, 1))
            (result,) = model.execute(*(Buffer.from_numpy(array).to(device) for array in (a, b)))
            return result.to(CPU()).to_numpy()

        return run

    image = tuple(IMAGE[axis] for axis in (0, 2, 3, 1))
    filters = tuple(FILTERS[axis] for axis in (2, 3, 1, 0))
    where = "cpu" if device.is_host else "an accelerator"
    multiply = of(ops.matmul, (SIZE, SIZE), (SIZE, SIZE))
    return f"{metadata.version('max')} on {where}", multiply, of(ops.conv2d, image, filters)


FUNCTIONS: dict[str, Callable[[str], tuple[str, Multiply, Multiply]]] = {
    "torch": torch_functions,
    "jax": jax_functions,
    "mlx": mlx_functions,
    "onnxruntime": onnxruntime_functions,
    "max": max_functions,
}


def probe(module: str, setting: str) -> tuple[str, str, str]:
    """Version and device, and the formats of products and of convolutions, of one framework in this process."""
    about, multiply, convolve = FUNCTIONS[module](setting)
    terms = FILTERS[1] * FILTERS[2] * FILTERS[3]
    products = multiplied_in(multiply, (SIZE, SIZE), (SIZE, SIZE), SIZE)
    return about, products, multiplied_in(convolve, IMAGE, FILTERS, terms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "frameworks", nargs="*", metavar="FRAMEWORK", help=f"of {', '.join(SETTINGS)}; default: all"
    )
    parser.add_argument("--here", nargs=2, metavar=("MODULE", "SETTING"), help="probe one in this process")
    args = parser.parse_args()
    if args.here:
        print("\t".join(probe(*args.here)))
        return
    if unknown := set(args.frameworks) - set(SETTINGS):
        parser.error(f"{', '.join(sorted(unknown))}: unknown; expected of {', '.join(SETTINGS)}")
    print("| framework | version | setting | products | convolutions |\n|---|---|---|---|---|")
    for name in args.frameworks or SETTINGS:
        module, settings = SETTINGS[name]
        if importlib.util.find_spec(module) is None:
            print(f"| {name} | not installed | | | |")
            continue
        for words, variables, setting in [*settings, OVERRIDE]:
            command = [sys.executable, __file__, "--here", module, setting]
            run: Any = subprocess.run(
                command, env=os.environ | variables, capture_output=True, text=True, check=False
            )
            if run.returncode:
                reason = (run.stderr.strip().splitlines() or [f"exit status {run.returncode}"])[-1]
                print(f"| {name} | | `{words}` | failed: {reason[:200]} | |", flush=True)
                continue
            about, products, convolutions = run.stdout.strip().splitlines()[-1].split("\t")
            print(f"| {name} | {about} | `{words}` | {products} | {convolutions} |", flush=True)


if __name__ == "__main__":
    main()
