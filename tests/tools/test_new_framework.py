"""The skeleton of a framework: that it is taken as it is, and how its cells then fail."""

import importlib.util
import shutil
import subprocess

import pytest
import yaml

import new_framework
from arena.configuration import loader
from runner import REPOSITORY, RUNNER, environ


@pytest.fixture
def project(tmp_path):
    """A copy of what the skeleton is made of, and written into."""
    for name in ("config", "envs", "report", "workflow"):
        shutil.copytree(
            REPOSITORY / name,
            tmp_path / name,
            ignore=shutil.ignore_patterns("__pycache__", "target"),
        )
    return tmp_path


def make(project, name):
    command = [RUNNER / "python", project / "workflow/tools/new_framework.py", name]
    return subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=60)


def test_the_configuration_takes_it_as_it_is(project):
    done = make(project, "tvm")
    assert done.returncode == 0, done.stderr
    found = loader.resolve({"run": {"rows": ["pytorch-eager", "tvm"]}}, project)["frameworks"]["tvm"]
    assert found["adapter"] == "workflow/scripts/frameworks/tvm/adapter.py"
    assert (found["env"], found["distribution"], list(found["rows"])) == ("tvm", "tvm", ["tvm"])
    env = yaml.safe_load((project / "envs/tvm.yaml").read_text())["dependencies"]
    base = yaml.safe_load((project / "envs/base.yaml").read_text())["dependencies"]
    assert env[:2] == base[:2]
    assert env[2]["pip"][0] == "tvm==0.0.0" and set(env[2]["pip"][1:]) <= set(base[2]["pip"])
    assert "make try ROW=tvm MODEL=ResNet-50" in done.stdout


def test_the_adapter_says_what_is_missing(project):
    make(project, "tvm")
    path = project / "workflow/scripts/frameworks/tvm/adapter.py"
    spec = importlib.util.spec_from_file_location("skeleton", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(NotImplementedError, match="version, backend and device"):
        module.Adapter(None).describe()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("jax", "jax is a framework or a row already"),
        ("TVM", "'TVM' is no name; expected lower-case letters and digits"),
        ("my-own", "'my-own' is no name"),
        ("../tvm", "'../tvm' is no name"),
    ],
)
def test_a_name_that_will_not_do_is_refused(name, words):
    with pytest.raises(ValueError, match="is ") as caught:
        new_framework.skeleton(name, REPOSITORY)
    assert words in str(caught.value)


def test_nothing_is_overwritten(project):
    (project / "envs/tvm.yaml").write_text("mine")
    done = make(project, "tvm")
    assert done.returncode == 2
    assert "envs/tvm.yaml exists already" in done.stderr
    assert (project / "envs/tvm.yaml").read_text() == "mine"
    assert not (project / "config/frameworks/tvm.yaml").exists()
