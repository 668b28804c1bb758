"""How OpenBLAS takes the place of MLX's own BLAS, on small libraries that stand for the two and for MLX."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from frameworks.mlx import blas

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only MLX's Linux wheel brings its own BLAS")

PRODUCT = (
    "int, int, int, int m, int n, int, float, const float*, int, const float*, int, float, float* c, int"
)
# Each fills the product with its own number, so that it can be seen which one was called.
OPENBLAS = f"""
static int threads = 1;
extern "C" void scipy_cblas_sgemm({PRODUCT}) {{ for (int i = 0; i < m * n; i++) c[i] = 34; }}
extern "C" const char* scipy_openblas_get_config() {{ return "OpenBLAS 0.3.34 DYNAMIC_ARCH Prescott"; }}
extern "C" void scipy_openblas_set_num_threads(int count) {{ threads = count; }}
extern "C" int scipy_openblas_get_num_threads() {{ return threads; }}
"""
# The forwarding library also refers to these, as OpenBLAS has them.
for other in ("scipy_cblas_dgemm", "scipy_cblas_cgemm"):
    OPENBLAS += f'extern "C" void {other}() {{}}\n'
REFERENCE = f'extern "C" void cblas_sgemm({PRODUCT}) {{ for (int i = 0; i < m * n; i++) c[i] = 7; }}'
ENGINE = """
extern "C" void cblas_sgemm(int, int, int, int, int, int, float, const float*, int, const float*, int, float,
                            float*, int);
extern "C" float product() {
  float a = 1, c = 0;
  cblas_sgemm(101, 111, 111, 1, 1, 1, 1, &a, 1, &a, 1, 0, &c, 1);
  return c;
}
"""
PROCESS = """
import ctypes, json, sys
from pathlib import Path
from frameworks.mlx import blas

openblas, engine, folder = sys.argv[1:]
blas = blas.OpenBLAS(Path(openblas), Path(folder)) if openblas else None
engine = ctypes.CDLL(engine)
engine.product.restype = ctypes.c_float
said = {"product": engine.product()}
if blas:
    blas.set_threads(3)
    said |= {"calls": blas.calls, "name": blas.name, "threads": blas.threads}
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """A stand-in for OpenBLAS, and one for MLX that was linked with a BLAS of its own."""
    folder = tmp_path_factory.mktemp("libraries")

    def build(name, source, *more):
        (folder / f"{name}.cpp").write_text(source)
        command = ["g++", "-shared", "-fPIC", f"{name}.cpp", "-o", f"lib{name}.so", *more]
        subprocess.run(command, cwd=folder, check=True)
        return folder / f"lib{name}.so"

    build("reference", REFERENCE)
    return {
        "openblas": build("openblas", OPENBLAS),
        "engine": build("engine", ENGINE, "-L.", "-lreference", "-Wl,-rpath,$ORIGIN"),
    }


def run(openblas, engine, folder):
    """What ``PROCESS`` prints, in a process of its own: what is loaded globally stays."""
    command = [sys.executable, "-c", PROCESS, str(openblas), str(engine), str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_an_engine_with_its_own_blas_calls_openblas(libraries, tmp_path):
    expected = {"product": 34, "calls": 1, "name": "OpenBLAS 0.3.34", "threads": 3}
    assert run(libraries["openblas"], libraries["engine"], tmp_path / "cache") == expected
    (made,) = (tmp_path / "cache").iterdir()
    before = made.stat().st_mtime_ns
    assert run(libraries["openblas"], libraries["engine"], tmp_path / "cache") == expected
    assert made.stat().st_mtime_ns == before  # compiled once


def test_without_it_the_engine_calls_its_own(libraries, tmp_path):
    assert run("", libraries["engine"], tmp_path) == {"product": 7}


def test_a_missing_compiler_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(blas.BlasError, match=r"needs g\+\+ \(Debian: apt install g\+\+\)"):
        blas.compiled(tmp_path / "cache")


def test_a_compiler_s_complaint_is_shown_and_leaves_nothing(tmp_path, monkeypatch):
    compiler = tmp_path / "g++"
    compiler.write_text(f"#!{shutil.which('sh')}\necho 'no such instruction' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(blas.BlasError, match="no such instruction"):
        blas.compiled(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def install(folder: Path, *files: str) -> None:
    """A distribution "arena-test-blas" of these files, as pip leaves it."""
    information = folder / "arena_test_blas-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: arena-test-blas\nVersion: 1\n")
    (information / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    for file in files:  # Python 3.12 and later leave out what is not there
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()


def test_the_packaged_library_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(blas, "PACKAGE", "arena-test-blas")
    assert blas.packaged() is None
    install(tmp_path, "blas/__init__.py", "blas/lib/libscipy_openblas.so")
    monkeypatch.syspath_prepend(tmp_path)
    assert blas.packaged() == tmp_path / "blas" / "lib" / "libscipy_openblas.so"


def test_a_package_without_one_library_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(blas, "PACKAGE", "arena-test-blas")
    install(tmp_path, "blas/__init__.py")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(blas.BlasError, match="0 files"):
        blas.packaged()
