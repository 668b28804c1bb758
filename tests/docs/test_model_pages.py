"""The pages of docs/models: what stands below a command is what it prints, and every model has a page."""

import re
import subprocess

import pytest

from arena.configuration import loader
from runner import REPOSITORY, RUNNER

MODELS = loader.catalogues(REPOSITORY)["models"]
PAGES = {page.stem: page for page in sorted((REPOSITORY / "docs/models").glob("*.md"))}
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)  # and the lines down to the next one


def commands():
    for name, page in PAGES.items():
        for block in CONSOLE.findall(page.read_text(encoding="utf-8")):
            for command, printed in COMMAND.findall(block):
                yield pytest.param(command, printed, id=f"{name}: {command.partition('tools/')[2]}")


@pytest.mark.parametrize(("command", "printed"), list(commands()))
def test_commands_print_what_the_page_shows(command, printed):
    command = command.replace(".venv/bin", str(RUNNER))
    done = subprocess.run(command, shell=True, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == printed


def test_each_model_of_the_catalogue_has_a_page_and_each_page_a_model():
    assert set(PAGES) == set(MODELS)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_counts_its_model_at_full_size_and_in_miniature(name):
    said = PAGES[name].read_text(encoding="utf-8")
    program = f"$ .venv/bin/python workflow/tools/describe_model.py {name}"
    assert f"{program}\n" in said
    assert f"{program} --configfile config/test.yaml" in said


@pytest.mark.parametrize("name", PAGES)
def test_a_page_names_the_size_of_the_output(name):
    """It is in no configuration: logits end in the classes, else it has the target's shape."""
    architecture, target = MODELS[name]["architecture"], MODELS[name]["workload"]["target"]
    logits = MODELS[name]["loss"] == "cross_entropy"
    end = [architecture.get("vocab_size") or architecture["num_classes"]] if logits else target["shape"]
    said = " ".join(PAGES[name].read_text(encoding="utf-8").split())
    assert re.search(rf"float32 \([\d, ]*{', '.join(map(str, end))}\)", said)
