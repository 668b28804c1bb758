"""Records of several allocations become one platform's, and what does not belong together is refused."""

import copy
import json
import re
import shlex
import subprocess
import tarfile

import pytest

import allocations
import submitted
from allocating import sameness
from allotted import CARD, COMMIT, SOURCE, round_record, verdict
from arena import files
from arena.contract import codec, decision
from arena.contract.round import Gpu
from runner import REPOSITORY, RUNNER, environ


@pytest.fixture
def measured(tmp_path):
    """Make the results directory of one allocation, and pack it; the archive."""

    def make(name, rows, hour, **changes):
        results = tmp_path / name / "results"
        for row, (count, judged, error) in rows.items():
            for number in range(1, count + 1):
                record = round_record(
                    "Tiny", row, number, f"2026-11-28T{hour:02d}:0{number}:00+00:00", **changes
                )
                files.write_json(results / f"benchmarks/gpu/Tiny/{row}/round-{number}.json", record)
            said = verdict("Tiny", row, judged, error, min(count, 2))
            files.write_json(results / f"validation/gpu/Tiny/{row}.json", said)
        files.write_json(results / "models/Tiny/source.json", SOURCE)
        files.write_json(results / "models/Tiny/config.json", submitted.MODEL["architecture"])
        out = tmp_path / f"{name}.tar.gz"
        assert f"{sum(row[0] for row in rows.values())} rounds" in allocations.pack(results, "gpu", name, out)
        return out

    return make


def test_rounds_follow_each_other_and_the_account_tells_the_allocations_apart(tmp_path, measured):
    second = measured("a2", {"pytorch-eager": (1, "close", 2e-6), "mlx": (1, "pass", 1e-6)}, 15, mhz=1755)
    first = measured("a1", {"pytorch-eager": (2, "pass", 1e-6), "jax": (1, "pass", 1e-6)}, 9)
    into = tmp_path / "results"
    said = allocations.merge([second, first], into, "h200", "pytorch-eager")
    assert said.endswith("5 rounds of 3 cells from 2 allocations")
    baseline = [
        files.read_json(into / f"benchmarks/h200/Tiny/pytorch-eager/round-{number}.json")
        for number in (1, 2, 3)
    ]
    assert [record["round"] for record in baseline] == [1, 2, 3]
    assert [record["started"][11:13] for record in baseline] == ["09", "09", "15"]  # the earlier one first
    assert {record["cell"]["platform"] for record in baseline} == {"h200"}
    assert len(list((into / "benchmarks/h200/Tiny").iterdir())) == 3
    worst = files.read_json(into / "validation/h200/Tiny/pytorch-eager.json")
    assert (worst["verdict"], worst["platform"]) == ("close", "h200")
    assert files.read_json(into / "models/Tiny/source.json") == SOURCE
    account = files.read_json(into / "allocations/h200.json")["allocations"]
    assert [one["id"] for one in account] == ["a1", "a2"]
    assert [one["sm_mhz"] for one in account] == [[1680, 1980], [1455, 1755]]
    assert account[1]["cards"] == [codec.encode(codec.build(Gpu, **CARD))]
    assert account[1]["commits"] == [COMMIT] and account[1]["beside"] == []
    assert (account[0]["began"], account[0]["ended"]) == (
        "2026-11-28T09:01:00+00:00",
        "2026-11-28T09:02:12+00:00",
    )
    assert worst["parts"]["inference"]["rounds"] == {"relative_l2": 3}  # the first of the second allocation
    assert worst["reasons"] == ["inference: relative L2 2e-06 > 1e-06 (round 3)"]
    assert [one["judged"] for one in account] == [["Tiny/jax"], ["Tiny/mlx", "Tiny/pytorch-eager"]]
    assert account[1]["rounds"] == [
        {"cell": "Tiny/mlx", "there": 1, "here": 1},
        {"cell": "Tiny/pytorch-eager", "there": 1, "here": 3},
    ]


ALL = {"pytorch-eager": (1, "pass", 1e-6)}


