"""`make setup` from whatever Python there is: any from 3.9 on, uv alone, a downloaded one, or conda's."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from runner import DEPLOY, REPOSITORY, RUNNER, environ, pins

sys.path.insert(0, str(DEPLOY))
import installer
from bootstrap import PYTHON

PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
#: Every Python from 3.9 on that pyenv keeps here, the one that runs this, and the system's.
PYTHONS = sorted(
    {Path(sys.executable).resolve(), Path("/usr/bin/python3").resolve()}
    | {path.resolve() for path in PYENV.glob("3.*/bin/python3") if int(path.parts[-3].split(".")[1]) >= 9}
)
TOOLS = ("sh", "dirname", "env", "uname", "ldd", "cat")  # of the system, where PATH has nothing else


def bootstrap(folder, *python, **variables):
    """A set-up into ``folder`` with this PATH or that; returns the finished process."""
    command = ["/bin/sh", DEPLOY / "bootstrap.sh", folder, *python]
    environment = environ(**variables)
    return subprocess.run(
        command, env=environment, cwd=folder.parent, capture_output=True, text=True, timeout=300
    )


def check(folder):
    """``folder`` is an environment of the pinned Python, with pip and the pinned uv."""
    ask = "import sys, pip, importlib.metadata as m; print(*sys.version_info[:2], m.version('uv'))"
    answer = subprocess.run(
        [folder / "bin/python", "-I", "-c", ask], capture_output=True, text=True, check=True
    )
    pinned = str(pins(REPOSITORY / "envs/runner.txt")["uv"].specifier)[2:]
    assert answer.stdout.split() == [*PYTHON.split("."), pinned]


@pytest.fixture
def tools(tmp_path):
    """A folder for PATH with what a shell needs, and no Python."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(shutil.which(name))
    return folder


@pytest.mark.network
@pytest.mark.parametrize(
    "python", PYTHONS, ids=lambda path: path.parts[-3] if "versions" in str(path) else path.name
)
def test_any_python_from_3_9_on_does(tmp_path, python):
    done = bootstrap(tmp_path / "made", python)
    assert done.returncode == 0, done.stderr
    check(tmp_path / "made")


@pytest.mark.network
def test_an_environment_is_made_anew_by_its_own_python(tmp_path):
    """As `make setup` does after envs/runner.txt has changed, with .venv first on PATH."""
    made = tmp_path / "made"
    for _ in range(2):
        done = bootstrap(made, PATH=os.pathsep.join([str(made / "bin"), os.environ["PATH"]]))
        assert done.returncode == 0, done.stderr
        check(made)


@pytest.mark.network
@pytest.mark.parametrize("leaves", ["pip", "uv"])
def test_an_environment_of_another_python_is_made_anew_by_what_it_holds(tmp_path, tools, leaves):
    """As `make setup` does where envs/ is pinned for another Python than at the last release."""
    other = next((path for path in PYTHONS if PYTHON not in str(path)), None)
    if other is None:
        pytest.skip("this machine has no other Python than the pinned one")
    made = tmp_path / "made"
    subprocess.run([other, "-m", "venv", *(["--without-pip"] if leaves == "uv" else []), made], check=True)
    if leaves == "uv":
        shutil.copy(RUNNER / "uv", made / "bin")
    done = bootstrap(made, PATH=os.pathsep.join([str(made / "bin"), str(tools)]), HOME=os.environ["HOME"])
    assert done.returncode == 0, done.stderr
    check(made)


@pytest.mark.network
def test_what_the_user_has_set_for_pip_and_python_leads_nowhere_else(tmp_path):
    (tmp_path / "pip.conf").write_text("[global]\nuser = true\n")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('led astray')\n")
    led = {"PIP_CONFIG_FILE": tmp_path / "pip.conf"} if "PIP_CONFIG_FILE" not in os.environ else {}
    detours = {
        "PIP_USER": "1",
        "PYTHONPATH": tmp_path,
        "PYTHONNOUSERSITE": "",
        "UV_PYTHON": "2.7",
        "UV_SYSTEM_PYTHON": "1",
    }
    made = tmp_path / "made"
    done = bootstrap(made, **{name: str(value) for name, value in (led | detours).items()})
    assert done.returncode == 0, done.stderr
    check(made)


def test_what_a_shell_says_to_compilers_does_not_reach_what_is_compiled():
    """llama.cpp is: with another's flags it would be another program, and its times not comparable."""
    told = {
        "CFLAGS": "-O0",
        "CXXFLAGS": "-fno-tree-vectorize",
        "LDFLAGS": "-pg",
        "SKBUILD_CMAKE_BUILD_TYPE": "Debug",
    }
    told |= {"CMAKE_BUILD_TYPE": "Debug", "NVCC_APPEND_FLAGS": "-G", "GGML_NATIVE": "OFF"}
    kept = {"CC": "gcc-14", "CPATH": "/headers", "LIBRARY_PATH": "/libraries", "CMAKE_PREFIX_PATH": "/opt"}
    arguments = {"CMAKE_ARGS": "-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=90-real -DGGML_NATIVE=OFF"}
    found = installer.without_detours(told | kept | arguments)
    assert found.pop("CMAKE_ARGS") == "-DCMAKE_CUDA_ARCHITECTURES=90-real"
    assert found == kept | {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}


