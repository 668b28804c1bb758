"""The skeleton of a model: taken as it is, by configuration, tests and a run."""

import os
import re
import subprocess
import sys

import pytest

import new_model
from arena.configuration import loader
from checkout import CONDA_PREFIX, building, copy
from runner import REPOSITORY, RUNNER, environ

NAME, DEFINITION = "Signal-4", "signal_4"
MADE = (
    "config/models/Signal-4.yaml",
    "workflow/scripts/models/spec/signal_4.py",
    "workflow/scripts/frameworks/pytorch/models/signal_4.py",
    "docs/models/Signal-4.md",
)


def make(project, *arguments):
    command = [RUNNER / "python", project / "workflow/tools/new_model.py", *arguments]
    return subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A checkout with a new model, and what the tool said."""
    root = copy(tmp_path_factory.mktemp("project"))
    done = make(root, NAME)
    assert done.returncode == 0, done.stderr
    return root, done.stdout


def test_it_writes_the_files_and_says_what_then(project):
    root, said = project
    assert [path for path in MADE if not (root / path).is_file()] == []
    assert all(f"written: {path}\n" in said for path in MADE) and "added to: config/test.yaml\n" in said
    assert "make try ROW=pytorch-eager MODEL=Signal-4" in said
    assert f"       jax: workflow/scripts/frameworks/jax/models/{DEFINITION}.py\n" in said
    assert "frameworks.<framework>.unsupported.Signal-4: {code: unsupported-model, why: It has no …}" in said
    decided = re.findall(r"^       ([a-z0-9-]+): ", said, re.MULTILINE)
    assert set(decided) == set(loader.catalogues(root)["frameworks"]) - {"pytorch"}


def test_the_configuration_takes_it_in_both_sizes(project):
    root, _ = project
    run = {"models": [NAME], "rows": ["pytorch-eager"], "baseline": "pytorch-eager"}
    full = loader.resolve({"run": run}, root)["models"][NAME]
    small = loader.resolve(
        loader.merge({"run": run}, loader.read_yaml(root / "config/test.yaml")) | {"run": run}, root
    )
    seeds = [entry["seed"] for entry in loader.catalogues(root)["models"].values() if "seed" in entry]
    assert (full["definition"], full["architecture"]["hidden_size"]) == (DEFINITION, 1024)
    assert seeds.count(full["seed"]) == 1  # its weights are its own
    assert small["models"][NAME]["architecture"]["hidden_size"] == 32
    others = loader.resolve(loader.read_yaml(REPOSITORY / "config/test.yaml"), REPOSITORY)["models"]
    assert {name: small["models"][name] for name in others} == others


def test_a_run_with_a_framework_that_lacks_it_says_what_to_write(project):
    root, _ = project
    with pytest.raises(loader.ConfigError) as caught:
        loader.resolve({"run": {"models": [NAME], "rows": ["jax"], "baseline": "jax"}}, root)
    assert f"workflow/scripts/frameworks/jax/models/{DEFINITION}.py does not exist" in str(caught.value)
    assert f"{{jax: {{unsupported: {{{NAME}: {{code: unsupported-model, why: It has no …}}" in str(
        caught.value
    )


@pytest.mark.slow
def test_sizes_in_the_miniature_bring_it_into_the_tests_by_that_alone(project):
    """And it passes them: weights, inputs, reference, gate, PyTorch's definition, its page."""
    root, _ = project
    files = [
        "tests/arena/weights/test_seeded_weights.py",
        "tests/arena/judging/test_negative_controls.py",
        "tests/scripts/test_inputs.py",
        "tests/scripts/test_reference.py",
        "tests/frameworks/test_torch_models.py",
        "tests/frameworks/test_mlx_layout.py",
        "tests/docs/test_model_pages.py",
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-k", NAME, *files]
    environment = os.environ | {"ARENA_RUNNER": str(RUNNER)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) >= 15


@pytest.mark.slow
@pytest.mark.network
def test_a_run_in_miniature_passes(project, tmp_path):
    root, _ = project
    command = [RUNNER / "python", root / "workflow/tools/try_cell.py", "--directory", tmp_path]
    command += ["--row", "pytorch-eager", "--model", NAME, "--", "--conda-prefix", CONDA_PREFIX]
    with building():
        done = subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{NAME} in pytorch-eager: pass\n" in done.stdout and "training: " in done.stdout


@pytest.mark.parametrize(
    ("name", "definition", "words"),
    [
        ("ResNet-50", "resnet", "ResNet-50 is a model already"),
        ("resnet-50", "mine", "resnet-50 is a model already, case aside"),
        ("ResNet-101", "resnet", "definition resnet is that of ResNet-50"),
        ("My Model", "my_model", "'My Model' is no name; expected letters, digits"),
        ("../mine", "mine", "'../mine' is no name"),
        ("4", "4", "'4' is no definition; expected lower-case letters"),
        ("Class", "class", "'class' is no definition"),
    ],
)
def test_a_name_that_will_not_do_is_refused(name, definition, words):
    with pytest.raises(ValueError, match="is ") as caught:
        new_model.skeleton(name, definition, REPOSITORY)
    assert words in str(caught.value)


def test_nothing_is_overwritten(tmp_path):
    root = copy(tmp_path)
    (root / MADE[1]).write_text("mine")
    test = (root / "config/test.yaml").read_text(encoding="utf-8")
    done = make(root, NAME)
    assert done.returncode == 2 and f"{MADE[1]} exists already; remove it" in done.stderr
    assert (root / MADE[1]).read_text() == "mine" and not (root / MADE[0]).exists()
    assert (root / "config/test.yaml").read_text(encoding="utf-8") == test


def test_sizes_go_where_the_models_are_or_nowhere(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/test.yaml").write_text("models:\n  A: {}\nrun: {}\n")
    with pytest.raises(ValueError, match=r"does not end with its models; put them last"):
        new_model.miniature(NAME, tmp_path)