@pytest.mark.parametrize(
    ("rows", "changes", "words"),
    [
        (ALL, {"card": CARD | {"driver": "575.1"}}, "card and driver are"),
        (ALL, {"commit": "637202b-dirty"}, "commit 637202b-dirty: allocations are put together by commit"),
        (ALL, {"commit": "0000000"}, "git knows not both"),
        ({"mlx": (1, "pass", 1e-6)}, {}, "allocation a2 measured no pytorch-eager"),
    ],
)
def test_what_is_not_one_measurement_is_refused(tmp_path, measured, rows, changes, words):
    archives = [measured("a1", ALL, 9), measured("a2", rows, 15, **changes)]
    with pytest.raises(allocations.AllocationError, match=re.escape(words)):
        allocations.merge(archives, tmp_path / "results", "h200", "pytorch-eager")
    assert not (tmp_path / "results").exists()


def test_another_card_of_the_same_kind_is_the_same_platform(tmp_path, measured):
    archives = [measured("a1", ALL, 9), measured("a2", ALL, 15, card=CARD | {"uuid": "GPU-2"})]
    allocations.merge(archives, tmp_path / "results", "h200", "pytorch-eager")
    uuids = [
        one["cards"][0]["uuid"]
        for one in files.read_json(tmp_path / "results/allocations/h200.json")["allocations"]
    ]
    assert uuids == ["GPU-1", "GPU-2"]


@pytest.mark.parametrize(
    ("changed", "decides"),
    [
        ("workflow/scripts/benchmark.py", True),
        ("workflow/scripts/arena/measuring/protocol.py", True),
        ("workflow/scripts/frameworks/base.py", True),
        ("workflow/scripts/frameworks/pytorch/adapter.py", True),
        ("workflow/scripts/frameworks/pytorch/models/llama.py", True),
        ("workflow/scripts/frameworks/jax/adapter.py", False),
        ("workflow/engines/arena-burn/src/lib.rs", True),
        ("workflow/engines/arena-burn-wgpu/src/main.rs", True),
        ("workflow/engines/arena-burn-cuda/src/main.rs", False),
        ("workflow/engines/arena-candle/src/main.rs", False),
        ("workflow/engines/Cargo.lock", True),
    ],
)
def test_what_a_framework_has_for_itself_decides_only_its_own_cells(changed, decides):
    found = sameness.decisive([changed], {"pytorch", "burn-wgpu"})
    assert found == ([changed] if decides else [])


def test_no_engine_in_common_leaves_the_engines_code_free():
    paths = ["workflow/engines/Cargo.lock", "workflow/engines/arena/src/run.rs"]
    assert sameness.decisive(paths, {"pytorch"}) == []


def test_code_that_measures_must_not_have_changed(tmp_path, measured, monkeypatch):
    monkeypatch.setattr(sameness, "_changed", lambda old, new: [f"{old}..{new}/benchmark.py"])
    archives = [measured("a1", ALL, 9), measured("a2", ALL, 15, commit="ffda948")]
    with pytest.raises(allocations.AllocationError, match=re.escape("637202b..ffda948/benchmark.py")):
        allocations.merge(archives, tmp_path / "results", "h200", "pytorch-eager")


