"""The whole workflow with weights from the tests' own hub, and what a later run keeps of what was decided."""

import json
import subprocess
from dataclasses import replace as changed

import numpy as np
import pytest
import yaml
from safetensors.numpy import save

import miniatures
from arena import files
from checkout import END_TO_END, Checkout, copy, snapshot
from checkpoint_files import published, write_bfloat16
from hub_server import Hub, Repository
from runner import environ
from seed_weights import generate

pytestmark = END_TO_END

REVISION = "0123456789abcdef0123456789abcdef01234567"
MODELS = ("SmolLM2-135M", "ResNet-50", "Whisper-tiny")
ROWS = ("pytorch-eager", "jax")


def architecture(name):
    """The miniature's, but a ResNet of full width: timm's config.json has no key for another."""
    small = miniatures.model(name)["architecture"]
    return small | {"width": 64, "layers": [1, 1, 1, 1]} if name == "ResNet-50" else small


def config_json(name):
    """The published config.json with the miniature's sizes, where the published one would have them."""
    small = architecture(name)
    if name == "ResNet-50":
        return published(name, num_classes=small["num_classes"], model_args={"layers": small["layers"]})
    return published(
        name,
        **{key: small[key] for key in published(name).keys() & small.keys()},
        head_dim=small.get("head_dim"),
    )


def checkpoint(name, tmp_path, seed=4321):
    """Files of a repository: weights of another seed, so that they cannot be taken for the seeded ones."""
    model = miniatures.model(name) | {"architecture": architecture(name), "seed": seed}
    weights = generate(model)
    file = tmp_path / "model.safetensors"
    if name == "SmolLM2-135M":
        write_bfloat16(file, weights)  # as it is published
    else:
        if name == "ResNet-50":  # as timm's: a counter beside every pair of statistics
            norms = [tensor for tensor in weights if tensor.endswith("running_mean")]
            counter = np.array(590_000, np.int64)
            weights |= {norm.replace("running_mean", "num_batches_tracked"): counter for norm in norms}
        file.write_bytes(save(weights))
    return {"config.json": json.dumps(config_json(name)).encode(), "model.safetensors": file.read_bytes()}


def overlay(models):
    """What a user writes to take the checkpoints of a hub: repository, commit and sums."""
    return {"models": {name: {"weights": "auto", "source": entry} for name, entry in models.items()}}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with Hub() as server:
        for name in MODELS:
            held = checkpoint(name, tmp_path_factory.mktemp("made"))
            server.repositories[f"arena/{name}"] = Repository(REVISION, held)
        yield server


@pytest.fixture(scope="module")
def checkout(hub, tmp_path_factory):
    """The miniature with two rows and the hub's weights, run once."""
    folder = tmp_path_factory.mktemp("hub")
    root, directory, extra = folder / "root", folder / "directory", folder / "hub.yaml"
    copy(root)
    directory.mkdir()
    entries = {}
    for name in MODELS:
        held = hub.repositories[f"arena/{name}"].files
        listed = []
        for file, data in held.items():
            path = folder / "summed"
            path.write_bytes(data)
            listed.append({"name": file, "sha256": files.sha256(path)})
        entries[name] = {"repository": f"arena/{name}", "revision": REVISION, "files": listed, "loss": None}
    entries["ResNet-50"]["loss"] = 1000.0  # so that the report's check is seen to fail
    settings = overlay(entries) | {
        "run": {"models": list(MODELS), "rows": list(ROWS)},
        "protocol": {"rounds": 1, "tasks": ["inference"]},
    }
    extra.write_text(yaml.safe_dump(settings))
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "home"), "NO_PROXY": "*"}
    whole = Checkout(root, directory, (root / "config/test.yaml", extra), environment=environment)
    whole.build_environments()
    done = whole.run("--", "results/report.md")
    assert done.returncode == 0, done.stdout
    assert "Weights of ResNet-50: auto: hub arena/ResNet-50" in done.stdout
    return whole


def offline(checkout, folder):
    """The same checkout on a machine without a hub, and without the client's cache."""
    gone = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(folder / "no-home")}
    return changed(checkout, environment=checkout.environment | gone)


def test_every_row_of_the_table_and_the_report_names_the_hub_s_weights(checkout):
    rows = checkout.table()
    assert [row["status"] for row in rows] == ["pass"] * len(MODELS) * len(ROWS)
    for row in rows:
        assert row["weights"] == f"hub arena/{row['model']}@{REVISION}"
    report = checkout.report()
    for name in MODELS:
        assert f"Weights: hub arena/{name}@{REVISION}." in report
    assert "**Check of the hub's weights failed**" in report


def test_the_source_says_what_came_from_where(checkout):
    for name, kind in zip(MODELS, ("bfloat16", "float32", "float32"), strict=True):
        source = files.read_json(checkout.directory / f"results/models/{name}/source.json")
        assert (source["kind"], source["asked"], list(source["converted"]["from"])) == ("hub", "auto", [kind])
        assert source["decided"].endswith("+00:00")
        config = files.read_json(checkout.directory / f"results/models/{name}/config.json")
        assert config == architecture(name) | {"definition": config["definition"]}


