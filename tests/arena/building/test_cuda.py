"""Finding CUDA's compiler, and what a program is linked with where there is no card and no driver."""

import os
import re
import subprocess

import pytest

from arena.building import cuda

LIBRARIES = ("nvrtc", "curand", "cublas", "cublasLt", "cudnn")
HEADER = """#define cuMemAlloc cuMemAlloc_v2
CUresult CUDAAPI cuInit(unsigned int Flags);
CUresult CUDAAPI cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize);
"""


def installed(root, *, version="13.0.88", libraries=LIBRARIES, runtime=True):
    """A toolkit below ``root``: an nvcc that says its version, libraries, the header of the driver."""
    for folder in ("bin", "lib", "include"):
        (root / folder).mkdir(parents=True)
    nvcc = root / "bin/nvcc"
    nvcc.write_text(f'#!/bin/sh\necho "Cuda compilation tools, release {version[:4]}, V{version}"\n')
    nvcc.chmod(0o755)
    for name in libraries:
        (root / f"lib/lib{name}.so.13").touch()
    if runtime:
        (root / "lib" / cuda.CUDART).touch()
    (root / "include/cuda.h").write_text(HEADER)
    return nvcc


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No toolkit of this machine's is found."""
    monkeypatch.setattr(cuda, "_candidates", wrapped(cuda._candidates, tmp_path))
    return tmp_path / "site-packages"


def wrapped(candidates, below):
    return lambda *given: (path for path in candidates(*given) if path.is_relative_to(below))


def test_the_wheels_of_this_python_come_before_the_path(tmp_path, nowhere):
    system = installed(tmp_path / "usr", version="12.9.1")
    packaged = installed(nowhere / "nvidia/cu13")
    found = cuda.toolkit({"PATH": str(system.parent)}, nowhere)
    assert (found.nvcc, found.version) == (packaged, "13.0.88")
    asked = cuda.toolkit({"PATH": "", "NVCC": str(system)}, nowhere)
    assert (asked.nvcc, asked.version) == (system, "12.9.1")
    assert cuda.toolkit({"PATH": "", "CUDA_HOME": str(tmp_path / "usr")}, tmp_path / "none").nvcc == system


def test_no_toolkit_is_said_with_the_places(nowhere):
    with pytest.raises(cuda.ToolkitError, match=r"no nvcc: not in \$NVCC"):
        cuda.toolkit({"PATH": ""}, nowhere)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"runtime": False}, cuda.CUDART), ({"libraries": LIBRARIES[:-1]}, "but not libcudnn.so")],
)
def test_a_toolkit_that_lacks_a_library_is_named(tmp_path, nowhere, monkeypatch, changes, words):
    monkeypatch.setattr(cuda, "SYSTEM", ())
    installed(nowhere / "nvidia/cu13", **changes)
    with pytest.raises(cuda.ToolkitError, match=re.escape(words)):
        cuda.prepare(cuda.toolkit({"PATH": ""}, nowhere), "90", tmp_path / "cuda", {"PATH": ""})


def test_what_the_linker_and_the_crates_are_given(tmp_path, nowhere):
    nvcc = installed(nowhere / "nvidia/cu13")
    found = cuda.toolkit({"PATH": ""}, nowhere)
    environment = cuda.prepare(
        found, "90", tmp_path / "cuda", {"PATH": "/bin", "CUDA_HOME": "/old", "LANG": "C"}
    )
    assert environment == {
        "LANG": "C",
        "NVCC": str(nvcc),
        "PATH": f"{nvcc.parent}{os.pathsep}/bin",
        "CUDNN_LIB": str(tmp_path / "cuda"),
        "CUDA_COMPUTE_CAP": "90",
        "ARENA_CUDA_PATH": str(nowhere / "nvidia/cu13"),
    }
    library = tmp_path / "cuda/lib"
    assert (library / "libcublas.so").resolve() == nowhere / "nvidia/cu13/lib/libcublas.so.13"
    assert (library / "libcudart.a").resolve() == nowhere / f"nvidia/cu13/lib/{cuda.CUDART}"
    assert cuda.linker_arguments(found) == ["-C", f"link-arg=-Wl,-rpath,{nowhere / 'nvidia/cu13/lib'}"]


PROGRAM = """#include <stdio.h>
int cuInit(unsigned), cuMemAlloc_v2(void **, unsigned long);
int main(void) { printf("%d %d", cuInit(7), cuMemAlloc_v2(0, 3)); return 0; }
"""
DRIVER = "int cuInit(unsigned flags) { return flags + 1; }"


def test_a_program_starts_without_the_driver_and_finds_it_where_it_is(tmp_path, nowhere):
    installed(nowhere / "nvidia/cu13")
    path = {"PATH": os.environ["PATH"]}
    cuda.prepare(cuda.toolkit({"PATH": ""}, nowhere), "90", tmp_path / "cuda", path)
    program, driver = tmp_path / "program", tmp_path / "driver/libcuda.so.1"
    driver.parent.mkdir()
    compiled(PROGRAM, program, f"-L{tmp_path}/cuda/lib", "-lcuda")
    compiled(DRIVER, driver, "-shared", "-fPIC")
    assert says(program, LD_LIBRARY_PATH=str(tmp_path)) == "100 100"  # CUDA_ERROR_NO_DEVICE
    # What an old driver lacks fails when it is called, not when the program starts.
    assert says(program, LD_LIBRARY_PATH=str(driver.parent)) == "8 100"


def compiled(source, out, *flags):
    subprocess.run(["cc", "-x", "c", "-", "-o", out, *flags], input=source, text=True, check=True)


def says(program, **environment):
    return subprocess.run([program], env=environment, capture_output=True, text=True, check=True).stdout


def test_the_capability_is_asked_for_or_everyones(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # without nvidia-smi
    assert cuda.compute_capability({"CUDA_COMPUTE_CAP": "90"}) == "90"
    assert cuda.compute_capability({}) == "80"


def test_the_first_cards_capability_without_its_point(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '9.0\\n12.0\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert cuda.compute_capability({}) == "90"
