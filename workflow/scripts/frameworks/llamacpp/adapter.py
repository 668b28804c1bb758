"""llama.cpp on the exported GGUF, through its C interface as llama-cpp-python binds it.

The bindings' own ``Llama`` class works on logits in Python; here the clock sees llama.cpp alone.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from typing import Any

from frameworks.llamacpp import libstdcxx

libstdcxx.share()  # before libllama, and after numpy, which the measuring process has

import llama_cpp  # noqa: E402
import numpy as np  # noqa: E402

from frameworks import base  # noqa: E402
from frameworks.llamacpp import amx  # noqa: E402

LIBRARY = llama_cpp.llama_cpp._lib  # also finds the functions of ggml, of which the bindings have none

#: Lane -> number format of the key-value cache, and whether flash attention may run (-1: llama.cpp
#: decides). On the CPU flash attention works in float16, as the default cache does, so float32 has neither.
LANES = {
    "float32": (llama_cpp.GGML_TYPE_F32, llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED),
    "tf32": (llama_cpp.GGML_TYPE_F32, llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED),
    "float16": (llama_cpp.GGML_TYPE_F16, llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO),
    "int8": (llama_cpp.GGML_TYPE_F16, llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO),
}
#: Lanes whose weights ggml multiplies in AMX tiles, where it was built for them.
QUANTIZED = ("int8",)
#: Accelerator -> ggml's name of its backend.
BACKENDS = {"cuda": b"CUDA", "rocm": b"ROCm", "metal": b"MTL", "vulkan": b"Vulkan", "xpu": b"SYCL"}
#: ggml's CUDA backend asks cuBLAS for TF32 whatever the weights are, and has no switch; cuBLAS's own switch takes it
#: back. It is read once in a process, so it comes from the row's environment.
OVERRIDE = "NVIDIA_TF32_OVERRIDE"
#: What of llama.cpp's list of CPU features tells two machines' kernels apart.
FEATURES = ("NEON", "SVE", "AVX2", "AVX512", "AVX512_VNNI", "AVX512_BF16", "AMX_INT8", "OPENMP", "ACCELERATE")


class Adapter(base.Adapter):
    """The model is loaded once; each task has a context of its own, whose cache holds that task's tokens.

    Option ``cache``: ``F16`` or ``F32``, the key-value cache's number format in place of the lane's. Option
    ``extra_buffers``: false leaves quantized weights as they are in the file, for the kernels without AMX tiles.
    """

    def __init__(self, job: base.Job):
        super().__init__(job)
        llama_cpp.llama_backend_init()
        device = _device(job.cell.accelerator)
        if job.cell.accelerator == "cuda":
            _check_override(job.cell.lane)
        self.device = _text(LIBRARY.ggml_backend_dev_description, device) if device else "cpu"
        # A list without a device keeps a build for GPUs from using one in a CPU's row.
        self.devices = (ctypes.c_void_p * 2)(device, None)
        self.context: int | None = None
        self.reading: int | None = None  # the context of ``forward``
        self.features = _system_features()
        self.tiled = (
            job.cell.accelerator == "cpu" and job.cell.lane in QUANTIZED and "AMX_INT8" in self.features
        )
        begin = time.monotonic()
        self.no_tiles = self._without_tiles() if self.tiled else None
        self.own_s = time.monotonic() - begin

    def _without_tiles(self) -> str | None:
        """Why AMX tiles are not to be used; None if they are."""
        if self.job.cell.options.get("extra_buffers") is False:
            return "the row's option extra_buffers is false"
        return amx.trial(self.job.cell.threads)

    def describe(self) -> dict[str, Any]:
        accelerator = self.job.cell.accelerator
        return {
            "version": llama_cpp.__version__,
            "backend": self._kernels() if accelerator == "cpu" else BACKENDS[accelerator].decode(),
            "device": self.device,
            "threads": llama_cpp.llama_n_threads(self.context) if self.context else None,
            "fallback": f"without AMX tiles: {self.no_tiles}" if self.no_tiles else None,
        }

    def _kernels(self) -> str:
        """What tells this CPU's kernels from another's: the build's features, and if AMX tiles are used."""
        text = "CPU, " + " ".join(name for name in FEATURES if name in self.features)
        if self.no_tiles:
            return f"{text}; AMX tiles not used: {self.no_tiles}"
        return f"{text}; AMX tiles used" if self.tiled else text

    def load(self) -> None:
        parameters = llama_cpp.llama_model_default_params()
        if self.no_tiles:
            parameters.use_extra_bufts = False  # weights stay as in the file, for the kernels without tiles
        parameters.devices = ctypes.addressof(self.devices)
        parameters.n_gpu_layers = -1 if self.devices[0] else 0
        self.model = llama_cpp.llama_model_load_from_file(str(self.job.files.export).encode(), parameters)
        if not self.model:
            raise RuntimeError(f"llama.cpp cannot load {self.job.files.export}; the log above says why")
        self.classes = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))

    def prepare(self, task: base.Task) -> Callable[[], Any]:
        (tokens,) = self.job.task_inputs(task)["input_ids"].astype(np.int32)
        decode = task == "decode"
        self.context = self._new_context(len(tokens) + (self.job.cell.decode_tokens if decode else 0))
        return self._generation(tokens) if decode else self._forward(tokens)

    def forward(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        (tokens,) = inputs["input_ids"].astype(np.int32)
        if self.reading is None:
            self.reading = self._new_context(len(tokens))
        self.context = self.reading
        return self._forward(tokens)()

    def fetch(self, task: base.Task, result: Any) -> dict[str, np.ndarray]:
        if task == "decode":
            return {"tokens": np.array(result.tokens, dtype=np.int64)}
        return {"output": result[np.newaxis].copy()}

    def _new_context(self, tokens: int) -> int:
        """A context with room for ``tokens``, which it takes in one call; all else is llama.cpp's default."""
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = tokens
        parameters.n_batch = max(parameters.n_batch, tokens)
        parameters.n_threads = parameters.n_threads_batch = self.job.cell.threads
        cache, flash_attention = LANES[self.job.cell.lane]
        own = self.job.cell.options.get("cache")
        parameters.type_k = parameters.type_v = getattr(llama_cpp, f"GGML_TYPE_{own}") if own else cache
        parameters.flash_attn_type = flash_attention
        context = llama_cpp.llama_init_from_model(self.model, parameters)
        if not context:
            raise RuntimeError("llama.cpp made no context; the log above says why")
        return context

    def _forward(self, tokens: np.ndarray) -> Callable[[], np.ndarray]:
        """One pass over (tokens,) with every position's logits, (tokens, classes), in llama.cpp's memory."""
        context, memory = self.context, llama_cpp.llama_get_memory(self.context)
        batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for position, token in enumerate(tokens):
            batch.token[position], batch.pos[position] = token, position
            batch.n_seq_id[position], batch.seq_id[position][0] = 1, 0
            batch.logits[position] = True
        shape = (len(tokens), self.classes)

        def infer() -> np.ndarray:
            llama_cpp.llama_memory_clear(memory, False)
            _decode(context, batch)
            return np.ctypeslib.as_array(llama_cpp.llama_get_logits(context), shape)  # waits for them

        return infer

    def _generation(self, prompt: np.ndarray) -> Callable[[], base.Generation]:
        """Greedy generation after ``prompt``; a batch made from tokens alone yields its last one's logits."""
        context, memory = self.context, llama_cpp.llama_get_memory(self.context)
        fed = (llama_cpp.llama_token * len(prompt))(*prompt)
        latest = (llama_cpp.llama_token * 1)()

        def next_token(tokens: ctypes.Array) -> int:
            _decode(context, llama_cpp.llama_batch_get_one(tokens, len(tokens)))
            logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), (self.classes,))
            return int(logits.argmax())

        def generate() -> base.Generation:
            start = time.perf_counter_ns()
            llama_cpp.llama_memory_clear(memory, False)
            tokens = [next_token(fed)]
            first_token_ns = time.perf_counter_ns() - start
            while len(tokens) < self.job.cell.decode_tokens:
                latest[0] = tokens[-1]
                tokens.append(next_token(latest))
            return base.Generation(tokens, first_token_ns)

        return generate


