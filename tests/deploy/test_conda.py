"""The project's own conda: what Snakemake gets from it, when it steps aside, what it refuses."""

import json
import os
import signal
import subprocess
import tarfile
import time
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import psutil
import pytest
from packaging.utils import canonicalize_name

from runner import DEPLOY, REPOSITORY, RUNNER, environ, pins

BASE = REPOSITORY / "envs" / "base.yaml"

SNAKEFILE = """
rule second:
    input: "versions.txt"
    output: "prefix.txt"
    conda: "base.yaml"
    shell: "python -c 'import sys; print(sys.prefix)' > {output}"

rule first:
    output: "versions.txt"
    conda: "base.yaml"
    shell: "python -c 'import numpy; print(numpy.__version__)' > {output}"
"""


def conda(*arguments, env=None):
    return subprocess.run(
        [RUNNER / "conda", *arguments], env=env or environ(), capture_output=True, text=True, timeout=300
    )


def create_arguments(file, prefix):
    """The call as Snakemake makes it."""
    return ["env", "create", "--quiet", "--no-default-packages", "--file", str(file), "--prefix", str(prefix)]


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("question", ["--version", "info --json", "config --get channel_priority --json"])
def test_the_answers_kept_at_setup_are_those_of_the_program(question):
    """conda.sh answers from files, without Python, so that an idle run starts at once."""
    program = [RUNNER / "python", DEPLOY / "conda.py", *question.split()]
    asked = subprocess.run(program, env=environ(), capture_output=True, text=True, check=True)
    kept = RUNNER.parent / "conda" / "answers" / question
    assert kept.read_text(encoding="utf-8") == asked.stdout == conda(*question.split()).stdout


