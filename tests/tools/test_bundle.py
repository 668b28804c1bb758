"""`make bundle`: what a machine without a network unpacks is whole, is checked, and runs without an index."""

import argparse
import base64
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

import bundle
from runner import RUNNER

PYTHON = "{}.{}".format(*sys.version_info)
# A stand-in for Snakemake, which says what it was called with and what it could import.
PROGRAM = """import importlib.metadata, sys
def main():
    known = {name: importlib.metadata.version(name) for name in ("snakemake", "wanted")}
    print("snakemake", *sys.argv[1:], known)
if __name__ == "__main__":
    main()
"""
MAKEFILE = """setup:
\t$(PYTHON) -m venv .venv
\t.venv/bin/python -m pip install --quiet --no-deps --requirement envs/runner.txt
"""


def wheel(folder, name, version, content=None):
    """A wheel of one module, with a program of its name."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": content or "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    rows = []
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in files.items():
            archive.writestr(member, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            rows.append(f"{member},sha256={digest},{len(text.encode())}")
        archive.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
    return path


def source(folder, name, version):
    """A source distribution of one module, which is built by a backend that is itself a wheel of one module."""
    top = f"{name}-{version}"
    built = f"{top}-py3-none-any.whl"
    backend = f"""import shutil
def build_wheel(to, settings=None, metadata=None):
    shutil.copy({built!r}, to)
    return {built!r}
"""
    wheel(folder, "backend", "1.0", backend)
    wheel(folder, name, version)
    project = '[build-system]\nrequires = ["backend"]\nbuild-backend = "backend"\n'
    with tarfile.open(folder / f"{top}.tar.gz", "w:gz") as archive:
        for member, data in (
            ("PKG-INFO", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()),
            ("pyproject.toml", project.encode()),
            (built, (folder / built).read_bytes()),
        ):
            about = tarfile.TarInfo(f"{top}/{member}")
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    (folder / built).unlink()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A tiny project in git, an index of files with its packages, and pip told of that index alone."""
    index, root = tmp_path / "index", tmp_path / "project"
    index.mkdir()
    for name, version, content in (
        ("snakemake", "9.1", PROGRAM),
        ("jsonschema", "4.0", None),
        ("wanted", "2.0", None),
        ("wanted", "3.0", None),
    ):
        wheel(index, name, version, content)
    (root / "envs").mkdir(parents=True)
    (root / "envs/runner.txt").write_text("snakemake==9.1\njsonschema==4.0\n# locked: all\nwanted==2.0\n")
    # On a host the runner's version of what both need counts.
    lines = ["dependencies:", "  - pip:", "      - wanted==3.0", "      # locked: all", ""]
    (root / "envs/extra.yaml").write_text("\n".join(lines))
    (root / "Makefile").write_text(MAKEFILE)
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "all"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *command], cwd=root, check=True)
    monkeypatch.setattr(bundle, "ROOT", root)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setattr(sys, "executable", str(RUNNER / "python"))  # the tests' own Python has no pip
    return root


def pack(folder, **changes):
    given = {
        "envs": ["extra"],
        "host": None,
        "platform": "linux-x86_64",
        "also": [],
        "engines": False,
        "files": [],
    }
    given |= {"piece_mb": 0.01, "out": folder} | changes
    return bundle.make(argparse.Namespace(**given))


