"""What Snakemake would end on with a traceback, told in a line each: configuration files, and a user without a name."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from runner import DEPLOY, REPOSITORY, RUNNER, environ

sys.path.insert(0, str(DEPLOY))
import start

NOBODY = 54321  # no user of this system's
TEXT = "run: {models: [ResNet-50], rows: [jax], baseline: jax}\n"
CANNOT = {
    "utf-16": (TEXT.encode("utf-16"), "line 1 is UTF-16; expected a text in UTF-8, save the file as that"),
    "latin-1": (
        f"# a\n# café\n{TEXT}".encode("latin-1"),
        "line 2 is not UTF-8 (byte 0xe9); expected a text in UTF-8",
    ),
    "broken": (
        b"run: [\n",
        "line 2, column 1: did not find expected node content; expected YAML, correct that",
    ),
    "tab": (b"run:\n\trows: all\n", "line 2, column 1: found character that cannot start any token"),
    "null byte": (b"a: \x00b\n", "control characters are not allowed"),
    "list": (b"- a\n", "no mapping; expected keys at the top level, such as `run:`"),
    "comment": (b"# nothing\n", "no mapping; expected keys at the top level"),
    "empty": (b"", "empty; expected keys such as `run:`, write one or leave the file out"),
}
CAN = {
    "utf-8": TEXT.encode(),
    "with a mark": TEXT.encode("utf-8-sig"),
    "JSON": b'{"run": {"rows": ["jax"]}}',
    "a template": b"__use_yte__: true\n?if True:\n  run: {rows: all}\n",
}


@pytest.mark.parametrize(("data", "words"), CANNOT.values(), ids=CANNOT)
def test_a_file_that_is_no_configuration(tmp_path, data, words):
    path = tmp_path / "my.yaml"
    path.write_bytes(data)
    told = start.fault_of(path)
    assert told.startswith(f"{path}: ") and words in told and "\n" not in told


@pytest.mark.parametrize("data", CAN.values(), ids=CAN)
def test_a_file_that_is_one(tmp_path, data):
    path = tmp_path / "my.yaml"
    path.write_bytes(data)
    assert start.fault_of(path) is None


def test_a_file_that_is_none(tmp_path):
    assert "No such file or directory; expected a configuration file in YAML" in start.fault_of(
        tmp_path / "no.yaml"
    )
    assert f"{tmp_path}: Is a directory; expected" in start.fault_of(tmp_path)


@pytest.mark.parametrize(
    ("words", "files"),
    [
        ("--cores 2 results/report.md", ""),
        ("--configfile a.yaml b.yaml --cores 2", "a.yaml b.yaml"),
        ("--configfile a.yaml -- results/report.md", "a.yaml"),
        ("--configfile=a.yaml results/report.md", "a.yaml"),
        ("-n --configfiles a.yaml -c1 --config run.rows=all", "a.yaml"),
    ],
)
def test_which_files_are_given(words, files):
    assert list(start.configfiles(words.split())) == list(map(Path, files.split()))


def run(*arguments, python=RUNNER / "python", user=None, environment=None):
    command = [python, DEPLOY / "start.py", *arguments]
    given = environ() if environment is None else environment
    return subprocess.run(command, env=given, user=user, cwd="/", capture_output=True, text=True, timeout=60)


def test_snakemake_is_not_started_on_such_a_file_and_each_is_told(tmp_path):
    paths = [tmp_path / f"{name}.yaml" for name in ("utf-16", "list", "fine")]
    for path, data in zip(paths, (CANNOT["utf-16"][0], CANNOT["list"][0], CAN["utf-8"]), strict=True):
        path.write_bytes(data)
    done = run("--snakefile", REPOSITORY / "Snakefile", "-n", "--configfile", *paths)
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (1, "", 2)
    assert lines[0].startswith(f"snakemake: {paths[0]}: line 1 is UTF-16") and str(paths[1]) in lines[1]


def test_snakemake_gets_its_arguments_and_utf_8(tmp_path):
    (tmp_path / "Snakefile").write_text(
        "import sys\nrule all:\n    run: print('→', config['x'], sys.flags.utf8_mode)\n", encoding="utf-8"
    )
    (tmp_path / "my.yaml").write_text("x: Größe\n", encoding="utf-8")
    arguments = ["--cores", "1", "--directory", tmp_path, "--snakefile", tmp_path / "Snakefile"]
    foreign = environ(LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    done = run(*arguments, "--configfile", tmp_path / "my.yaml", environment=foreign)
    assert done.returncode == 0, done.stderr
    assert "→ Größe 1" in done.stdout


@pytest.fixture(scope="module")
def python():
    """A Python that any user may run."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    for program in (Path(sys.executable), Path("/usr/bin/python3")):
        asked = [program, "-c", "import os; print(os.getuid())"]
        try:
            done = subprocess.run(
                asked, user=NOBODY, env={}, cwd="/", capture_output=True, text=True, timeout=30
            )
        except OSError:
            continue
        if done.stdout == f"{NOBODY}\n":
            return program
    pytest.skip("no Python here that any user may run")


@pytest.fixture
def program():
    """start.py where any user can read it, which no folder of pytest's can be."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        copied = Path(folder, "start.py")
        copied.write_bytes((DEPLOY / "start.py").read_bytes())
        copied.chmod(0o644)
        yield copied


@pytest.mark.linux
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, f"user id {NOBODY} has no name or no home in this system's list of users"),
        ({"HOME": "FOLDER"}, "give them: USER=arena HOME=/a/folder/of/yours"),
        ({"USER": "arena"}, "give them: USER=arena HOME=/a/folder/of/yours"),
        ({"USER": "arena", "HOME": "/"}, f"/, the home of user id {NOBODY}, cannot be written"),
        ({"USER": "arena", "HOME": "FOLDER"}, None),
        ({"USER": "arena", "HOME": "/", "XDG_CACHE_HOME": "FOLDER"}, None),
    ],
)
def test_a_user_whom_the_system_does_not_know(python, program, variables, words):
    folder = str(program.parent)
    given = {name: value.replace("FOLDER", folder) for name, value in variables.items()}
    code = f"import sys; sys.path.insert(0, {folder!r}); import start; print(start.fault_of_user())"
    nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    done = subprocess.run(
        [python, "-c", code], env=given, cwd="/", capture_output=True, text=True, timeout=60, **nobody
    )
    assert done.returncode == 0, done.stderr
    assert "\n" not in done.stdout.strip()
    assert (done.stdout.strip() == "None") if words is None else (words in done.stdout)


def test_setup_puts_it_in_the_place_of_snakemakes_own_program(tmp_path):
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow/deploy").symlink_to(DEPLOY)
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text('#!/bin/sh\necho "$@"\n')
    (programs / "python").chmod(0o755)
    command = ["make", "-C", tmp_path, "--assume-old=.venv/ready", "-n", "setup"]
    assert ".venv/launcher" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    subprocess.run([*command[:-2], ".venv/launcher"], capture_output=True, check=True)
    done = subprocess.run(
        [programs / "snakemake", "--cores", "a b"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{programs}/../../workflow/deploy/start.py --cores a b\n"
