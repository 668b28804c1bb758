"""A locale that is not UTF-8 ends no tool: files are UTF-8, and a terminal is given what its encoding has."""

import os
import subprocess
import sys

import pytest

import library
from pages import mixed
from runner import REPOSITORY, RUNNER

TOOLS = REPOSITORY / "workflow" / "tools"
#: As a locale in Latin-1 or ASCII is to Python, whatever this system has.
ENCODINGS = {"ascii": "ascii", "Latin-1": "latin-1"}
PROGRAMS = sorted(
    path.name for path in TOOLS.glob("*.py") if "add_argument" in path.read_text(encoding="utf-8")
)


def run(encoding, *arguments, python=sys.executable):
    """The finished tool: its output decoded by that encoding."""
    foreign = {"LC_ALL": "C", "LANG": "", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    foreign["PYTHONIOENCODING"] = encoding
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUTF8"} | foreign
    done = subprocess.run([python, *arguments], capture_output=True, env=environment, timeout=120)
    return done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_what_an_encoding_lacks_is_told_in_other_signs(encoding, tmp_path):
    status, out, err = run(
        encoding, TOOLS / "compare.py", mixed(tmp_path / "a"), mixed(tmp_path / "b", eager=90.0)
    )
    assert (status, err) == (1, "")
    assert "2.22-2.30 (95 %" in out
    program = tmp_path / "program.py"
    signs = "import library; print('1 → 2, 3–4 ≈ x, ☃')"  # noqa: RUF001
    program.write_text(f"import sys; sys.path.insert(0, {str(TOOLS)!r}); {signs}", encoding="utf-8")
    assert run(encoding, program)[1] == "1 -> 2, 3-4 ~ x, \\u2603\n"


@pytest.mark.parametrize("tool", PROGRAMS)
def test_every_tool_explains_itself_in_ascii(tool):
    status, out, err = run("ascii", TOOLS / tool, "--help")
    assert (status, err) == (0, "") and out.startswith(f"usage: {tool}")


@pytest.mark.slow
def test_a_plan_of_text_in_no_ascii(tmp_path):
    overlay = tmp_path / "été.yaml"
    overlay.write_text(
        "run: {rows: [jax], baseline: jax, models: [SmolVLA]}\nmodels: {SmolVLA: {title: Größe →}}\n", "utf-8"
    )
    for tool in ("plan.py", "changed.py"):
        arguments = ["--cores", "1", "--directory", tmp_path, "--snakefile", REPOSITORY / "Snakefile"]
        arguments += ["--configfile", overlay, "--", "results/report.md"]
        status, out, err = run("ascii", TOOLS / tool, "--", *arguments, python=RUNNER / "python")
        assert status == 0, err
        assert "new" in out


@pytest.mark.slow
def test_snakemake_without_utf_8_is_refused_with_what_helps(tmp_path):
    arguments = [
        "--dry-run",
        "--cores",
        "1",
        "--directory",
        tmp_path,
        "--snakefile",
        REPOSITORY / "Snakefile",
    ]
    status, out, err = run("ascii", "-m", "snakemake", *arguments, python=RUNNER / "python")
    assert status == 1
    assert "The encoding of this locale is ascii; expected UTF-8" in out + err
    assert "Start again with PYTHONUTF8=1" in out + err


def test_a_sign_that_cannot_be_read_is_an_error_still():
    with pytest.raises(UnicodeDecodeError):
        library.substituted(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"))
