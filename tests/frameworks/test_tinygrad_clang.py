"""Which clang tinygrad is made to call, without tinygrad. What it compiles, the workflow's test checks."""

from __future__ import annotations

import importlib.metadata
import subprocess
from pathlib import Path

import pytest

from frameworks.tinygrad import clang


def program(path: Path, text: str) -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """An environment without the package, and a PATH with nothing on it: that folder."""

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setattr(importlib.metadata, "files", missing)
    monkeypatch.setenv("PATH", str(path))
    return path


def test_the_packages_clang_gets_every_argument_as_it_was_given(bare, monkeypatch, tmp_path):
    program(bare / "clang", "echo the other")
    zig = program(tmp_path / "a folder" / "ziglang" / "zig", 'printf "<%s>" "$@"')
    recorded = importlib.metadata.PackagePath("ziglang/zig")
    recorded.dist = importlib.metadata.Distribution.at(zig.parents[1] / "ziglang.dist-info")
    monkeypatch.setattr(importlib.metadata, "files", {clang.PACKAGE: [recorded]}.get)
    found = clang.find(tmp_path / "cache")
    said = subprocess.run([found, "-c", "", "two words", "-"], capture_output=True, text=True, check=True)
    assert said.stdout == "<clang><-c><><two words><->"


def test_without_the_package_it_is_that_of_the_path(bare, tmp_path):
    own = program(bare / "clang", "echo Apple clang version 17.0.0 '(clang-1700.0.13.3)'")
    assert clang.find(tmp_path / "cache") == own
    assert clang.version(own) == "17.0.0"
    assert not (tmp_path / "cache").exists()


def test_without_any_the_error_says_what_to_install(bare, tmp_path):
    with pytest.raises(clang.ClangError, match="apt install clang"):
        clang.find(tmp_path / "cache")


@pytest.mark.parametrize(
    ("text", "says"), [("echo gcc 12.2.0", "expected a clang"), ("exit 3", "--version fails")]
)
def test_what_is_no_clang_is_refused(tmp_path, text, says):
    with pytest.raises(clang.ClangError, match=says):
        clang.version(program(tmp_path / "clang", text))


def test_the_environment_pins_the_package():
    requirements = (Path(__file__).parents[2] / "envs" / "tinygrad.yaml").read_text(encoding="utf-8")
    assert f"      - {clang.PACKAGE}==" in requirements
