"""What a change runs again: everything that it may have changed, and nothing else.

Each dry run starts from the finished miniature. Earlier edits were taken back, so that a job which
still followed from one of them would be found as well.
"""

import shutil
from dataclasses import replace as changed

import pytest

from checkout import (
    ENGINES,
    FRAMEWORKS,
    JAVASCRIPT,
    LANES,
    MINIATURE,
    MODELS,
    REPORTS,
    ROWS,
    RUST,
    SUMMARY,
    UNSUPPORTED,
    append,
    judging,
    measuring,
    replace,
    snapshot,
)

PYTHON = [row for row in ROWS if row not in ENGINES]
STRICT = [row for row in ROWS if LANES[row] == "float32"]
TAKEN = {"take_submission"}  # the tables of submissions, by this run's code and tolerances
NEW_ROW = "      onnxruntime-again: {label: ONNX Runtime again}\n"


@pytest.fixture(scope="module")
def checkout(miniature):
    """The finished miniature, of which nothing is left to do."""
    assert miniature.run.returncode == 0, miniature.run.stdout
    assert miniature.checkout.plan() == set()
    yield miniature.checkout
    assert miniature.checkout.plan() == set()


def exports(model):
    """The formats that the rows able to run ``model`` read."""
    able = [FRAMEWORKS[row] for row in ROWS if model not in UNSUPPORTED[row]]
    return {entry["export"] for entry in able} - {None}


def built(rows):
    """What a changed engine runs again; the jobs that build are told apart by no wildcard of the plan's."""
    return {"build_engine"} | measuring(rows=rows) | judging(rows=rows)


JAX_ROWS = [row for row in ROWS if FRAMEWORKS[row]["env"] == "jax"]
JAX = measuring(rows=JAX_ROWS) | judging(rows=JAX_ROWS)
ONNXRUNTIME = [row for row in ROWS if FRAMEWORKS[row]["env"] == "onnxruntime"]
PROGRAMS = [row for row in RUST if row != "inferi"]
WEB = {"build_javascript"} | measuring(rows=JAVASCRIPT) | judging(rows=JAVASCRIPT)


def of_definition(*names):
    """The models of these architectures."""
    return [model for model in MODELS if MINIATURE["models"][model]["definition"] in names]


ONNX = {"onnx", "openvino"}  # what is made from the graph that PyTorch exports
UNETS, WHISPERS, LLAMAS = of_definition("unet"), of_definition("whisper"), of_definition("llama")
UNET = {f"{rule} {model}" for model in UNETS for rule in ("reference", "rounding")}
UNET |= {f"export_{format} {model}" for model in UNETS for format in ONNX & exports(model)}
for model in UNETS:
    rows = [
        row
        for row in ROWS
        if FRAMEWORKS[row]["definitions"] == "pytorch"
        or (FRAMEWORKS[row]["export"] in ONNX and model not in UNSUPPORTED[row])
    ]
    UNET |= measuring([model], rows) | judging([model])

GGUF_ROWS = [row for row in ROWS if FRAMEWORKS[row]["export"] == "gguf"]
GGUF = (
    {f"export_gguf {model}" for model in LLAMAS} | measuring(LLAMAS, GGUF_ROWS) | judging(LLAMAS, GGUF_ROWS)
)


CHANGES = [
    ("envs/jax.yaml", append("# a comment\n"), JAX),
    ("workflow/scripts/frameworks/jax/adapter.py", append("# a comment\n"), JAX),
    (
        "workflow/scripts/arena/measuring/protocol.py",
        append("# a comment\n"),
        measuring(rows=PYTHON) | judging(rows=PYTHON),
    ),
    ("workflow/engines/arena/src/protocol.rs", append("// a comment\n"), built(PROGRAMS)),
    ("workflow/engines/arena-candle/src/resnet.rs", append("// a comment\n"), built(["candle"])),
    ("workflow/engines/Cargo.lock", append('[[package]]\nname = "another"\nversion = "1.0.0"\n'), set()),
    (
        "workflow/engines/Cargo.lock",
        replace('(name = "candle-nn"\nversion = )".*"', r'\1"9.9.9"'),
        built(["candle"]),
    ),
    (
        "workflow/engines/Cargo.toml",
        replace(r'members = \["arena\*"', 'members = ["arena*", "another"'),
        set(),
    ),
    ("workflow/engines/Cargo.toml", replace('lto = "thin"', "lto = true"), built(PROGRAMS)),
    ("envs/rust.yaml", append("# a comment\n"), built(RUST)),
    ("workflow/engines/javascript/arena/protocol.mjs", append("// a comment\n"), WEB),
    (
        "workflow/scripts/frameworks/jax/models/whisper.py",
        append("# a comment\n"),
        measuring(WHISPERS, JAX_ROWS) | judging(WHISPERS, JAX_ROWS),
    ),
    ("workflow/scripts/frameworks/pytorch/models/unet.py", append("# a comment\n"), UNET),
    ("workflow/scripts/frameworks/llamacpp/export.py", append("# a comment\n"), GGUF),
    ("workflow/scripts/validate.py", append("# a comment\n"), judging()),
    ("workflow/scripts/arena/contract/verdict.py", append("# a comment\n"), judging() | TAKEN),
    ("config/frameworks/jax.yaml", replace("label: JAX", "label: Jax"), SUMMARY | TAKEN),
    ("config/frameworks/onnxruntime.yaml", replace("runs inference only", "only infers"), SUMMARY),
    (
        "config/config.yaml",
        replace(r"relative_l2: 1\.0e-4", "relative_l2: 2.0e-4"),
        judging(rows=STRICT) | TAKEN,
    ),
    ("report/report.md.j2", append("A last word.\n"), {"report"}),
    ("report/details.md.j2", append("A last word.\n"), {"report"}),
    ("report/html/style.css", append("/* a comment */\n"), {"page"}),
    ("config/models/ResNet-50.yaml", append("      - Another caveat.\n"), REPORTS),
    ("config/test.yaml", replace("timeout_s: 600", "timeout_s: 601"), set()),
    ("config/config.yaml", replace("memory_limit_mb: null", "memory_limit_mb: 9000"), set()),
    ("config/README.md", append("Another sentence.\n"), set()),
    ("docs/design.md", append("Another sentence.\n"), set()),
    ("config/test.yaml", replace("rounds: 2", "rounds: 3"), measuring(rounds=[3]) | judging()),
]