def unpack(folder, *arguments, **variables):
    """The bundle's one command, in a network namespace of its own where the system allows that."""
    alone = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        alone = []
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ARENA_PYTHON": sys.executable,
    } | variables
    command = [*alone, "sh", str(folder / "unpack-and-run"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def head_of(folder):
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


def unpacked(folder):
    """The wheels of a bundle, unpacked beside it."""
    content = folder.with_name("content")
    content.mkdir()
    archive = b"".join(path.read_bytes() for path in sorted(folder.glob("arena-bundle.tar.*")))
    subprocess.run(["tar", "-xz", "-C", content], input=archive, check=True)
    return list((content / "wheels").iterdir())


def test_one_command_installs_and_runs_offline(tmp_path, checkout):
    (checkout / "big").write_bytes(os.urandom(25_000))
    subprocess.run(["git", "add", "big"], cwd=checkout, check=True)
    commit = ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "big"]
    subprocess.run(["git", *commit], cwd=checkout, check=True)
    pieces = pack(tmp_path / "out", host=PYTHON, files=[checkout / "envs"])
    assert [path.name for path in pieces[:2]] == ["arena-bundle.tar.000", "arena-bundle.tar.001"]
    assert [path.stat().st_size for path in pieces[:-1]] == [10_000] * (len(pieces) - 1) and len(pieces) > 2
    shutil.rmtree(tmp_path / "index")  # nothing is left but the bundle
    done = unpack(tmp_path / "out", "--cores", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (
        "snakemake --workflow-profile profiles/host --cores 1 {'snakemake': '9.1', 'wanted': '2.0'}"
    )
    unpacked = tmp_path / "out/arena"
    assert (unpacked / "source/big").read_bytes() == (checkout / "big").read_bytes()
    assert (unpacked / "extra/envs/extra.yaml").is_file()
    assert head_of(unpacked / "source") == head_of(checkout)
    again = unpack(tmp_path / "out", "--version")
    assert again.returncode == 0 and "--version" in again.stdout


def test_the_projects_own_environments_are_made_offline(tmp_path, checkout, monkeypatch):
    monkeypatch.setattr(bundle.lock, "PYTHON", PYTHON)
    pack(tmp_path / "out")
    packed = {path.name for path in unpacked(tmp_path / "out")}
    assert {"wanted-2.0-py3-none-any.whl", "wanted-3.0-py3-none-any.whl"} <= packed  # runner's and extra's
    shutil.rmtree(tmp_path / "index")
    done = unpack(tmp_path / "out", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "snakemake --dry-run {'snakemake': '9.1', 'wanted': '2.0'}"


def test_what_has_no_wheel_is_built_there(tmp_path, checkout):
    source(tmp_path / "index", "plain", "1.0")
    pack(tmp_path / "out", host=PYTHON, also=["plain==1.0"])
    shutil.rmtree(tmp_path / "index")
    done = unpack(tmp_path / "out")
    assert done.returncode == 0, done.stderr
    found = [path.name for path in (tmp_path / "out/arena/venv/lib").glob("*/site-packages/plain*")]
    assert sorted(found) == ["plain-1.0.dist-info", "plain.py"]


def test_a_damaged_piece_is_refused(tmp_path, checkout):
    pieces = pack(tmp_path / "out", host=PYTHON)
    data = bytearray(pieces[0].read_bytes())
    data[100] ^= 1
    pieces[0].write_bytes(data)
    done = unpack(tmp_path / "out")
    assert done.returncode == 1 and "arena-bundle.tar.000: FAILED" in done.stdout + done.stderr
    assert "bring them again" in done.stderr and not (tmp_path / "out/arena").exists()


def test_another_python_is_refused_by_name(tmp_path, checkout):
    pack(tmp_path / "out", host="3.99", envs=[], also=["wanted==3.0"])
    done = unpack(tmp_path / "out")
    assert done.returncode == 1
    assert re.search(rf"the wheels are for Python 3\.99, .* is {re.escape(PYTHON)}", done.stderr)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"envs": ["nothing"]}, "envs/nothing.yaml does not exist; expected one of extra, runner"),
        ({"piece_mb": 0}, "--piece-mb 0: expected a size above 0"),
        ({"host": PYTHON, "also": ["absent==1.0"]}, "absent==1.0: no wheel"),
    ],
)
def test_what_cannot_be_packed_is_named(tmp_path, checkout, changes, words):
    with pytest.raises(bundle.BundleError, match=re.escape(words)):
        pack(tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_changes_without_a_commit_are_not_packed(tmp_path, checkout):
    (checkout / "new").write_text("new")
    with pytest.raises(bundle.BundleError, match="changes that no commit holds"):
        pack(tmp_path / "out")