def test_the_table_is_made_from_every_round_and_nothing_is_measured(tmp_path, measured):
    rows = {"pytorch-eager": (1, "pass", 1e-6)}
    archives = [measured("a1", rows | {"jax": (1, "pass", 1e-6)}, 9), measured("a2", rows, 15)]
    lacking = [
        allocations._missing("*/mlx=time was up"),
        allocations._missing("Whisper-tiny/*=no weights there"),
    ]
    allocations.merge(archives, tmp_path / "results", "h200", "pytorch-eager", lacking)
    config = {
        "run": {"models": ["ResNet-50", "Whisper-tiny"], "rows": ["pytorch-eager", "jax", "mlx"]},
        "platforms": [{"name": "h200", "accelerator": "cuda"}],
    }
    renamed(tmp_path / "results", "Tiny", "ResNet-50")
    files.write_json(tmp_path / "config.json", config)
    command = [RUNNER / "python", "-m", "snakemake", "--snakefile", REPOSITORY / "Snakefile", "--dry-run"]
    command += ["--workflow-profile", REPOSITORY / "profiles/host", "--directory", tmp_path, "--cores", "1"]
    command += ["--configfile", tmp_path / "config.json", "--allowed-rules", "platform", "provenance"]
    command += ["--printshellcmds", "--", "results/platforms/h200.csv", "results/platforms/h200.json"]
    done = subprocess.run(list(map(str, command)), env=environ(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = done.stdout + done.stderr
    assert "collect_platform.py" in printed and "provenance.py" in printed and "benchmark.py" not in printed
    table = next(line for line in printed.splitlines() if "collect_platform.py" in line)
    folder = "results/benchmarks/h200/ResNet-50"
    found = re.findall(rf"{folder}/(\S+/round-\d)\.json", table)
    assert sorted(found) == ["jax/round-1", "pytorch-eager/round-1", "pytorch-eager/round-2"]
    assert "--allocations results/allocations/h200.json" in printed
    told = json.loads(shlex.split(table[table.index("--unmeasured") :])[1])
    assert [(each["model"], each["row"], each["why"]) for each in told] == [
        ("ResNet-50", "mlx", "time was up"),
        ("Whisper-tiny", "pytorch-eager", "no weights there"),
        ("Whisper-tiny", "jax", "no weights there"),
        ("Whisper-tiny", "mlx", "time was up"),
    ]
    assert "models/Whisper-tiny" not in table


def renamed(results, old, new):
    """Give the records of one model another's name."""
    for folder in results.glob(f"**/{old}"):
        folder.rename(folder.with_name(new))
    account = results / "allocations/h200.json"
    account.write_text(account.read_text().replace(f"{old}/", f"{new}/"))


def test_a_platform_that_is_there_is_not_overwritten(tmp_path, measured):
    into = tmp_path / "results"
    archive = measured("a1", ALL, 9)
    allocations.merge([archive], into, "h200", "pytorch-eager")
    with pytest.raises(allocations.AllocationError, match="exists; merge into a directory without"):
        allocations.merge([archive], into, "h200", "pytorch-eager")


def test_a_round_without_verdict_is_not_packed(tmp_path, measured):
    measured("a1", ALL, 9)
    (tmp_path / "a1/results/validation/gpu/Tiny/pytorch-eager.json").unlink()
    with pytest.raises(
        allocations.AllocationError, match=r"has no verdict; make results/validation/gpu/Tiny/"
    ):
        allocations.pack(tmp_path / "a1/results", "gpu", "a1", tmp_path / "again.tar.gz")


def test_extra_rounds_are_packed_as_they_were_decided(tmp_path, measured):
    """Of mlx three rounds count, by a verdict of their own; jax has a third one from before it became calm."""
    measured("a1", ALL | {"mlx": (3, "close", 1e-6), "jax": (3, "pass", 1e-6)}, 9)
    results = tmp_path / "a1/results"
    whole = verdict("Tiny", "mlx", "pass", 2e-6)
    files.write_json(results / "validation/gpu/Tiny/mlx/rounds-3.json", whole)
    rounds = {"Tiny/pytorch-eager": 1, "Tiny/mlx": 3, "Tiny/jax": 2}
    cells = {
        name: decision.Decided(rounds=count, why="", half_widths={}, started=[], judged=True)
        for name, count in rounds.items()
    }
    decided = decision.Decision(platform="gpu", planned=2, max_rounds=3, target=0.02, cells=cells)
    codec.write(results / "adaptive/gpu.json", decided)
    allocations.pack(results, "gpu", "a1", tmp_path / "a1.tar.gz")
    into = tmp_path / "results"
    assert allocations.merge([tmp_path / "a1.tar.gz"], into, "h200", "pytorch-eager").startswith(
        f"{into}: 6 rounds"
    )
    assert files.read_json(into / "validation/h200/Tiny/mlx.json") == whole | {"platform": "h200"}
    assert not (into / "benchmarks/h200/Tiny/jax/round-3.json").exists()


def test_a_foreign_archive_is_named(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps(copy.deepcopy(CARD)))
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "x.json", "x.json")
    with pytest.raises(allocations.AllocationError, match=r"x\.json is not expected"):
        allocations.merge([tmp_path / "x.tar.gz"], tmp_path / "results", "h200", "pytorch-eager")