def _decode(context: int, batch: llama_cpp.llama_batch) -> None:
    status = llama_cpp.llama_decode(context, batch)
    if status:
        raise RuntimeError(f"llama_decode returned {status} for {batch.n_tokens} token(s); see the log")


def _device(accelerator: str) -> int | None:
    """The accelerator's first device in ggml, None for the CPU; UnsupportedError if this build has none."""
    if accelerator == "cpu":
        return None
    registry = _call(LIBRARY.ggml_backend_reg_by_name, BACKENDS[accelerator])
    if not (registry and LIBRARY.ggml_backend_reg_dev_count(ctypes.c_void_p(registry))):
        raise base.UnsupportedError(
            "no-device",
            f"llama-cpp-python {llama_cpp.__version__}, as built here, finds no {accelerator} device",
        )
    return _call(LIBRARY.ggml_backend_reg_dev_get, ctypes.c_void_p(registry), ctypes.c_size_t(0))


def _check_override(lane: str) -> None:
    """Raise ValueError unless cuBLAS multiplies as the lane says: exactly in float32, in TF32 in lane tf32."""
    found, wanted = os.environ.get(OVERRIDE), {"float32": "0", "tf32": None}
    if lane in wanted and found != wanted[lane]:
        asks = f"{OVERRIDE}=0" if wanted[lane] else f"no {OVERRIDE}"
        raise ValueError(
            f"{OVERRIDE} is {found!r}, but lane {lane} needs {asks}: set the row's `environment` in "
            "config/frameworks, or unset the variable"
        )


def _call(function: Any, *arguments: Any) -> int | None:
    """Call a function of ggml that returns a pointer."""
    function.restype = ctypes.c_void_p
    return function(*arguments)


def _text(function: Any, pointer: int) -> str:
    """Call a function of ggml that takes a pointer and returns a string."""
    function.restype = ctypes.c_char_p
    return function(ctypes.c_void_p(pointer)).decode()


def _system_features() -> set[str]:
    """Names of what llama.cpp says that its build has: of "CPU : AVX = 1 | OPENMP = 1 |" AVX and OPENMP."""
    entries = llama_cpp.llama_print_system_info().decode().replace(" : ", " | ").split("|")
    return {entry.split(" = ")[0].strip() for entry in entries if entry.strip().endswith(" = 1")}
