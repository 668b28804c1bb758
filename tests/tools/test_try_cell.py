"""`make try`: what it says of a cell, and the page that shows it, run as it is written."""

import re
import subprocess

import pytest
import yaml

import records
import try_cell
from arena.contract import codec
from arena.contract import round as rounds
from checkout import CONDA_PREFIX, building
from runner import REPOSITORY, RUNNER, environ

PAGE = (REPOSITORY / "docs" / "your-own-row.md").read_text(encoding="utf-8")


def test_one_process_of_one_cell_is_asked_for():
    chosen = try_cell.overlay("jax", "ResNet-50")
    assert chosen["run"] == {"models": ["ResNet-50"], "rows": ["jax"], "baseline": "jax"}
    assert chosen["protocol"] == {"rounds": 1}


def attempt(tmp_path, *arguments):
    command = [
        RUNNER / "python",
        REPOSITORY / "workflow/tools/try_cell.py",
        "--directory",
        tmp_path / "tried",
    ]
    command += [*arguments, "--", "--conda-prefix", CONDA_PREFIX]
    return subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=500)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The page's adapter and overlay, as files."""
    folder = tmp_path_factory.mktemp("own")
    (adapter,) = re.findall(r"(?s)```python\n(.*?)```", PAGE)
    (overlay,) = re.findall(r"(?s)```yaml\n(.*?)```", PAGE)
    (folder / "channels_last.py").write_text(adapter)
    config = yaml.safe_load(overlay)
    config["frameworks"]["channels-last"]["adapter"] = str(folder / "channels_last.py")
    (folder / "channels-last.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.mark.slow
@pytest.mark.network
def test_the_pages_row_passes_and_a_wrong_one_does_not(own, tmp_path):
    cell = ("--row", "channels-last", "--model", "ResNet-50", "--configfile", own / "channels-last.yaml")
    with building():
        done = attempt(tmp_path, *cell)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nResNet-50 in channels-last: pass\n" in f"\n{done.stdout}"
    for task in ("inference", "latency", "training"):
        assert re.search(rf"(?m)^  {task}: [\d.]+ ms, first result after [\d.]+ s$", done.stdout)

    adapter = own / "channels_last.py"
    adapter.write_text(
        adapter.read_text()
        + "\n    def fetch(self, task, result):\n        return super().fetch(task, result * 1.01)\n"
    )
    done = attempt(tmp_path, *cell)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ResNet-50 in channels-last: different" in done.stdout
    assert "relative L2" in done.stdout

    adapter.write_text("raise ImportError('not today')\n")
    done = attempt(tmp_path, *cell)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ResNet-50 in channels-last: failed" in done.stdout
    assert "ImportError: not today" in done.stdout and "round-1.log" in done.stdout


@pytest.mark.slow
def test_an_unknown_row_is_refused_with_what_there_is(tmp_path):
    done = attempt(tmp_path, "--row", "nope", "--model", "ResNet-50")
    assert done.returncode == 1
    assert '"nope" is no row; allowed: ' in done.stdout + done.stderr


def refused(code, declared=None):
    """A round that did not run its model."""
    record = records.round_record(
        "ctranslate2", status="unsupported", reason={"code": code, "detail": "It has no mlp."}
    )
    record["cell"] |= {"unsupported": declared, "framework": "ctranslate2", "model": "Mine"}
    return codec.decode(rounds.Round, record)


def test_a_refusal_that_is_not_declared_is_told_ready_to_paste():
    head, *lines = try_cell.remedy(refused("unsupported-model"))
    assert "Said in config/frameworks/ctranslate2.yaml or an overlay, nothing is exported" in head
    said = yaml.safe_load("\n".join(lines))
    reason = {"code": "unsupported-model", "why": "It has no mlp."}
    assert said == {"frameworks": {"ctranslate2": {"unsupported": {"Mine": reason}}}}
    assert (
        try_cell.remedy(
            refused("unsupported-model", {"code": "unsupported-model", "detail": "It has no mlp."})
        )
        == []
    )
    assert try_cell.remedy(refused("no-device")) == []
