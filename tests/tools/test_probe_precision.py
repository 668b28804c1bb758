"""The probe of what a framework multiplies in: right about formats that are imitated, and about PyTorch here."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import probe_precision
from frameworks.pytorch import rounding
from runner import REPOSITORY

FORMATS = {
    "float32": lambda x: x,
    "TF32": rounding.tf32,
    "float16": lambda x: x.to(torch.float16).to(x.dtype),
    "bfloat16": lambda x: x.to(torch.bfloat16).to(x.dtype),
    "fewer than 8 bits": torch.round,
}


@pytest.mark.parametrize("name", FORMATS)
def test_factors_are_known_by_what_they_lose(name):
    def multiply(a, b):
        return (FORMATS[name](torch.from_numpy(a)) @ FORMATS[name](torch.from_numpy(b))).numpy()

    assert probe_precision.multiplied_in(multiply, (64, 64), (64, 64), 64) == name


def test_sums_in_another_order_are_still_float32():
    def multiply(a, b):
        return np.stack([sum(a[:, k : k + 1] * b[k : k + 1] for k in reversed(range(len(b))))])

    assert probe_precision.multiplied_in(multiply, (8, 256), (256, 8), 256) == "float32"


def test_pytorch_multiplies_in_float32_on_a_cpu():
    program = REPOSITORY / "workflow/tools/probe_precision.py"
    done = subprocess.run([sys.executable, program, "PyTorch"], capture_output=True, text=True, check=True)
    lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    settings = [words for words, *_ in probe_precision.SETTINGS["PyTorch"][1]]
    assert [line[2].strip("`") for line in lines] == [*settings, "NVIDIA_TF32_OVERRIDE=0"]
    if not torch.cuda.is_available():
        assert {tuple(line[3:]) for line in lines} == {("float32", "float32")}
        assert lines[0][1] == f"{torch.__version__} on cpu"


def test_an_unknown_framework_is_refused():
    command = [sys.executable, REPOSITORY / "workflow/tools/probe_precision.py", "Torch"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Torch: unknown; expected of PyTorch, JAX" in done.stderr
