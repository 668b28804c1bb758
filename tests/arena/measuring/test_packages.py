"""The closure of a framework's requirements, on made-up installations: what counts, and what does not."""

import sys
from importlib import metadata

import pytest

from arena.measuring import packages


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed distributions; ``install`` adds one with a file of so many bytes."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    def install(name, size, *requires, record=True):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
        extras = {text.split("extra == ")[1].strip("\"'") for text in requires if "extra == " in text}
        lines += [f"Provides-Extra: {extra}" for extra in extras] + [f"Requires-Dist: {r}" for r in requires]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")
        for file in (f"{name}.bin", f"{name}.pyc"):
            (tmp_path / file).write_bytes(b"x" * size)
        if record:
            (folder / "RECORD").write_text(f"{name}.bin,,\n{name}.pyc,,\n{name}.gone,,\n")

    return install


def test_requirements_count_once_and_byte_code_does_not(site):
    site("engine", 1000, "Lib_A", 'lib-b ; sys_platform == "nowhere"', "lib-c>=1")
    site("lib_a", 200, "lib-c", "engine")
    site("lib_c", 30)
    site("stranger", 5)
    found = packages.closure("engine")
    assert packages.versions(found) == {"engine": "1.0", "lib-a": "1.0", "lib-c": "1.0"}
    assert packages.footprint_bytes(found) == 1230


def test_extras_count_where_they_are_asked_for(site):
    site("engine", 1000, 'engine-cpu ; extra == "cpu"', 'engine-gpu ; extra == "gpu"')
    site("engine_cpu", 200, 'blas[fast] ; extra == ""', "blas[fast]")
    site("blas", 30, 'tables ; extra == "fast"')
    site("tables", 4)
    assert packages.footprint_bytes(packages.closure("engine")) == 1000
    assert packages.footprint_bytes(packages.closure("engine[cpu]")) == 1234
    assert packages.bare("engine[cpu]") == "engine"


def test_libraries_that_no_metadata_name_count_too(site):
    site("engine", 1000)
    site("blas", 30)
    assert packages.footprint_bytes(packages.closure("engine", "blas")) == 1030


def test_build_tools_are_listed_and_not_weighed(site):
    site("engine", 1000, "setuptools")
    site("setuptools", 500)
    found = packages.closure("engine")
    assert set(found) == {"engine", "setuptools"}
    assert packages.footprint_bytes(found) == 1000


def test_unknown_files_are_no_zero(site):
    site("engine", 1000, record=False)
    assert packages.footprint_bytes(packages.closure("engine")) is None


def test_what_is_not_installed_is_an_error(site):
    site("engine", 1000, "left-out")  # as `# without:` in an environment's file does
    assert set(packages.closure("engine")) == {"engine"}
    for requirements in (["absent"], ["engine", "absent"]):
        with pytest.raises(metadata.PackageNotFoundError):
            packages.closure(*requirements)
