"""A run where the arena cannot work is refused before any job, in a line."""

import pytest
import yaml

from checkout import Checkout, copy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return copy(tmp_path_factory.mktemp("places"))


@pytest.mark.parametrize("character", [" ", "'", "$", "{", '"', ":", "("])
def test_a_directory_with_a_character_that_programs_read_is_refused(root, tmp_path, character):
    directory = tmp_path / f"are{character}na"
    directory.mkdir()
    done = Checkout(root, directory, (root / "config/test.yaml",)).run()
    assert done.returncode == 1
    assert "--directory: " in done.stdout and f"has {character!r} in it" in done.stdout
    assert not (directory / "results").exists()


def test_a_checkout_with_another_s_environment_is_refused(root, tmp_path):
    (root / ".venv").mkdir()
    try:
        (root / ".venv" / "ready").write_text("/home/me/arena\n")
        done = Checkout(root, tmp_path, (root / "config/test.yaml",)).run("--dry-run")
        assert done.returncode == 1
        assert ".venv was made for /home/me/arena: this checkout was renamed or copied" in done.stdout
        (root / ".venv" / "ready").write_text(f"{root.resolve()}\n")
        run = {"models": ["ResNet-50"], "rows": ["jax"], "baseline": "jax"}
        small = tmp_path / "small.yaml"
        small.write_text(yaml.safe_dump({"run": run}))
        assert Checkout(root, tmp_path, (root / "config/test.yaml", small)).plan()
    finally:
        (root / ".venv" / "ready").unlink()
        (root / ".venv").rmdir()
