"""The configuration's schema, and the page that explains every key of it."""

import re

import pytest
import yaml
from jsonschema import Draft202012Validator

import document_config
from arena.configuration import loader
from runner import REPOSITORY

SCHEMA = loader.read_yaml(REPOSITORY / loader.SCHEMA)
README = (REPOSITORY / "config/README.md").read_text(encoding="utf-8")
KEYS = dict(document_config.keys(SCHEMA, SCHEMA))

# Keys without a default that may be left out.
OPTIONAL = {"step", "start", "values", "decode", "quality", "cluster", "partition", "constraint", "gres"}
OPTIONAL |= {"env", "distribution", "libraries", "interface"}  # of an accelerator: what differs there


def test_schema_is_valid_and_strict():
    Draft202012Validator.check_schema(SCHEMA)
    free = {key for key, schema in KEYS.items() if schema.get("type") == "object" and _open(schema)}
    assert {key.rpartition(".")[2] for key in free} == {"architecture", "options"}


def _open(schema):
    return schema.get("additionalProperties", True) is True


@pytest.mark.parametrize("key", KEYS)
def test_every_key_explains_itself(key):
    schema = KEYS[key]
    assert schema["description"].endswith(".")
    # Overlays give parts of a mapping, so an example need not be whole.
    parts = {
        **{name: value for name, value in schema.items() if name != "required"},
        "$defs": SCHEMA["$defs"],
    }
    for example in schema["examples"]:
        assert [
            e.message for e in Draft202012Validator(parts).iter_errors(example) if e.validator != "required"
        ] == []
    if "default" in schema:
        assert list(Draft202012Validator(parts).iter_errors(schema["default"])) == []
    else:
        assert schema["needed"] or key.rpartition(".")[2] in OPTIONAL


def test_page_has_every_key():
    for key in KEYS:
        assert f"`{key}`" in README


def test_examples_of_the_page_are_valid():
    blocks = re.findall(r"^```yaml\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) > 8
    for block in blocks:
        loader.resolve(yaml.safe_load(block), REPOSITORY)


def test_messages_on_the_page_are_the_real_ones():
    models = {"models": ["SmolVLA", "resnet50"]}
    with pytest.raises(loader.ConfigError) as caught:
        loader.resolve({"protocol": {"rounds": -1, "sede": 7}, "run": models}, REPOSITORY)
    assert f"```\n{caught.value}\n```" in README


def test_walked_through_entries_are_the_shipped_ones():
    blocks = [
        yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", README, flags=re.M | re.S)
    ]
    catalogues = loader.catalogues(REPOSITORY)
    for kind, name in (("frameworks", "onnxruntime"), ("models", "ResNet-50")):
        assert {kind: {name: catalogues[kind][name]}} in blocks