@pytest.fixture
def wheels(tmp_path):
    """A folder with one small wheel, `arena-probe`, that no index has."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "arena_probe-1.0.dist-info"
    with zipfile.ZipFile(folder / "arena_probe-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("arena_probe.py", "answer = 42\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: arena-probe\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(
            f"{info}/RECORD", f"arena_probe.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    return folder


@pytest.fixture
def probe(tmp_path):
    """An environment file whose only package is `arena-probe`."""
    file = tmp_path / "probe.yaml"
    file.write_text("dependencies: [python=3.13, pip, {pip: [arena-probe==1.0]}]\n")
    return file


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A workflow of two rules, run once by the runner's Snakemake with --sdm conda."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "Snakefile").write_text(SNAKEFILE)
    (folder / "base.yaml").write_text(BASE.read_text())
    run_snakemake(folder)
    return folder


def run_snakemake(folder):
    finished = subprocess.run(
        [RUNNER / "snakemake", "--sdm", "conda", "--cores", "1"],
        cwd=folder,
        env=environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stdout
    return finished.stdout


# --- with Snakemake ----------------------------------------------------------------------------------


@pytest.mark.network
def test_jobs_run_in_the_environment_that_their_rule_names(project):
    assert (project / "versions.txt").read_text().strip() == str(pins(BASE)["numpy"].specifier)[2:]
    prefix = Path((project / "prefix.txt").read_text().strip())
    assert prefix.parent == project / ".snakemake" / "conda"


@pytest.mark.network
def test_environment_holds_what_the_file_lists_and_nothing_else(project):
    site_packages = Path((project / "prefix.txt").read_text().strip(), "lib", "python3.13", "site-packages")
    installed = {canonicalize_name(d.name): d.version for d in distributions(path=[str(site_packages)])}
    assert installed == {name: str(pin.specifier)[2:] for name, pin in pins(BASE).items()}


@pytest.mark.network
def test_bytecode_is_compiled_though_python_may_not_write_it(project):
    numpy = Path((project / "prefix.txt").read_text().strip(), "lib/python3.13/site-packages/numpy")
    modules = [m for m in numpy.rglob("*.py") if "tests" not in m.parts]
    compiled = [m for m in modules if (m.parent / "__pycache__" / f"{m.stem}.cpython-313.pyc").is_file()]
    assert len(compiled) == len(modules) > 100


@pytest.mark.network
def test_second_run_does_nothing_and_nothing_is_left_over(project):
    prefix = Path((project / "prefix.txt").read_text().strip())
    before = prefix.stat().st_mtime_ns
    assert "Nothing to be done" in run_snakemake(project)
    assert prefix.stat().st_mtime_ns == before
    names = {entry.name for entry in prefix.parent.iterdir()}
    assert names == {prefix.name, f"{prefix.name}.yaml", f"{prefix.name}.env_setup_done"}


def test_activation_of_a_missing_environment_stops_the_job(tmp_path):
    activate = Path(json.loads(conda("info", "--json").stdout)["conda_prefix"], "bin", "activate")
    job = f"source {activate} {tmp_path}/absent; echo went on"
    finished = subprocess.run(["bash", "-c", job], capture_output=True, text=True)
    assert finished.returncode != 0
    assert "went on" not in finished.stdout
    assert f"{tmp_path}/absent" in finished.stderr


def test_answers_what_snakemake_asks():
    assert conda("--version").stdout.startswith("conda 24.7.1 ")
    answer = json.loads(conda("config", "--get", "channel_priority", "--json").stdout)
    assert answer == {"get": {"channel_priority": "strict"}}
    assert conda("clean", "-y", "--tarballs").returncode == 0


@pytest.mark.parametrize(
    "arguments", [["install", "numpy"], ["create", "--prefix", "x"], ["env", "export"], []]
)
def test_other_commands_are_refused_with_a_way_out(arguments):
    finished = conda(*arguments)
    assert finished.returncode == 2
    assert "the arena's own conda" in finished.stderr
    assert "install conda 24.7.1 or later" in finished.stderr


# --- stepping aside ----------------------------------------------------------------------------------


def fake_conda(folder, version):
    """A conda of that version that records its arguments, one call a line, and exits with 7."""
    return script(
        folder / "bin" / "conda",
        f'echo "$@" >> {folder}/calls\n[ "$1" = --version ] && echo "conda {version}" && exit 0\nexit 7\n',
    )


@pytest.mark.parametrize("version", ["24.7.1", "24.11.0", "26.1.0"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_real_conda_is_run_with_the_same_arguments(tmp_path, version, where):
    real = fake_conda(tmp_path, version).parent
    env = environ(real) if where == "before" else environ()
    env["PATH"] += os.pathsep + str(real)
    arguments = create_arguments(tmp_path / "absent file.yaml", tmp_path / "prefix")
    finished = subprocess.run([RUNNER / "conda", *arguments], env=env, capture_output=True, text=True)
    assert finished.returncode == 7
    assert (tmp_path / "calls").read_text().splitlines() == ["--version", " ".join(arguments)]


@pytest.mark.parametrize("version", ["4.14.0", "24.7.0", "23.11.2"])
def test_old_conda_is_named_and_left_alone(tmp_path, version):
    old = fake_conda(tmp_path, version)
    finished = conda("info", "--json", env=environ(old.parent))
    assert finished.returncode == 0
    assert Path(json.loads(finished.stdout)["conda_prefix"], "bin", "activate").is_file()
    assert finished.stderr.count(f"{old} is conda {version}") == 1
    assert (tmp_path / "calls").read_text() == "--version\n"


def test_shim_that_leads_back_here_does_not_recurse(tmp_path):
    shim = script(tmp_path / "conda", f'echo "$@" >> {tmp_path}/calls; exec {RUNNER}/conda "$@"\n')
    finished = conda("info", "--json", env=environ(tmp_path))
    assert json.loads(finished.stdout)["conda_version"] == "24.7.1"
    assert f"{shim} is not a working conda" in finished.stderr
    assert (tmp_path / "calls").read_text() == "--version\n"


def test_wrapper_of_another_checkout_is_not_taken_for_conda(tmp_path):
    other = tmp_path / "conda"
    other.write_text((DEPLOY / "conda.sh").read_text())
    other.chmod(0o755)
    finished = conda("info", "--json", env=environ(tmp_path))
    assert finished.returncode == 0
    assert finished.stderr == ""


# --- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "dependencies: [python=3.13, samtools=1.20]",
            ["`samtools=1.20` needs conda", "install conda 24.7.1"],
        ),
        ("dependencies: [python=3.13, python-dateutil=2.9]", ["`python-dateutil=2.9` needs conda"]),
        ("dependencies: ['python>=3.13']", ["`python>=3.13` is not understood", "`python=3.13`"]),
        ("dependencies: [python=3.99]", ["uv cannot use Python 3.99", "install conda 24.7.1"]),
        ("dependencies: [pip]", ["name no python", "`python=3.13`"]),
        ("dependencies: [python=3.13, {pip: [3.5]}]", ["`3.5` is not text"]),
        ("dependencies: python", ["a list under `dependencies`"]),
        ("variables: {A: b}\ndependencies: [python=3.13]", ["key `variables` is not supported"]),
        ("dependencies: [python=3.13", ["not a readable YAML file"]),
        ("dependencies: [python=3.13, {pip: ['numpy==']}]", ["could not install", "numpy=="]),
    ],
)
def test_unusable_file_is_refused_by_name_and_leaves_nothing(tmp_path, text, expected):
    file = tmp_path / "tool.yaml"
    file.write_text(text)
    finished = conda(*create_arguments(file, tmp_path / "made" / "prefix"))
    assert finished.returncode == 1
    for part in [str(file), *expected]:
        assert part in finished.stderr
    assert not list((tmp_path / "made").glob("*"))


@pytest.mark.network
def test_missing_transitive_pin_is_refused(tmp_path):
    file = tmp_path / "tool.yaml"
    jinja2 = pins(REPOSITORY / "envs" / "report.yaml")["jinja2"]
    file.write_text(f"dependencies: [python=3.13, {{pip: ['{jinja2}']}}]")
    finished = conda(*create_arguments(file, tmp_path / "made" / "prefix"))
    assert finished.returncode == 1
    assert "`markupsafe" in finished.stderr.lower()
    assert "make lock" in finished.stderr
    assert not list((tmp_path / "made").iterdir())


def test_prefix_of_another_file_is_refused(tmp_path, probe):
    prefix = tmp_path / "prefix"
    prefix.mkdir()
    (prefix / "precious").touch()
    finished = conda(*create_arguments(probe, prefix))
    assert finished.returncode == 1
    assert f"{prefix} exists and was not built from {probe}" in finished.stderr
    assert [entry.name for entry in prefix.iterdir()] == ["precious"]


# --- pip's settings, concurrency, interruption -------------------------------------------------------


def test_find_links_of_pip_are_used_and_missing_folders_named(tmp_path, wheels, probe):
    links = f"{tmp_path}/absent {wheels}"
    env = environ(PIP_FIND_LINKS=links, UV_OFFLINE="1")
    finished = conda(*create_arguments(probe, tmp_path / "prefix"), env=env)
    assert finished.returncode == 0, finished.stderr
    assert f"{tmp_path}/absent does not exist, ignored" in finished.stderr
    answer = subprocess.run(
        [tmp_path / "prefix/bin/python", "-c", "import arena_probe; print(arena_probe.answer)"],
        capture_output=True,
        text=True,
    )
    assert answer.stdout == "42\n"


BACKEND = """
import zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name, info = "arena_probe-1.0-py3-none-any.whl", "arena_probe-1.0.dist-info"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("arena_probe.py", f"settings = {config_settings!r}")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: arena-probe\\nVersion: 1.0\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""


