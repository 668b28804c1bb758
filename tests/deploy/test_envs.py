"""The environment files: exact versions everywhere, the same in the tests, and the program that pins them."""

import re
import subprocess

import pytest
import yaml

from runner import DEPLOY, REPOSITORY, RUNNER, environ, pins

FILES = sorted([*REPOSITORY.glob("envs/*.yaml"), *REPOSITORY.glob("envs/*.txt")])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_package_has_an_exact_version(file):
    listed = pins(file)
    assert listed
    inexact = [
        str(r) for r in listed.values() if [s.operator for s in r.specifier] != ["=="] or "*" in str(r)
    ]
    assert inexact == []
    assert file.suffix == ".txt" or yaml.safe_load(file.read_text())["dependencies"][:2] == [
        "python=3.13",
        "pip",
    ]


@pytest.mark.parametrize("file", [f for f in FILES if f.suffix == ".yaml"], ids=lambda file: file.name)
def test_tests_run_with_the_versions_of_the_environments(file):
    """But for CUDA's libraries, which no test uses: each environment has those of its framework's release. And for
    what a package holds back, with all that follows from it: of such an environment only the other direct ones."""
    tested = pins(REPOSITORY / "envs" / "tests.txt")
    direct, _, _ = file.read_text().partition("# locked:")
    held = set(re.findall(r"# hold: ([\w-]+)", direct))
    different = {
        name: (str(pin.specifier), str(tested[name].specifier))
        for name, pin in pins(file).items()
        if name in tested
        and pin.specifier != tested[name].specifier
        and not name.startswith(("nvidia-", "cuda-"))
        and not (held and (name in held or f"- {name}==" not in direct))
    }
    assert different == {}


def lock(*arguments):
    command = [RUNNER / "python", DEPLOY / "lock.py", *arguments]
    return subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=300)


@pytest.mark.network
def test_lock_writes_the_pins_from_the_direct_requirements(tmp_path):
    committed = REPOSITORY / "envs" / "pytorch.yaml"
    file = tmp_path / "pytorch.yaml"
    lines = committed.read_text().splitlines(keepends=True)
    marker = next(number for number, line in enumerate(lines) if line.strip().startswith("# locked:"))
    file.write_text("".join(lines[: marker + 1]))
    assert lock(file, "--prefer", committed).stdout == f"{file}: rewritten\n"
    assert file.read_text() == committed.read_text()
    assert lock(file).stdout == f"{file}: unchanged\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numpy>=2\n# locked: x\n", "`numpy>=2`: expected an exact version"),
        ("numpy==2.4.6\n", "expected one line `# locked:"),
        ("# locked: x\nnumpy==2.4.6\n", "no direct requirement above"),
    ],
)
def test_lock_refuses_a_file_that_it_cannot_read(tmp_path, text, expected):
    file = tmp_path / "tool.txt"
    file.write_text(text)
    finished = lock(file)
    assert finished.returncode != 0
    assert f"{file}: " in finished.stderr
    assert expected in finished.stderr
    assert file.read_text() == text
