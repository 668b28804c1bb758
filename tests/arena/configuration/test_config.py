"""The configuration: what is filled, what is laid over what, and what a catalogue may hold."""

import json
import shutil

import pytest
import yaml

from arena.configuration import loader, validator
from catalogues import FRAMEWORK
from runner import REPOSITORY

SCHEMA = loader.read_yaml(REPOSITORY / loader.SCHEMA)


@pytest.fixture
def project(tmp_path):
    """A project whose catalogues can be changed; everything but config/ is the real one's."""
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    for name in ("envs", "report", "workflow"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    return tmp_path


def test_shipped_configs_are_valid():
    for name in ("config.yaml", "full.yaml", "test.yaml"):
        user = yaml.safe_load((REPOSITORY / "config" / name).read_text(encoding="utf-8"))
        resolved = loader.resolve(user, REPOSITORY)
        assert json.loads(json.dumps(resolved)) == resolved


def test_config_yaml_shows_the_defaults():
    shown = loader.read_yaml(REPOSITORY / "config/config.yaml")
    assert loader.resolve(shown, REPOSITORY) == loader.resolve({}, REPOSITORY)
    defaults = validator.with_defaults({}, SCHEMA, SCHEMA)
    assert {key: value for key, value in defaults.items() if key not in ("frameworks", "models")} == shown


def test_defaults_fill_what_is_left_out():
    user = {"protocol": {"warmup": {"window": 9}}, "platforms": [{"name": "gpu", "accelerator": "cuda"}]}
    resolved = loader.resolve(user, REPOSITORY)
    assert resolved["protocol"]["warmup"] == {
        "min_iterations": 3,
        "min_seconds": 0.5,
        "max_seconds": 1,
        "window": 9,
        "tolerance": 0.05,
    }
    assert resolved["platforms"] == [{"name": "gpu", "label": "auto", "accelerator": "cuda"}]
    assert resolved["frameworks"]["jax"]["unsupported"] == {}
    assert user == {
        "protocol": {"warmup": {"window": 9}},
        "platforms": [{"name": "gpu", "accelerator": "cuda"}],
    }


def test_what_was_judged_before_is_not_judged_again(tmp_path, monkeypatch):
    """Only the very same configuration, by the same schema; a refused one is refused every time."""
    remembered = tmp_path / "kept"
    judged = []
    whole = validator._problems
    monkeypatch.setattr(validator, "_problems", lambda *given: judged.append(1) or whole(*given))
    user = {"protocol": {"rounds": 3}}
    for expected in (1, 1):
        assert loader.resolve(user, REPOSITORY, remembered)["protocol"]["rounds"] == 3
        assert len(judged) == expected
    for number in (2, 3):
        with pytest.raises(loader.ConfigError, match="rounds"):
            loader.resolve({"protocol": {"rounds": 3.0}}, REPOSITORY, remembered)
        assert len(judged) == number
    loader.resolve(user, REPOSITORY, remembered)
    assert len(judged) == 3
    loader.resolve(user, REPOSITORY, tmp_path / "kept" / "no-folder")  # cannot be written: no harm
    assert len(judged) == 4


def test_each_lane_keeps_its_own_defaults():
    gate = loader.resolve({"gate": {"int8": {"relative_l2": 0.2}}}, REPOSITORY)["gate"]
    default = loader.resolve({}, REPOSITORY)["gate"]
    assert gate["int8"] == default["int8"] | {"relative_l2": 0.2}
    assert default["int8"]["relative_l2"] != 0.2
    assert gate["float32"] == default["float32"]
    strict = default["float32"]
    for lane, tolerances in default.items():
        assert lane == "float32" or tolerances["relative_l2"] > 10 * strict["relative_l2"], lane
        assert tolerances["gradient_cosine"] <= strict["gradient_cosine"], lane
    assert set(default) == set(SCHEMA["$defs"]["lane"]["enum"])


def test_full_config_runs_every_row_in_five_rounds():
    full = loader.resolve(loader.read_yaml(REPOSITORY / "config/full.yaml"), REPOSITORY)
    rows = [row for entry in full["frameworks"].values() for row in entry["rows"]]
    assert sorted(full["run"]["rows"]) == sorted(rows)
    assert full["run"]["rows"][0] == full["run"]["baseline"]
    assert full["run"]["models"] == list(loader.resolve({}, REPOSITORY)["run"]["models"])
    assert full["protocol"]["rounds"] == 5


def test_reduced_precision_is_compared_with_the_row_of_the_same_options():
    def row(lane, **options):
        return {"lane": lane, "options": options}

    frameworks = {
        "a": {
            "rows": {
                "eager": row("float32", compile=False),
                "compiled": row("float32", compile=True),
                "compiled-half": row("float16", compile=True, mode="x"),
                "half": row("float16"),
            }
        },
        "b": {"rows": {"eight": row("int8")}},
    }
    expected = {"eager": "eager", "compiled-half": "compiled", "half": "eager", "eight": None}
    assert {name: loader.float32_row(frameworks, name) for name in expected} == expected


def test_mappings_merge_and_lists_are_replaced():
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    over = {"a": {"c": [3]}, "d": {"e": 4}}
    assert loader.merge(base, over) == {"a": {"b": 1, "c": [3]}, "d": {"e": 4}}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 3}


