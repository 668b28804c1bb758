"""What an environment leaves out though others require it: openvino-telemetry, which reports every import."""

import subprocess
import sys
from pathlib import Path

import pytest

from arena.measuring import packages
from runner import DEPLOY, REPOSITORY, RUNNER, environ, pins

sys.path.insert(0, str(DEPLOY))
import environment
import installer

ENVIRONMENTS = sorted(REPOSITORY.glob("envs/*.yaml"))


def with_openvino():
    return [file for file in ENVIRONMENTS if "openvino" in pins(file)]


def test_no_environment_has_the_telemetry_of_openvino():
    assert {file.stem for file in with_openvino()} >= {"openvino", "nncf"}
    assert [file.name for file in ENVIRONMENTS if "openvino-telemetry" in pins(file)] == []


@pytest.mark.parametrize("file", with_openvino(), ids=lambda file: file.name)
def test_wherever_openvino_is_its_telemetry_is_kept_out(file):
    assert installer.left_out(file.read_text()) == ["openvino-telemetry"]
    # what a real conda's pip installs all the same, Snakemake then has removed
    script = file.with_suffix(".post-deploy.sh").read_text()
    assert "pip uninstall --quiet --yes openvino-telemetry" in script


def test_names_are_read_from_the_lines_that_leave_packages_out():
    text = "      - a==1\n      # without: b-c, because\n# without: d\n      # without reason\n"
    assert installer.left_out(text) == ["b-c", "d"]


@pytest.mark.network
def test_a_package_that_is_left_out_is_not_locked(tmp_path):
    file = tmp_path / "tool.txt"
    for line, expected in (("", {"smmap"}), ("# without: smmap\n", set())):
        file.write_text(f"gitdb==4.0.12\n{line}# locked: x\n")
        command = [RUNNER / "python", DEPLOY / "lock.py", file]
        subprocess.run(command, env=environ(), check=True, timeout=300)
        assert {name for name in pins(file) if name != "gitdb"} == expected


@pytest.fixture
def target(tmp_path):
    """uv's arguments for an environment whose package `needy` requires `absent`, which is not there."""
    folder = tmp_path / "env"
    environment.uv(["venv", "--quiet", "--no-project", str(folder)], environ(), "no environment")
    (site,) = folder.glob("lib/python*/site-packages")
    described = site / "needy-1.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: needy\nVersion: 1\nRequires-Dist: absent>=2\n"
    )
    (described / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    (described / "RECORD").touch()
    return ["--python", str(folder / "bin" / "python")]


@pytest.fixture(autouse=True)
def uv_of_the_runner(monkeypatch):
    monkeypatch.setattr(installer, "uv_program", lambda: str(RUNNER / "uv"))


def test_an_environment_is_whole_without_what_it_leaves_out(target):
    environment.check(target, environ(), "does not fit", ["absent"])


@pytest.mark.parametrize("left_out", [[], ["needy"], ["abs"]])
def test_an_environment_that_lacks_anything_else_is_refused(target, left_out):
    with pytest.raises(environment.BuildError, match="does not fit"):
        environment.check(target, environ(), "does not fit", left_out)


def test_what_is_left_out_does_not_count_to_the_footprint(target, monkeypatch):
    (site,) = Path(target[1]).parents[1].glob("lib/python*/site-packages")
    monkeypatch.syspath_prepend(site)
    assert packages.versions(packages.closure("needy")) == {"needy": "1"}
    with pytest.raises(packages.metadata.PackageNotFoundError):
        packages.closure("absent")
