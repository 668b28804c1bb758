"""MAX through the workflow, with one model: it compiles for minutes, so the miniature leaves it out."""

import pytest
import yaml

from checkout import END_TO_END, Checkout
from runner import REPOSITORY

pytestmark = END_TO_END


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """The line of the platform's table."""
    folder = tmp_path_factory.mktemp("max")
    chosen = {
        "run": {"models": ["SmolVLA"], "rows": ["max"], "baseline": "max"},
        "protocol": {"rounds": 1, "tasks": ["inference", "latency"]},
    }
    (folder / "max.yaml").write_text(yaml.safe_dump(chosen))
    configs = (REPOSITORY / "config/test.yaml", folder / "max.yaml")
    checkout = Checkout(REPOSITORY, folder / "directory", configs)
    checkout.build_environments("results/platforms/local.csv")
    done = checkout.run("--", "results/platforms/local.csv")
    assert done.returncode == 0, done.stdout
    [line] = checkout.table()
    return line


def test_max_passes(cell):
    judged = cell["status"], cell["verdict"], cell["lane"]
    assert judged == ("pass", "pass", "float32"), cell["verdict_reasons"]
    assert 0 < float(cell["relative_l2"]) < 1e-4 and 0 < float(cell["latency_relative_l2"]) < 1e-4
    assert cell["inference_status"] == cell["latency_status"] == "ok"