def test_pip_behind_a_socks_proxy_says_what_helps(tmp_path):
    proxies = dict.fromkeys(
        ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY"), ""
    )
    done = bootstrap(tmp_path / "made", sys.executable, ALL_PROXY="socks5://me:secret@localhost:9", **proxies)
    assert done.returncode == 1
    *_, last = done.stderr.splitlines()
    assert last.startswith("ALL_PROXY names a SOCKS proxy") and last.endswith(
        "unset ALL_PROXY for `make setup`"
    )


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """Variables with which uv downloads this Python from a folder, into another."""
    folder = tmp_path_factory.mktemp("mirror")
    base = Path(sys.base_prefix)
    release = platform.python_version()
    archive = folder / f"cpython-{release}.tar.gz"
    library = f"lib/python{PYTHON}"

    def kept(entry):
        large = (f"{library}/site-packages", f"{library}/test", f"{library}/idlelib", f"{library}/config-")
        return None if entry.name.removeprefix("python/").startswith(large) else entry

    with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
        for name in (
            f"bin/python{PYTHON}",
            library,
            *(f"lib/{lib.name}" for lib in base.glob("lib/libpython*.so*")),
        ):
            packed.add(base / name, f"python/{name}", filter=kept)
    key = f"cpython-{release}-linux-{platform.machine()}-gnu"
    major, minor, patch = map(int, release.split("."))
    entry = {
        "name": "cpython", "arch": {"family": platform.machine(), "variant": None}, "os": "linux", "libc": "gnu",
        "major": major, "minor": minor, "patch": patch, "prerelease": "", "variant": None, "build": "1",
        "url": archive.as_uri(), "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
    }  # fmt: skip
    (folder / "downloads.json").write_text(json.dumps({key: entry}))
    return {
        "UV_PYTHON_DOWNLOADS_JSON_URL": str(folder / "downloads.json"),
        "UV_PYTHON_INSTALL_DIR": str(folder / "installed"),
    }


@pytest.mark.network
@pytest.mark.skipif(sys.platform != "linux", reason="the mirror has a Python for Linux")
def test_uv_alone_does_and_downloads_the_python(tmp_path, tools, mirror):
    shutil.copy(RUNNER / "uv", tools)  # a link would lead it to the Python of its environment
    own = {"HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path)}
    done = bootstrap(tmp_path / "made", PATH=str(tools), **own, **mirror)
    assert done.returncode == 0, done.stderr
    check(tmp_path / "made")
    home = Path((tmp_path / "made/bin/python").resolve())
    assert Path(mirror["UV_PYTHON_INSTALL_DIR"]) in home.parents


def test_without_any_the_message_says_what_to_install(tmp_path, tools):
    done = bootstrap(tmp_path / "made", PATH=str(tools), PYENV_ROOT=str(tmp_path))
    assert done.returncode == 1
    assert "no Python from 3.9 on and no uv on PATH" in done.stderr
    assert not (tmp_path / "made").exists()


def test_a_named_python_that_does_not_start_is_refused(tmp_path):
    done = bootstrap(tmp_path / "made", tmp_path / "nowhere")
    assert done.returncode == 1
    assert f"PYTHON={tmp_path}/nowhere does not start" in done.stderr


def test_where_nothing_can_be_downloaded_the_message_says_what_to_do(tmp_path, tools):
    shutil.copy(RUNNER / "uv", tools)
    other = next((path for path in PYTHONS if PYTHON not in str(path)), None)
    if other is None:
        pytest.skip("this machine has no other Python than the pinned one")
    (tools / "python3").symlink_to(other)
    nothing = {"UV_PYTHON_INSTALL_DIR": str(tmp_path / "installed"), "UV_PYTHON_DOWNLOADS": "never"}
    nothing |= {"PYENV_ROOT": str(tmp_path)}
    done = bootstrap(tmp_path / "made", PATH=str(tools), HOME=str(tmp_path), **nothing)
    assert done.returncode == 1
    for word in (f"Python {PYTHON} is not on this machine", "make PYTHON=", "UV_PYTHON_INSTALL_MIRROR"):
        assert word in done.stderr


@pytest.mark.network
def test_a_python_that_pyenv_keeps_is_found_though_its_shims_do_not_start_it(tmp_path, tools):
    own = tmp_path / f"pyenv/versions/{PYTHON}.0/bin"
    own.mkdir(parents=True)
    base = Path(sys.base_prefix, f"bin/python{PYTHON}")
    (own / f"python{PYTHON}").symlink_to(base)
    shim = tools / f"python{PYTHON}"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    other = next((path for path in PYTHONS if PYTHON not in str(path)), None)
    if other is None:
        pytest.skip("this machine has no other Python than the pinned one")
    (tools / "python3").symlink_to(other)
    done = bootstrap(
        tmp_path / "made", PATH=str(tools), HOME=str(tmp_path), PYENV_ROOT=str(tmp_path / "pyenv")
    )
    assert done.returncode == 0, done.stderr
    check(tmp_path / "made")
    assert (tmp_path / "made/bin/python").resolve() == base.resolve()


@pytest.mark.network
def test_conda_is_asked_last(tmp_path, tools):
    """A made-up conda, since its channels cannot be reached by tests: it copies an environment of this Python."""
    other = next((path for path in PYTHONS if PYTHON not in str(path)), None)
    if other is None:
        pytest.skip("this machine has no other Python than the pinned one")
    shutil.copy(RUNNER / "uv", tools)
    (tools / "python3").symlink_to(other)
    conda = tools / "conda"
    conda.write_text(f'#!/bin/sh\nexec {sys.executable} -m venv --without-pip "$5"\n')
    conda.chmod(0o755)
    nothing = {"UV_PYTHON_INSTALL_DIR": str(tmp_path / "installed"), "UV_PYTHON_DOWNLOADS": "never"}
    nothing |= {"PYENV_ROOT": str(tmp_path)}
    done = bootstrap(tmp_path / "made", PATH=str(tools), HOME=str(tmp_path), **nothing)
    assert done.returncode == 0, done.stderr
    assert "trying " in done.stderr
    check(tmp_path / "made")