def test_a_later_run_keeps_what_was_decided(checkout, hub, tmp_path):
    alone, asked = offline(checkout, tmp_path), len(hub.requests)
    assert alone.plan("--", "results/report.md") == set()
    # New versions of the programs: the weights are made again from the files, nothing is decided anew.
    for script in ("download_weights.py", "arena/weights/hub.py", "arena/files.py"):
        with alone.edited(f"workflow/scripts/{script}", lambda text: text + "# a comment\n"):
            assert not {job for job in alone.plan("--", "results/report.md") if job.startswith("download")}
    with alone.edited("workflow/scripts/convert_checkpoint.py", lambda text: text + "# a comment\n"):
        assert {f"weights {name}" for name in MODELS} <= alone.plan("--", "results/report.md")
        before = snapshot(checkout.directory / "results/models/ResNet-50/checkpoint")
        done = alone.run("--", "results/models/ResNet-50/source.json")
        assert done.returncode == 0, done.stdout
    assert snapshot(checkout.directory / "results/models/ResNet-50/checkpoint") == before
    source = files.read_json(checkout.directory / "results/models/ResNet-50/source.json")
    assert source["kind"] == "hub"
    assert len(hub.requests) == asked


def test_a_user_may_ask_again(checkout, hub, tmp_path):
    """Last, for it changes what was decided: first without the hub, then with it."""
    record = checkout.directory / "results/models/Whisper-tiny/source.json"
    target = ["--forcerun", "download", "--", "results/models/Whisper-tiny/source.json"]
    done = offline(checkout, tmp_path).run(*target)
    assert done.returncode == 0, done.stdout
    assert "from the seed, for want of a hub" in done.stdout
    assert files.read_json(record)["kind"] == "seeded"
    again = checkout.run("--", "results/models/Whisper-tiny/source.json")  # no longer asked: it stays
    assert again.returncode == 0, again.stdout
    assert files.read_json(record)["kind"] == "seeded"
    assert "Weights of Whisper-tiny: seeded (seed 5, generation 2, for want of a hub)" in again.stdout
    assert checkout.run(*target).returncode == 0
    assert files.read_json(record)["kind"] == "hub"


def test_a_checkpoint_that_cannot_be_had_costs_its_own_cells(checkout, hub, tmp_path):
    """One that the hub does not have, and another model beside it; then it has it, and it is asked again."""
    held = hub.repositories["arena/ResNet-50"]
    source = files.read_json(checkout.directory / "results/models/ResNet-50/source.json")
    listed = [{"name": name, "sha256": file["sha256"]} for name, file in source["files"].items()]
    entry = {"repository": "arena/late", "revision": REVISION, "files": listed, "loss": None}
    extra = tmp_path / "late.yaml"
    settings = {
        "run": {"models": ["ResNet-50", "SmolVLA"], "rows": ["pytorch-eager", "onnxruntime"]},
        "protocol": {"rounds": 1, "tasks": ["inference"]},
        "models": {"ResNet-50": {"weights": "hub", "source": entry}},
    }
    extra.write_text(yaml.safe_dump(settings))
    directory = tmp_path / "late"
    directory.mkdir()
    late = changed(checkout, configs=(checkout.configs[0], extra), directory=directory)
    late.build_environments()
    done = late.run()
    assert done.returncode == 1
    assert "2 cell(s) failed; results/report.md says why" in done.stdout
    rows = {(row["model"], row["row"]): row for row in late.table()}
    for row in ("pytorch-eager", "onnxruntime"):
        assert rows["SmolVLA", row]["status"] == "pass"
        failed = rows["ResNet-50", row]
        assert (failed["status"], failed["reason_code"]) == ("failed", "no-weights")
        assert "has no such repository" in failed["reason_detail"]
        assert failed["weights"] == "none (no-weights)"
    assert "no-weights" in late.report() and (directory / "results/report.html").is_file()
    assert "Weights of ResNet-50: none (no-weights): " in late.run().stdout

    hub.repositories["arena/late"] = held
    again = subprocess.run(
        [directory / "results/retry"], env=environ(**late.environment), text=True, capture_output=True
    )
    assert again.returncode == 0, again.stderr
    assert {row["status"] for row in late.table()} == {"pass"}
    assert late.plan() == set()


def test_strict_without_a_hub_fails_with_the_reason_and_recovers(checkout, hub, tmp_path):
    strict = tmp_path / "strict.yaml"
    strict.write_text(yaml.safe_dump({"models": {name: {"weights": "hub"} for name in MODELS}}))
    quick = ["--set-resources", "download:attempts=2", "download:backoff_s=0", "--"]
    target = "results/models/ResNet-50/source.json"
    configs = (*checkout.configs, strict)
    alone = changed(offline(checkout, tmp_path), configs=configs, directory=tmp_path / "elsewhere")
    alone.directory.mkdir()
    done = alone.run(*quick, target)
    assert "http://127.0.0.1:9 does not answer" in done.stdout
    found = files.read_json(alone.directory / target)
    assert (found["kind"], found["reason"]["code"]) == ("failed", "no-weights")
    home = {"HF_HOME": str(tmp_path / "new-home")}
    back = changed(alone, environment=checkout.environment | home)
    done = back.run("--forcerun", "download", "--", target)
    assert done.returncode == 0, done.stdout
    found = files.read_json(back.directory / target)
    assert (found["kind"], found["asked"]) == ("hub", "hub")
    assert "model.safetensors: 100 % of" in done.stdout