def test_miniature_runs_every_model_in_every_framework():
    """But those of which its file says why not."""
    overlay = loader.read_yaml(REPOSITORY / "config/test.yaml")
    full = loader.resolve({}, REPOSITORY)
    small = loader.resolve(overlay, REPOSITORY)
    left_out = set(overlay["run"]["left_out"])
    apart = {name for name, entry in full["frameworks"].items() if left_out & {*entry["rows"]}}
    rows = {row for name, entry in full["frameworks"].items() if name not in apart for row in entry["rows"]}
    assert small["run"]["models"] == full["run"]["models"]
    assert set(full["run"]["rows"]) <= set(small["run"]["rows"]) <= rows
    families = {
        name for name, entry in full["frameworks"].items() if {*entry["rows"]} & {*small["run"]["rows"]}
    }
    assert families == set(full["frameworks"]) - apart


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("models/new.yaml", "models:\n  SmolVLA: {}\n", ("new.yaml", "models.SmolVLA", "SmolVLA.yaml")),
        ("models/new.yaml", "models:\n  X: {}\nprotocol: {}\n", ("new.yaml", "one top-level key", "models")),
        (
            "models/new.yaml",
            "models:\n  X: {seed: 1, seed: 2}\n",
            ("new.yaml", "seed", "more than once", "line 2"),
        ),
        ("models/new.yaml", "models: [\n", ("new.yaml", "not readable as YAML", "line 2")),
        ("frameworks/jax.yaml", "- jax\n", ("frameworks/jax.yaml", '["jax"]', "a mapping")),
        (
            "frameworks/new.yaml",
            "frameworks:\n  jax: {}\n",
            ("new.yaml", "frameworks.jax is defined in", "jax.yaml"),
        ),
    ],
)
def test_broken_catalogue_is_refused(project, file, text, words):
    (project / "config" / file).write_text(text)
    with pytest.raises(loader.ConfigError) as caught:
        loader.resolve({}, project)
    for word in words:
        assert word in str(caught.value)


def test_a_new_model_and_framework_need_no_other_change(project):
    (project / "config/models/new.yaml").write_text(
        (project / "config/models/ResNet-50.yaml").read_text().replace("ResNet-50:", "ResNet-50b:")
    )
    (project / "config/frameworks/x.yaml").write_text(
        f"frameworks:\n  x:{FRAMEWORK}    rows: {{x: {{label: X}}}}\n"
    )
    run = {"models": ["ResNet-50b"], "rows": ["x"], "baseline": "x"}
    resolved = loader.resolve({"run": run}, project)
    assert resolved["run"] == run | {
        "left_out": SCHEMA["properties"]["run"]["properties"]["left_out"]["default"]
    }
    row = {"label": "X", "lane": "float32", "rounding": None, "export": None, "elsewhere": None}
    row |= {"options": {}, "environment": {}, "accelerators": {}}
    assert resolved["frameworks"]["x"]["rows"] == {"x": row}
