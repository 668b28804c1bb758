"""NVIDIA's wheels as a CUDA toolkit: what a build finds there, on a machine without a card."""

import ctypes
import subprocess
import sys

import pytest

from runner import DEPLOY

sys.path.insert(0, str(DEPLOY))

import cuda_toolkit

HEADER = """
#define __CUDA_API_PTSZ(api) api
#define cuMemAlloc                 cuMemAlloc_v2
#define cuLaunchKernel             __CUDA_API_PTSZ(cuLaunchKernel)
CUresult CUDAAPI cuInit(unsigned int Flags);
CUresult CUDAAPI cuMemAlloc(CUdeviceptr *dptr, size_t bytesize);
CUresult CUDAAPI cuLaunchKernel(CUfunction f);
"""


@pytest.fixture
def environment(tmp_path):
    """An environment with as much of the wheels as the program looks at."""
    toolkit = tmp_path / "lib/python3.13/site-packages/nvidia/cu13"
    files = {"bin/nvcc": "", "lib/libcublas.so.13": "", "lib/libcudart.so.13": "", "include/cuda.h": HEADER}
    for name, text in files.items():
        (toolkit / name).parent.mkdir(parents=True, exist_ok=True)
        (toolkit / name).write_text(text)
    return tmp_path


def test_linkers_find_the_libraries_and_a_libcuda_to_link_against(environment):
    toolkit = cuda_toolkit.root(environment)
    cuda_toolkit.complete(toolkit)
    cuda_toolkit.complete(toolkit)  # again changes nothing
    assert (toolkit / "lib" / "libcublas.so").readlink().name == "libcublas.so.13"
    assert (toolkit / "lib64" / "libcudart.so").resolve().name == "libcudart.so.13"
    stub = toolkit / "lib" / "stubs" / "libcuda.so"
    assert ctypes.CDLL(str(stub)).cuMemAlloc_v2() == cuda_toolkit.NOT_INITIALISED
    program = environment / "program.c"
    program.write_text("int cuInit(unsigned); int cuLaunchKernel(void*);\n")
    program.write_text(program.read_text() + "int main(void) { return cuInit(0) + cuLaunchKernel(0); }\n")
    made = environment / "program"
    link = ["cc", str(program), f"-L{stub.parent}", "-lcuda", "-o", str(made)]
    subprocess.run(link, check=True)
    needed = subprocess.run(["readelf", "-d", str(made)], capture_output=True, text=True, check=True).stdout
    assert "[libcuda.so.1]" in needed, "the program must ask for the driver's library, not for the stub"


def test_a_build_is_told_where_the_toolkit_is(environment):
    toolkit = cuda_toolkit.root(environment)
    found = cuda_toolkit.variables(toolkit, {"PATH": "/usr/bin", "CUDA_HOME": "/usr/local/cuda"})
    assert found["PATH"] == f"{toolkit}/bin:/usr/bin"
    assert found["CUDACXX"] == f"{toolkit}/bin/nvcc"
    assert {found[name] for name in ("CUDA_HOME", "CUDA_PATH", "CUDAToolkit_ROOT")} == {str(toolkit)}


def test_an_environment_without_a_compiler_has_no_toolkit(tmp_path):
    assert cuda_toolkit.root(tmp_path) is None


def test_a_toolkit_without_headers_is_refused(environment):
    toolkit = cuda_toolkit.root(environment)
    (toolkit / "include" / "cuda.h").unlink()
    with pytest.raises(cuda_toolkit.ToolkitError, match="add nvidia-cuda-runtime"):
        cuda_toolkit.complete(toolkit)
    (toolkit / "include" / "cuda.h").write_text("nothing")
    with pytest.raises(cuda_toolkit.ToolkitError, match="declares no function"):
        cuda_toolkit.complete(toolkit)
