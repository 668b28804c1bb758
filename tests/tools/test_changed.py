"""What changed, in words: versions against those recorded, and which jobs follow from which change."""

import json

import pytest

import changed
import plan
import records

ENV = """channels: [nodefaults]
dependencies:
  - python=3.13
  - pip
  - pip:
      - jax==0.10.3
      # locked: everything these need
      - jaxlib==0.10.3
      - ml_dtypes==0.5.4 ; sys_platform == 'linux'
      - numpy==2.4.6
"""
RECORDED = {"jax": "0.10.2", "jaxlib": "0.10.2", "ml-dtypes": "0.5.4", "numpy": "2.4.6"}
ENVIRONMENT = "Software environment definition has changed since last execution"
FOLLOWS = "Input files updated by another job: a"
MODELS = ["ResNet-50", "SmolVLA"]


def job(rule, reason, **wildcards):
    return {"rule": rule, "wildcards": wildcards, "reason": reason, "works": True}


def cell(model, row="jax"):
    return {"platform": "local", "model": model, "row": row}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A results directory with JAX's cells, measured with 0.10.2, and an environment that pins 0.10.3."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/jax.yaml").write_text(ENV)
    for model in MODELS:
        folder = tmp_path / f"results/benchmarks/local/{model}/jax"
        folder.mkdir(parents=True)
        (folder / "round-1.json").write_text(json.dumps(records.round_record("jax", packages=RECORDED)))
    return tmp_path / "results"


def upgraded(*more):
    """A plan in which JAX's environment changed, and whatever else is given."""
    jobs = [job("benchmark", ENVIRONMENT, **cell(model)) for model in MODELS]
    jobs += [job("benchmark_repeat", ENVIRONMENT, n="2", **cell(model)) for model in MODELS]
    jobs += [*more, *(job("validate", FOLLOWS, **cell(model)) for model in MODELS)]
    jobs += [job("platform", FOLLOWS, platform="local"), job("report", FOLLOWS)]
    past = [each | {"env": "envs/jax.yaml", "seconds": 30.0} for each in jobs]
    return plan.Plan(jobs, past, [], [])


def test_an_upgrade_names_the_versions_and_what_they_cost(results):
    said = changed.rendered(upgraded(), {}, results)
    assert said == (
        "jax 0.10.2 → 0.10.3, jaxlib 0.10.2 → 0.10.3: 4 measurements, 2 validations, report; about 4 min"
    )


def test_each_change_has_its_own_line(results):
    other = [
        job("validate", "Params have changed since last execution: tolerances", **cell("SmolVLA", "eager"))
    ]
    lines = changed.rendered(upgraded(*other), {}, results).splitlines()
    assert lines[0].startswith("jax 0.10.2 → 0.10.3") and "4 measurements, 2 validations, report" in lines[0]
    assert lines[1:] == ["settings changed: 1 validation, report; about 2 min"]


def test_followers_go_with_their_model(results):
    jobs = [job("weights", "Params have changed since last execution: seed", model="SmolVLA")]
    jobs += [job("benchmark", FOLLOWS, **cell("SmolVLA")), job("benchmark", ENVIRONMENT, **cell("ResNet-50"))]
    past = [each | {"env": "envs/jax.yaml", "seconds": 1.0} for each in jobs]
    found = changed.causes(plan.Plan(jobs, past, [], []))
    assert {why: [each["wildcards"]["model"] for each in jobs] for why, jobs in found.items()} == {
        "settings changed": ["SmolVLA", "SmolVLA"],
        "environment envs/jax.yaml changed": ["ResNet-50"],
    }


def test_a_comment_in_an_environment_moves_nothing(results):
    for path in results.glob("benchmarks/*/*/*/*.json"):
        moved = RECORDED | {"jax": "0.10.3", "jaxlib": "0.10.3"}
        path.write_text(json.dumps(records.round_record("jax", packages=moved)))
    said = changed.rendered(upgraded(), {}, results)
    assert said.startswith("envs/jax.yaml was written anew, with the same versions of what was measured: 4 ")


def test_a_package_that_is_gone_is_named():
    assert changed.moves({"jax": "1", "old": "2"}, {"jax": "1"}) == ["old 2 → not pinned"]


def test_nothing_to_do(results):
    assert changed.rendered(plan.Plan([], [], [], []), {}, results).startswith("Nothing changed")


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["--cores", "2", "results/report.md"], "."),
        (["--directory", "/data/mine", "results/report.md"], "/data/mine"),
        (["--configfile", "a.yaml", "b.yaml", "-d", "/data/mine", "--cores", "2"], "/data/mine"),
        (["--directory=/data/mine"], "/data/mine"),
    ],
)
def test_results_are_those_of_snakemakes_directory(arguments, folder):
    assert str(plan.directory(arguments)) == folder


def test_the_versions_that_are_read_are_those_of_that_directory(results, monkeypatch, capsys):
    monkeypatch.chdir("/")
    monkeypatch.setattr(plan, "dry_run", lambda arguments: upgraded())
    monkeypatch.setattr(changed, "pins", lambda env: {"jax": "0.10.3"})
    monkeypatch.setattr("sys.argv", ["changed.py", "--", "--directory", str(results.parent)])
    changed.main()
    assert capsys.readouterr().out.startswith("jax 0.10.2 → 0.10.3, ")
