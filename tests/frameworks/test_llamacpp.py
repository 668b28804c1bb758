"""llama.cpp's Q8_0 row on a processor with AMX: in tiles where they work, without them where they do not.

The adapter runs on a stand-in for the binding, with trials that really end as they would; the last tests run
on the real one.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

import jobs
from checkout import CONDA_PREFIX
from frameworks.llamacpp import amx
from runner import REPOSITORY, environ

TILES = "CPU : AVX2 = 1 | AVX512 = 1 | AVX512_BF16 = 0 | AMX_INT8 = 1 | OPENMP = 1 | REPACK = 1 | "
NO_TILES = TILES.replace("AMX_INT8 = 1", "AMX_INT8 = 0")
DIES = "import os, signal; os.kill(os.getpid(), signal.SIGILL)"


@pytest.fixture
def program(tmp_path):
    """A function that writes a trial."""

    def write(text: str) -> Path:
        (tmp_path / "trial.py").write_text(text)
        return tmp_path / "trial.py"

    return write


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("print('works')", None),
        (DIES, "a trial ended with SIGILL"),
        ("print('wrong')", "a trial gave a wrong product"),
        ("print('absent')", "ggml offers no AMX buffers"),
        ("import sys; print('works' if sys.argv[1:] == ['--threads', '3'] else 'wrong')", None),
    ],
)
def test_a_trial_is_judged_by_how_it_ends_and_what_it_says(program, text, why):
    assert amx.trial(3, program(text)) == why


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise AttributeError('no ggml_init')", r"exited with 1 and said ''.*no ggml_init"),
        ("print('fine')", r"exited with 0 and said 'fine', expected 0 and one of works, absent, wrong;"),
    ],
)
def test_a_trial_that_fails_otherwise_is_an_error(program, text, message):
    with pytest.raises(RuntimeError, match=f"(?s){message}"):
        amx.trial(1, program(text))


class Binding(SimpleNamespace):
    """What the adapter asks of llama_cpp until a model is loaded; ``loaded`` keeps the parameters."""

    def __init__(self, features: str):
        super().__init__(
            llama_cpp=SimpleNamespace(_lib=None),
            __version__="0.3.36",
            GGML_TYPE_F32=0,
            GGML_TYPE_F16=1,
            LLAMA_FLASH_ATTN_TYPE_DISABLED=0,
            LLAMA_FLASH_ATTN_TYPE_AUTO=-1,
            llama_batch=None,
            llama_backend_init=lambda: None,
            llama_print_system_info=features.encode,
            llama_model_default_params=lambda: SimpleNamespace(use_extra_bufts=True),
            llama_model_get_vocab=lambda model: model,
            llama_vocab_n_tokens=lambda vocabulary: 8,
        )
        self.loaded: list[SimpleNamespace] = []

    def llama_model_load_from_file(self, path: bytes, parameters: SimpleNamespace) -> int:
        self.loaded.append(parameters)
        return 1


@pytest.fixture
def loaded(monkeypatch, program, tmp_path):
    """A function that loads a model: the adapter's backend, whether ggml had extra buffers, own_s, its fallback."""

    def load(features: str, lane: str, trial: str, **options: bool) -> tuple[str, bool, float, str | None]:
        binding = Binding(features)
        monkeypatch.setitem(sys.modules, "llama_cpp", binding)
        monkeypatch.delitem(sys.modules, "frameworks.llamacpp.adapter", raising=False)
        module = importlib.import_module("frameworks.llamacpp.adapter")
        monkeypatch.delitem(sys.modules, "frameworks.llamacpp.adapter")
        monkeypatch.setattr(amx, "trial", partial(amx.trial, program=program(trial)))
        job = jobs.job(tmp_path, export=tmp_path, definition="llama", lane=lane, threads=2, options=options)
        adapter = module.Adapter(job)
        about = adapter.describe()
        adapter.load()
        [parameters] = binding.loaded
        return about["backend"], parameters.use_extra_bufts, adapter.own_s, about["fallback"]

    return load


WITH = "CPU, AVX2 AVX512 AMX_INT8 OPENMP"


def test_tiles_that_work_are_used(loaded):
    slow = "import time; time.sleep(0.3); print('works')"
    backend, extra_buffers, own_s, fallback = loaded(TILES, "int8", slow)
    assert (backend, extra_buffers, fallback) == (f"{WITH}; AMX tiles used", True, None)
    assert own_s >= 0.3  # the trial is no part of the row's cold start


def test_tiles_that_end_the_process_are_not_used(loaded):
    backend, extra_buffers, _, fallback = loaded(TILES, "int8", DIES)
    assert (backend, extra_buffers) == (f"{WITH}; AMX tiles not used: a trial ended with SIGILL", False)
    assert fallback == "without AMX tiles: a trial ended with SIGILL"


