"""The rows of a CPU that cost the whole miniature too much, through the workflow: with one model, one process each."""

import pytest
import yaml

from checkout import END_TO_END, FRAMEWORKS, LANES, MINIATURE, Checkout
from runner import REPOSITORY

pytestmark = END_TO_END
MODEL = "SmolVLA"  # the smallest graph, whose export and compilation take the least
ROWS = ["tensorflow", "iree", "executorch", "litert", "max"]
REDUCED = ["tensorflow-bf16", "litert-int8", "executorch-int8"]
#: Between what rounding to so few bits costs at least, and config.yaml's tolerance of the lane.
ERRORS = {"float32": (1e-9, 1e-4), "bfloat16": (1e-3, 5e-2), "int8": (1e-3, 0.1)}
ELSEWHERE = {"meganeura", "burn-wgpu", "burn-cuda"}  # they want a driver or a card
TASKS = ["inference", "latency", "training"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """The lines of the platform's table, by row; a cell that failed has one, too."""
    folder = tmp_path_factory.mktemp("left-out")
    chosen = {
        "run": {"models": [MODEL], "rows": ROWS + REDUCED, "baseline": ROWS[0]},
        "protocol": {"rounds": 1, "tasks": TASKS, "timeout_s": 1800},  # MAX compiles for minutes
    }
    (folder / "chosen.yaml").write_text(yaml.safe_dump(chosen))
    configs = (REPOSITORY / "config/test.yaml", folder / "chosen.yaml")
    checkout = Checkout(REPOSITORY, folder / "directory", configs)
    checkout.build_environments("results/platforms/local.csv")
    done = checkout.run("--", "results/platforms/local.csv")
    assert (checkout.directory / "results/platforms/local.csv").exists(), done.stdout
    return {line["row"]: line for line in checkout.table()}


def test_no_row_is_left_out_of_both():
    assert set(MINIATURE["run"]["left_out"]) == {*ROWS, *ELSEWHERE}


@pytest.mark.parametrize("row", ROWS + REDUCED)
def test_it_passes(table, row):
    cell = table[row]
    judged = cell["status"], cell["verdict"], cell["lane"]
    assert judged == ("pass", "pass", LANES[row]), cell["reason_detail"] or cell["verdict_reasons"]
    least, most = ERRORS[LANES[row]]
    for figure in ("relative_l2", "latency_relative_l2"):
        assert least < float(cell[figure]) < most, figure
    assert cell["inference_status"] == cell["latency_status"] == "ok"


@pytest.mark.parametrize("row", ROWS + REDUCED)
def test_it_trains_or_says_why_not(table, row):
    cell = table[row]
    if "training" in FRAMEWORKS[row]["unsupported_tasks"]:
        assert cell["training_status"] == "unsupported" and cell["training_ms"] == ""
        assert cell["training_reason"].startswith("no-training: ")
    else:
        assert cell["training_status"] == "ok" and float(cell["training_ms"]) > 0
        tolerances = MINIATURE["gate"][LANES[row]]
        assert tolerances["gradient_cosine"] <= float(cell["gradient_cosine"]) <= 1 + 1e-6
        assert 0 < float(cell["gradient_norm_error"]) < tolerances["gradient_norm_error"]


@pytest.mark.parametrize("row", ROWS + REDUCED)
def test_its_start_and_its_size_are_there(table, row):
    names = ["compile_s", "load_s", "import_s", "cold_start_s", "footprint_mb", "memory_gb"]
    assert [name for name in names if not (table[row][name] and float(table[row][name]) > 0)] == []