@pytest.mark.parametrize(("path", "edit", "jobs"), CHANGES, ids=[change[0] for change in CHANGES])
def test_a_change_runs_its_own_jobs_again(checkout, path, edit, jobs):
    with checkout.edited(path, edit):
        assert checkout.plan() == jobs


def test_a_new_row_runs_its_own_cells(checkout):
    rows = ["onnxruntime-again"]
    asked = replace(r"    - onnxruntime\n", f"    - onnxruntime\n    - {rows[0]}\n")
    with checkout.edited("config/frameworks/onnxruntime.yaml", append(NEW_ROW)):
        assert checkout.plan() == set()  # it is in the catalogue, but no run asks for it
        with checkout.edited("config/test.yaml", asked):
            assert checkout.plan() == measuring(rows=rows) | judging(rows=rows)


def test_a_published_table_changes_the_report(checkout):
    published = checkout.root / "report/published"
    (published / "zzz.csv").write_bytes((published / "apple-m3.csv").read_bytes().replace(b"M3", b"M9"))
    try:
        assert checkout.plan() == REPORTS
    finally:
        (published / "zzz.csv").unlink()


def test_a_new_version_measures_its_framework_alone(checkout):
    """For real: the environment is built, ONNX Runtime's files are made again, and all others stay as they were.

    The run continues in a copy of the results, so that those of the miniature stay finished.
    """
    directory = checkout.directory.parent / "upgraded"
    shutil.copytree(checkout.directory, directory, symlinks=True)
    upgraded = changed(checkout, directory=directory, environment={})
    assert upgraded.plan() == SUMMARY  # the commands to try a failed cell again name the directory
    results = directory / "results"
    before = snapshot(results)
    with checkout.edited("envs/onnxruntime.yaml", replace(r"flatbuffers==\S+", "flatbuffers==25.9.23")):
        assert upgraded.plan() == measuring(rows=ONNXRUNTIME) | judging(rows=ONNXRUNTIME)
        upgraded.build_environments()
        done = upgraded.run()
        assert done.returncode == 0, done.stdout
        assert upgraded.plan() == set()
    after = snapshot(results)
    written = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    cells = {path for path in after if path.startswith(("benchmarks/", "logs/benchmark/"))}
    own = {path for path in cells if any(f"/{row}/" in path for row in ONNXRUNTIME)}
    assert {path for path in written if "/cache/" not in path} == {
        *(path for path in own if "/cache/" not in path),
        *(f"logs/validate/local/{model}/{row}.log" for model in MODELS for row in ONNXRUNTIME),
        *(f"validation/local/{model}/{row}.json" for model in MODELS for row in ONNXRUNTIME),
        *("analysis/local.json", "failures/local.json", "platforms/local.csv", "logs/platform/local.log"),
        *("report.md", "details.md", "logs/report.log"),
        *("report.html", "report.json", "logs/page.log", "figures/.snakemake_timestamp"),
        *("retry", *(f"figures/{model}.svg" for model in MODELS)),  # retry names the directory
        *(path for path in after.keys() - before.keys() if path.startswith("history/local/")),
    }
    assert len([path for path in after.keys() - before.keys() if path.startswith("history/")]) == 1
    rows = upgraded.table()
    assert [row["status"] for row in rows] == [row["status"] for row in checkout.table()]
    assert {'"flatbuffers": "25.9.23"' in row["packages"] for row in rows if row["row"] in ONNXRUNTIME} == {
        True
    }
    assert "flatbuffers 25.9.23" in upgraded.details()
    assert "flatbuffers 25.9.23" not in checkout.details()


def test_everything_follows_from_the_weights(checkout):
    """The other end of the scale, so that an empty plan is known to mean something."""
    with checkout.edited("config/models/ResNet-50.yaml", replace(r"seed: \d+", "seed: 1234")):
        made = ("weights", "reference", "rounding", *(f"export_{format}" for format in exports("ResNet-50")))
        jobs = {f"{rule} ResNet-50" for rule in made}
        assert checkout.plan() == jobs | measuring(["ResNet-50"]) | judging(["ResNet-50"])


def test_forcing_one_round_measures_one_cell(checkout):
    """What the report's command to try again relies on."""
    path = "results/benchmarks/local/ResNet-50/jax/round-1.json"
    wanted = measuring(["ResNet-50"], ["jax"]) | judging(["ResNet-50"], ["jax"])
    targets = ("results/report.md", "results/report.html")
    assert checkout.plan("--forcerun", path, "--", *targets) == wanted >= SUMMARY