def test_build_settings_in_pip_s_notation_reach_the_build(tmp_path):
    source = tmp_path / "arena_probe-1.0"
    source.mkdir()
    (source / "backend.py").write_text(BACKEND)
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: arena-probe\nVersion: 1.0\n")
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "arena-probe"\nversion = "1.0"\n'
    )
    (tmp_path / "links").mkdir()
    with tarfile.open(tmp_path / "links" / "arena_probe-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, source.name)
    file = tmp_path / "tool.yaml"
    line = 'arena-probe==1.0 --config-settings="cmake.args=-DA=1;$ORIGIN" --config-settings=plain=2'
    file.write_text(f"dependencies: [python=3.13, {{pip: ['{line}']}}]")
    env = environ(PIP_FIND_LINKS=str(tmp_path / "links"), UV_OFFLINE="1")
    finished = conda(*create_arguments(file, tmp_path / "prefix"), env=env)
    assert finished.returncode == 0, finished.stderr
    module = tmp_path / "prefix/lib/python3.13/site-packages/arena_probe.py"
    assert module.read_text() == "settings = {'cmake.args': '-DA=1;$ORIGIN', 'plain': '2'}"


def test_index_of_pip_configuration_file_is_used(tmp_path, probe):
    settings = tmp_path / "pip.conf"
    settings.write_text("[global]\nindex-url = http://127.0.0.1:9/simple\n")
    env = environ(PIP_CONFIG_FILE=str(settings), UV_HTTP_RETRIES="0")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL", "UV_OFFLINE"):
        env.pop(name, None)
    finished = conda(*create_arguments(probe, tmp_path / "prefix"), env=env)
    assert finished.returncode == 1
    assert "127.0.0.1:9/simple" in finished.stderr


def test_two_processes_may_make_the_same_environment(tmp_path, wheels, probe):
    env = environ(PIP_FIND_LINKS=str(wheels), UV_OFFLINE="1")
    command = [RUNNER / "conda", *create_arguments(probe, tmp_path / "made" / "prefix")]
    both = [subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    messages = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], messages
    assert sum("exists already" in message for message in messages) == 1
    assert [entry.name for entry in (tmp_path / "made").iterdir()] == ["prefix"]
    assert (tmp_path / "made/prefix/lib/python3.13/site-packages/arena_probe.py").is_file()


def test_what_a_killed_process_left_is_removed_a_day_later(tmp_path, wheels, probe):
    made = tmp_path / "made"
    old, recent = made / ".prefix.old.part", made / ".prefix.recent.part"
    for folder, age_hours in [(old, 25), (recent, 23)]:
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age_hours * 3600,) * 2)
    env = environ(PIP_FIND_LINKS=str(wheels), UV_OFFLINE="1")
    finished = conda(*create_arguments(probe, made / "prefix"), env=env)
    assert finished.returncode == 0, finished.stderr
    assert {entry.name for entry in made.iterdir()} == {"prefix", recent.name}


@pytest.mark.network
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_creation_leaves_neither_files_nor_processes(tmp_path, signum):
    made = tmp_path / "made"
    process = subprocess.Popen(
        [RUNNER / "conda", *create_arguments(BASE, made / "prefix")], env=environ(), stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while not list(made.glob(".prefix.*.part/lib/python3.13/site-packages/numpy")):
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signum)
    messages = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signum
    assert b"compiled" not in messages  # uv was stopped, not waited for
    assert list(made.iterdir()) == []
    commands = [" ".join(other.info["cmdline"] or []) for other in psutil.process_iter(["cmdline"])]
    assert not [command for command in commands if str(made) in command]
