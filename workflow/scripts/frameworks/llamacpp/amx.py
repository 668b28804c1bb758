"""Whether ggml's matrix product in AMX tiles works here: it is tried, in a process of its own.

Nothing that can be asked tells. Built by one of the compilers that docs/upstream.md names, ggml loads a tile
configuration without shapes, and the next tile instruction ends the process with SIGILL, on a processor that
has AMX and under a system that allows it. By hand, with llama-cpp-python's environment:

    python -P workflow/scripts/frameworks/llamacpp/amx.py --threads 2
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

SECONDS = 60  # for one trial, most of which is Python's start
#: What a trial prints -> why ggml cannot use its tiles then; None: it can.
ANSWERS = {
    "works": None,
    "absent": "ggml offers no AMX buffers",
    "wrong": "a trial gave a wrong product",
}
#: ggml's Q8_0: a scale for each 32 signed bytes.
BLOCK = np.dtype([("scale", "<f2"), ("quants", "i1", (32,))])
#: Rows of the input: one whole block of tiles (32) and a part of one, which ggml computes in code of its own.
ROWS = 40
#: Blocks of 32 along the sum: a first, which overwrites, and more, which add.
BLOCKS = 3

# Of ggml's enumerations.
TYPE_F32, TYPE_Q8_0, DEVICE_CPU = 0, 8, 0


class InitParameters(ctypes.Structure):
    """ggml's struct ggml_init_params."""

    _fields_ = (("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool))


POINTER, SIZE, INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
#: Function of ggml -> what it returns, and its arguments.
SIGNATURES = {
    "ggml_init": (POINTER, InitParameters),
    "ggml_new_tensor_2d": (POINTER, POINTER, INT, ctypes.c_int64, ctypes.c_int64),
    "ggml_mul_mat": (POINTER, POINTER, POINTER, POINTER),
    "ggml_new_graph": (POINTER, POINTER),
    "ggml_build_forward_expand": (None, POINTER, POINTER),
    "ggml_backend_dev_by_type": (POINTER, INT),
    "ggml_backend_dev_backend_reg": (POINTER, POINTER),
    "ggml_backend_reg_get_proc_address": (POINTER, POINTER, ctypes.c_char_p),
    "ggml_backend_buft_name": (ctypes.c_char_p, POINTER),
    "ggml_backend_buft_get_alloc_size": (SIZE, POINTER, POINTER),
    "ggml_backend_buft_alloc_buffer": (POINTER, POINTER, SIZE),
    "ggml_backend_buffer_get_base": (POINTER, POINTER),
    "ggml_backend_tensor_alloc": (INT, POINTER, POINTER, POINTER),
    "ggml_backend_dev_init": (POINTER, POINTER, ctypes.c_char_p),
    "ggml_backend_alloc_ctx_tensors": (POINTER, POINTER, POINTER),
    "ggml_backend_tensor_set": (None, POINTER, POINTER, SIZE, SIZE),
    "ggml_backend_tensor_get": (None, POINTER, POINTER, SIZE, SIZE),
    "ggml_backend_cpu_set_n_threads": (None, POINTER, INT),
    "ggml_backend_graph_compute": (INT, POINTER, POINTER),
}


def trial(threads: int, program: Path = Path(__file__)) -> str | None:
    """Why ggml's AMX product cannot be used in this environment, in a few words; None if it can.

    ``program`` runs it on ``threads`` threads in a process of its own. Raises RuntimeError where that process
    fails otherwise than by a signal or a wrong product, subprocess.TimeoutExpired where it does not end.
    """
    # -P: what lies beside this file is no module of its own.
    command = [sys.executable, "-P", str(program), "--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode < 0:
        return f"a trial ended with {signal.Signals(-done.returncode).name}"
    answer = done.stdout.strip()
    if done.returncode or answer not in ANSWERS:
        raise RuntimeError(
            f"the trial of ggml's AMX product exited with {done.returncode} and said {answer!r}, expected 0 "
            f"and one of {', '.join(ANSWERS)}; run it by hand: {' '.join(command)}\n{done.stderr[-1000:]}"
        )
    return ANSWERS[answer]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, required=True)
    threads = parser.parse_args().threads
    ggml = Ggml()
    buffers = ggml.extra_buffers("AMX")
    print("works" if buffers and correct(ggml, buffers, threads) else "wrong" if buffers else "absent")


def correct(ggml: Ggml, buffers: int | None, threads: int) -> bool:
    """Whether ggml multiplies right with the weights in ``buffers`` (None: in plain memory).

    All values are whole numbers that Q8_0 and float32 hold exactly, so the product has to be exact.
    """
    columns, inner = 32 * threads, 32 * BLOCKS  # a block of tiles for each thread, and one more of its rows
    random = np.random.default_rng(1)
    weights = random.integers(-127, 128, (columns, inner))
    inputs = random.integers(-127, 128, (ROWS, inner))
    inputs[:, ::32] = 127  # the largest of each block becomes 127 when ggml quantizes it: a scale of 1
    blocks = np.empty((columns, BLOCKS), BLOCK)
    blocks["scale"], blocks["quants"] = 1, weights.reshape(columns, BLOCKS, 32)
    product = ggml.product(blocks, inputs.astype(np.float32), buffers, threads)
    return np.array_equal(product, inputs @ weights.T)


class Ggml:
    """As much of ggml's C interface as one product takes; pointers are integers."""

    def __init__(self) -> None:
        from llama_cpp import llama_cpp  # here, since the trial's judge runs without it

        for name, (result, *arguments) in SIGNATURES.items():
            function = getattr(llama_cpp._lib, name)  # libllama's handle finds ggml's functions too
            function.restype, function.argtypes = result, arguments
            setattr(self, name.removeprefix("ggml_"), function)
        self.cpu = self.backend_dev_by_type(DEVICE_CPU)

    def extra_buffers(self, name: str) -> int | None:
        """The CPU's buffer type of this name, in which ggml keeps weights in a layout of its own."""
        registry = self.backend_dev_backend_reg(self.cpu)
        address = self.backend_reg_get_proc_address(registry, b"ggml_backend_dev_get_extra_bufts")
        types = ctypes.CFUNCTYPE(ctypes.POINTER(POINTER), POINTER)(address)(self.cpu)
        listed = itertools.takewhile(bool, map(types.__getitem__, itertools.count()))  # until a null pointer
        return next((kind for kind in listed if self.backend_buft_name(kind) == name.encode()), None)

    def product(
        self, blocks: np.ndarray, inputs: np.ndarray, buffers: int | None, threads: int
    ) -> np.ndarray:
        """``inputs`` (rows, inner) float32 times the transpose of ``blocks`` (columns, inner / 32) of BLOCK.

        Returns (rows, columns) float32. ggml's memory goes when the process does.
        """
        (rows, inner), columns = inputs.shape, len(blocks)
        context = self.init(InitParameters(1 << 20, None, True))
        weight = self.new_tensor_2d(context, TYPE_Q8_0, inner, columns)
        vector = self.new_tensor_2d(context, TYPE_F32, inner, rows)
        output = self.mul_mat(context, weight, vector)
        graph = self.new_graph(context)
        self.build_forward_expand(graph, output)
        if buffers:
            size = self.backend_buft_get_alloc_size(buffers, weight)
            buffer = self.backend_buft_alloc_buffer(buffers, size)
            self.backend_tensor_alloc(buffer, weight, self.backend_buffer_get_base(buffer))
        backend = self.backend_dev_init(self.cpu, None)
        self.backend_alloc_ctx_tensors(context, backend)  # gives memory to those that have none yet
        self.backend_tensor_set(weight, blocks.ctypes.data, 0, blocks.nbytes)
        self.backend_tensor_set(vector, inputs.ctypes.data, 0, inputs.nbytes)
        self.backend_cpu_set_n_threads(backend, threads)
        status = self.backend_graph_compute(backend, graph)
        if status:
            raise RuntimeError(f"ggml_backend_graph_compute returned {status}, expected 0")
        result = np.empty((rows, columns), np.float32)
        self.backend_tensor_get(output, result.ctypes.data, 0, result.nbytes)
        return result


if __name__ == "__main__":
    main()
