"""Where the arena may lie, for whom its environment was made, and which commit it is at."""

import os
import subprocess
import sys

import pytest

from arena import places
from runner import DEPLOY


@pytest.mark.parametrize("character", list(" \t\n'\"`$\\{}:;&|<>()*?[]!#"))
def test_a_character_that_a_program_would_read_is_refused_by_its_name(tmp_path, character):
    path = tmp_path / f"are{character}na"
    why = places.refusal("--directory", path)
    assert why.startswith("--directory: ") and repr(character) in why and "letters, digits" in why
    assert "\n" not in why


@pytest.mark.parametrize(
    "name", ["arena", "Arena-2.0_b", "jörg", "été", "日本", "a+b", "a=b", "a@b", "a,b", "~a", "a%b"]
)
def test_other_characters_are_not(tmp_path, name):
    assert places.refusal("the checkout", tmp_path / name) is None


def test_an_environment_says_for_which_checkout_it_was_made(tmp_path):
    environment = tmp_path / "arena" / ".venv"
    assert places.made_elsewhere(environment) is None
    environment.mkdir(parents=True)
    (environment / "ready").write_text(f"{tmp_path / 'arena'}\n")
    assert places.made_elsewhere(environment) is None
    (tmp_path / "link").symlink_to(tmp_path / "arena")
    assert places.made_elsewhere(tmp_path / "link" / ".venv") is None
    (tmp_path / "arena").rename(tmp_path / "renamed")
    assert places.made_elsewhere(tmp_path / "renamed" / ".venv") == str(tmp_path / "arena")
    (tmp_path / "renamed" / ".venv" / "ready").write_text("")
    assert places.made_elsewhere(tmp_path / "renamed" / ".venv") is None


def git(folder, *words):
    identity = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_")
    } | identity
    command = ["git", "-C", folder, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def repository(folder):
    """A repository with one commit; its name."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet")
    (folder / "Snakefile").write_text("rule all\n")
    (folder / ".gitignore").write_text("/results/\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", folder.name)
    return git(folder, "rev-parse", "--short=12", "HEAD")


def test_the_commit_is_that_of_the_checkout(tmp_path):
    assert places.commit(tmp_path / "arena") is None
    assert places.commit(tmp_path) is None
    head = repository(tmp_path / "arena")
    assert places.commit(tmp_path / "arena") == head
    (tmp_path / "link").symlink_to(tmp_path / "arena")
    assert places.commit(tmp_path / "link") == head


def test_the_commit_of_a_repository_around_it_is_another_s(tmp_path):
    repository(tmp_path)
    inside = tmp_path / "arena"
    inside.mkdir()
    assert places.commit(inside) is None
    own = repository(inside)
    assert places.commit(inside) == own


def test_what_git_s_variables_name_is_not_asked(tmp_path, monkeypatch):
    head, other = repository(tmp_path / "arena"), repository(tmp_path / "other")
    assert head != other
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    assert places.commit(tmp_path / "arena") == head
    (tmp_path / "plain").mkdir()
    assert places.commit(tmp_path / "plain") is None


@pytest.mark.parametrize(
    ("file", "dirty"),
    [
        ("adapters/mine.py", True),
        ("mine.py", True),
        ("workflow/scripts/notes.txt", True),
        ("envs/mine.yaml", True),
        ("report/published/mine.csv", False),
        ("notes.txt", False),
        ("results/x.py", False),
    ],
)
def test_new_sources_make_it_dirty(tmp_path, file, dirty):
    head = repository(tmp_path)
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("")
    assert places.commit(tmp_path) == (f"{head}-dirty" if dirty else head)


def test_a_changed_file_makes_it_dirty(tmp_path):
    head = repository(tmp_path)
    (tmp_path / "Snakefile").write_text("rule other\n")
    assert places.commit(tmp_path) == f"{head}-dirty"


def test_a_machine_without_git_has_no_commit(tmp_path, monkeypatch):
    repository(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert places.commit(tmp_path) is None


# --- .venv, as make sees it ---------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path):
    """A folder with the Makefile and a whole .venv that has nothing in it."""
    root = tmp_path / "arena"
    (root / "workflow" / "deploy").mkdir(parents=True)
    (root / "envs").mkdir()
    for name in ("Makefile", "workflow/deploy/whole.sh", "workflow/deploy/bootstrap.py", "envs/runner.txt"):
        (root / name).write_bytes((DEPLOY.parents[1] / name).read_bytes())
    programs = root / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "uv", "snakemake"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    (root / ".venv" / "ready").write_text(f"{root.resolve()}\n")
    return root


def made_anew(root):
    """Whether `make` would make .venv, and what it says of the one that is there."""
    command = ["make", "--dry-run", ".venv/ready"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return "bootstrap.sh" in done.stdout, done.stderr


def test_a_whole_environment_stays(checkout):
    assert made_anew(checkout) == (False, "")
    (checkout.parent / "link").symlink_to(checkout)
    assert made_anew(checkout.parent / "link") == (False, "")


def test_a_renamed_or_copied_checkout_makes_its_own(checkout):
    renamed = checkout.rename(checkout.parent / "renamed")
    anew, said = made_anew(renamed)
    assert anew and f".venv was made for {checkout}, not for {renamed}" in said


@pytest.mark.parametrize("program", ["python", "uv", "snakemake"])
def test_an_environment_without_a_program_is_made_anew(checkout, program):
    path = checkout / ".venv" / "bin" / program
    path.unlink()
    path.symlink_to("/not/there")
    anew, said = made_anew(checkout)
    assert anew and f".venv/bin/{program} is missing" in said


def test_an_environment_whose_python_does_not_start_is_made_anew(checkout):
    (checkout / ".venv" / "bin" / "python").write_text("#!/not/there\n")
    anew, said = made_anew(checkout)
    assert anew and ".venv/bin/python does not start" in said


def test_a_set_up_that_did_not_come_to_its_end_is_begun_again(checkout):
    (checkout / ".venv" / "ready").unlink()
    assert made_anew(checkout) == (True, "")


def test_a_set_up_in_such_a_place_says_so_before_it_begins(tmp_path):
    root, source = tmp_path / "my arena", DEPLOY.parents[1]
    for name in (
        "workflow/deploy/bootstrap.py",
        "workflow/deploy/installer.py",
        "workflow/scripts/arena/places.py",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((source / name).read_bytes())
    (root / "workflow/scripts/arena/__init__.py").write_text("")
    command = [sys.executable, "-I", root / "workflow/deploy/bootstrap.py", root / ".venv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("the checkout: ") and "' '" in done.stderr
    assert not (root / ".venv").exists()