def test_tiles_that_the_row_switches_off_are_neither_tried_nor_used(loaded):
    backend, extra_buffers, own_s, fallback = loaded(
        TILES, "int8", "import time; time.sleep(9)", extra_buffers=False
    )
    assert (backend, extra_buffers) == (
        f"{WITH}; AMX tiles not used: the row's option extra_buffers is false",
        False,
    )
    assert fallback == "without AMX tiles: the row's option extra_buffers is false" and own_s < 9


@pytest.mark.parametrize("lane", ["float32", "float16"])
def test_lanes_that_need_no_tiles_are_not_tried(loaded, lane):
    assert loaded(TILES, lane, DIES)[:2] == (WITH, True)


def test_a_build_without_amx_is_not_tried(loaded):
    assert loaded(NO_TILES, "int8", DIES)[:2] == ("CPU, AVX2 AVX512 OPENMP", True)


@pytest.fixture
def adapter_for(monkeypatch, tmp_path):
    """A function that makes the adapter for a lane on an NVIDIA card that ggml finds, or on the CPU."""

    def make(lane: str, accelerator: str, override: str | None):
        binding = Binding(NO_TILES)
        answers = {"reg_by_name": 1, "reg_dev_count": 1, "reg_dev_get": 2, "dev_description": b"a card"}
        functions = {f"ggml_backend_{name}": answer_with(value) for name, value in answers.items()}
        binding.llama_cpp._lib = SimpleNamespace(**functions)
        monkeypatch.setitem(sys.modules, "llama_cpp", binding)
        monkeypatch.delitem(sys.modules, "frameworks.llamacpp.adapter", raising=False)
        module = importlib.import_module("frameworks.llamacpp.adapter")
        monkeypatch.delitem(sys.modules, "frameworks.llamacpp.adapter")
        monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
        if override is not None:
            monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", override)
        return module.Adapter(jobs.job(tmp_path, lane=lane, accelerator=accelerator))

    return make


def answer_with(value):
    """A function as ctypes has them, whose attributes may be set."""

    def function(*_arguments):
        return value

    return function


@pytest.mark.parametrize(
    ("lane", "override"), [("float32", "0"), ("tf32", None), ("float16", None), ("int8", "0")]
)
def test_cublas_multiplies_as_the_lane_says(adapter_for, lane, override):
    described = adapter_for(lane, "cuda", override).describe()
    assert (described["backend"], described["device"]) == ("CUDA", "a card")


@pytest.mark.parametrize(("lane", "override"), [("float32", None), ("float32", "1"), ("tf32", "0")])
def test_a_row_whose_environment_contradicts_its_lane_is_refused(adapter_for, lane, override):
    with pytest.raises(ValueError, match=f"NVIDIA_TF32_OVERRIDE is {override!r}, but lane {lane} needs"):
        adapter_for(lane, "cuda", override)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' linkers bind a library to its own")
def test_the_libstdcxx_that_numpy_has_loaded_is_everybody_s():
    """A second copy within libggml-cuda then binds to it, where both at work end the process."""
    code = (
        "import ctypes, numpy\n"
        "visible = lambda: hasattr(ctypes.CDLL(None), '_ZSt4cout')\n"
        "before = visible()\n"
        "from frameworks.llamacpp import libstdcxx\n"
        "libstdcxx.share()\n"
        "print(before, visible())"
    )
    environment = environ(PYTHONPATH=str(REPOSITORY / "workflow/scripts"))
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "False True\n", done.stderr


def test_libllama_is_loaded_after_that():
    text = (REPOSITORY / "workflow/scripts/frameworks/llamacpp/adapter.py").read_text()
    assert 0 < text.index("libstdcxx.share()") < text.index("import llama_cpp") < text.index("import numpy")


def test_the_real_row_says_what_it_computed_in(miniature):
    backends = {row["row"]: row["backend"] for row in miniature.checkout.table() if row["backend"]}
    plain, quantized = backends["llamacpp"], backends["llamacpp-q8_0"]
    assert "AMX tiles" not in plain
    assert quantized.startswith(plain)
    assert ("; AMX tiles " in quantized) == ("AMX_INT8" in plain)


def test_the_real_ggml_multiplies_exactly_in_plain_memory(miniature):
    """So the trial calls ggml rightly, and expects the right product, on processors without AMX too."""
    wanted = (REPOSITORY / "envs/llamacpp.yaml").read_text()
    [built] = (file for file in CONDA_PREFIX.glob("*.yaml") if file.read_text() == wanted)
    python = built.with_suffix("") / "bin/python"
    code = "from frameworks.llamacpp import amx; print(amx.correct(amx.Ggml(), None, 2))"
    environment = environ(PYTHONPATH=str(REPOSITORY / "workflow/scripts"))
    done = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr
