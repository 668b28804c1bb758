"""Checkpoints on disk: the architecture that they name, their tensors as float32, and what is refused."""

import importlib
import json
import math

import numpy as np
import pytest
from safetensors.numpy import save, save_file

import convert_checkpoint
import miniatures
from arena import files, tensors
from arena.weights import checkpoint, generation, source
from checkpoint_files import FOLDER, published, write_bfloat16

PINNED = ("SmolLM2-135M", "ResNet-50", "Whisper-tiny")
# Size of the pinned model.safetensors as the hub lists it, the type of its tensors and its metadata.
LISTED = {
    "SmolLM2-135M": (269_060_552, "BF16", {"format": "pt"}),
    "Whisper-tiny": (151_061_672, "F32", {"format": "pt"}),
    "ResNet-50": (102_469_840, "F32", None),
}


def reader(model):
    return importlib.import_module(f"models.checkpoint.{model['definition']}").architecture


@pytest.mark.parametrize("name", PINNED)
def test_the_architecture_of_the_published_config_is_the_seeded_one(name):
    model = miniatures.full(name)
    pins = {file["name"]: file["sha256"] for file in model["source"]["files"]}
    assert files.sha256(FOLDER / f"{name}.json") == pins["config.json"]
    assert reader(model)(published(name)) == model["architecture"]


@pytest.mark.parametrize("name", PINNED)
def test_the_published_file_is_as_long_as_the_arena_s_tensors_make_it(name):
    """Names, shapes and types decide a safetensors file's length to the byte: the mapping is complete."""
    model = miniatures.full(name)
    size, kind, metadata = LISTED[name]
    specs = importlib.import_module(f"models.spec.{model['definition']}").tensors(model["architecture"])
    entries = {tensor: (kind, spec.shape) for tensor, spec in specs.items()}
    if name == "ResNet-50":
        counters = [tensor.replace("running_mean", "num_batches_tracked") for tensor in specs]
        entries |= {tensor: ("I64", ()) for tensor in counters if tensor.endswith("tracked")}
    assert file_size(entries, metadata) == size
    renamed = {checkpoint.renamed(tensor, model["source"]["tensors"]) for tensor in entries}
    assert renamed - {None} == specs.keys()


def file_size(entries, metadata):
    """Bytes of a safetensors file: 8 for the header's length, the header padded to 8, the tensors."""
    width = {"I64": 8, "F32": 4, "BF16": 2}
    header, offset = {"__metadata__": metadata} if metadata else {}, 0
    for name, (kind, shape) in sorted(entries.items(), key=lambda entry: (-width[entry[1][0]], entry[0])):
        end = offset + width[kind] * math.prod(shape)
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    length = len(json.dumps(header, separators=(",", ":")))
    return 8 + length + -length % 8 + offset


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("SmolLM2-135M", {"model_type": "mistral"}, ("model_type", "'mistral'", "'llama'")),
        ("SmolLM2-135M", {"hidden_act": "gelu"}, ("hidden_act", "'gelu'", "'silu'")),
        ("SmolLM2-135M", {"attention_bias": True}, ("attention_bias", "True", "False")),
        ("SmolLM2-135M", {"rope_scaling": {"type": "linear"}}, ("rope_scaling", "linear", "None")),
        ("SmolLM2-135M", {"rope_parameters": {"rope_type": "yarn"}}, ("rope_type", "'yarn'", "'default'")),
        ("SmolLM2-135M", {"tie_word_embeddings": False}, ("tie_word_embeddings", "False", "tied")),
        ("SmolLM2-135M", {"hidden_size": None}, ("hidden_size", "missing")),
        ("Whisper-tiny", {"activation_function": "relu"}, ("activation_function", "'relu'", "'gelu'")),
        ("Whisper-tiny", {"scale_embedding": True}, ("scale_embedding", "True", "False")),
        ("Whisper-tiny", {"model_type": "wav2vec2"}, ("model_type", "'wav2vec2'", "'whisper'")),
        ("ResNet-50", {"architecture": "resnet50d"}, ("architecture", "'resnet50d'", "'resnet50'")),
        ("ResNet-50", {"model_args": {"act_layer": "silu"}}, ("model_args.act_layer", "'silu'", "layers")),
    ],
)
def test_a_variant_that_is_not_implemented_is_refused_by_key_and_values(name, changes, words):
    with pytest.raises(ValueError, match=r"^config\.json: ") as refused:
        reader(miniatures.full(name))(published(name, **changes))
    for word in words:
        assert word in str(refused.value)


def test_values_that_a_config_leaves_out_are_its_class_s_defaults():
    config = published("SmolLM2-135M", rope_parameters={"rope_type": "default", "rope_theta": 5e5})
    for key in ("num_key_value_heads", "rms_norm_eps", "rope_theta", "max_position_embeddings"):
        del config[key]
    found = reader(miniatures.full("SmolLM2-135M"))(config)
    assert found["rope_theta"] == 5e5  # where transformers 5 writes it
    assert (found["num_key_value_heads"], found["head_dim"]) == (9, 64)
    assert (found["rms_norm_eps"], found["max_position_embeddings"]) == (1e-6, 2048)
    changed = published("ResNet-50", model_args={"layers": [3, 4, 23, 3], "in_chans": 1})
    found = reader(miniatures.full("ResNet-50"))(changed)
    assert (found["layers"], found["in_channels"]) == ([3, 4, 23, 3], 1)


# A checkpoint of the miniature's sizes, in the published form.

SMALL = "SmolLM2-135M"


def small_config():
    config = published(SMALL) | miniatures.model(SMALL)["architecture"]
    del config["head_dim"]  # as published; it follows from the rest
    return config


@pytest.fixture
def directory(tmp_path):
    place = tmp_path / "published"
    place.mkdir()
    (place / "config.json").write_text(json.dumps(small_config()))
    return place


def whole(directory, changes=()):
    save_file(miniatures.weights(SMALL) | dict(changes), directory / "model.safetensors")


def sharded(directory):
    """Two files and an index; returns the index."""
    weights, names = miniatures.weights(SMALL), ("model-00001-of-00002", "model-00002-of-00002")
    index = {"metadata": {"total_size": 0}, "weight_map": {}}
    for number, file in enumerate(f"{name}.safetensors" for name in names):
        part = dict(list(weights.items())[number::2])
        save_file(part, directory / file)
        index["weight_map"] |= dict.fromkeys(part, file)
    (directory / checkpoint.INDEX).write_text(json.dumps(index))
    return index


def run(directory, *arguments, **changes):
    """convert_checkpoint.py on ``directory``: its three files, or SystemExit with the message."""
    model = miniatures.model(SMALL) | {"weights": "path"} | changes
    written = {name: directory.parent / name for name in ("weights", "config", "source")}
    words = [f"--{name}={path}" for name, path in written.items()]
    convert_checkpoint.main(
        ["--model-config", json.dumps(model), "--checkpoint", str(directory), *words, *map(str, arguments)]
    )
    return (
        tensors.load(written["weights"]),
        files.read_json(written["config"]),
        files.read_json(written["source"]),
    )


def refusal(directory, *arguments, **changes):
    with pytest.raises(SystemExit) as stopped:
        run(directory, *arguments, **changes)
    assert not [name for name in ("weights", "config", "source") if (directory.parent / name).exists()]
    return stopped.value.code


def test_a_checkpoint_that_was_not_had_leaves_the_reason_in_its_place(tmp_path):
    reason = {"code": "no-weights", "detail": "the hub has no such repository"}
    record = tmp_path / "checkpoint.json"
    files.write_json(record, {"kind": "failed", "asked": "auto", "reason": reason, "first_seen": {}})
    weights, config, found = run(tmp_path / "checkpoint", "--record", record, weights="auto")
    assert (weights, config) == ({}, {"failed": reason})
    assert found == {"kind": "failed", "asked": "auto", "reason": reason}
    assert source.words(found) == "none (no-weights)"


def test_a_checkpoint_that_is_refused_leaves_the_reason_if_it_may(directory):
    said = "neither model.safetensors nor model.safetensors.index.json"
    assert said in refusal(directory)
    weights, config, found = run(directory, "--record-failure")
    assert weights == {} and config["failed"] == found["reason"]
    assert found["reason"]["code"] == "no-weights" and said in found["reason"]["detail"]


@pytest.mark.parametrize("form", [whole, sharded])
def test_a_local_checkpoint_becomes_weights_config_and_source(directory, form):
    form(directory)
    weights, config, found = run(directory)
    expected = miniatures.weights(SMALL)
    assert weights.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(weights[name], array)
    assert config == miniatures.config(SMALL)
    assert {name: entry["sha256"] for name, entry in found["files"].items()} == {
        path.name: files.sha256(path) for path in directory.iterdir()
    }
    assert (found["kind"], found["name"]) == ("path", "published")
    assert found["converted"] == {"from": {"float32": len(expected)}, "to": "float32"}
    assert found["parameters"] == sum(array.size for array in expected.values())
    assert source.words(found) == f"path published (sha256 {found['sha256'][:12]})"


def test_sizes_come_from_the_checkpoint_not_from_the_configuration(directory):
    whole(directory)
    architecture = miniatures.model(SMALL)["architecture"] | {"rope_theta": 1.0, "num_hidden_layers": 7}
    assert run(directory, architecture=architecture)[1] == miniatures.config(SMALL)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_types_become_float32_and_are_recorded(directory, kind):
    exact = {name: halved(array) for name, array in miniatures.weights(SMALL).items()}
    if kind == "bfloat16":
        write_bfloat16(directory / "model.safetensors", exact)
    else:
        save_file(
            {name: array.astype(kind) for name, array in exact.items()}, directory / "model.safetensors"
        )
    weights, _, found = run(directory)
    for name, array in exact.items():
        assert weights[name].dtype == np.float32
        np.testing.assert_array_equal(weights[name], array)
    assert found["converted"] == {"from": {kind: len(exact)}, "to": "float32"}


def halved(array):
    """Values that float16 and bfloat16 both hold exactly: 5 significant bits."""
    mantissa, exponent = np.frexp(array)
    return np.ldexp(np.round(mantissa * 32) / 32, np.maximum(exponent, -8)).astype(np.float32)


def test_names_are_mapped_and_left_out_as_configured(directory):
    weights = miniatures.weights(SMALL)
    theirs = {name.replace("model.", "decoder.", 1): array for name, array in weights.items()}
    extra = {"lm_head.weight": weights["model.embed_tokens.weight"], "step": np.array(5)}
    save_file(theirs | extra, directory / "model.safetensors")
    names = {r"decoder\.(.*)": r"model.\1", "lm_head.weight": None, "step": None}
    found, _, _ = run(directory, source={"tensors": names})
    np.testing.assert_array_equal(found["model.norm.weight"], weights["model.norm.weight"])
    assert found.keys() == weights.keys()
    message = refusal_of_names(directory)
    assert "decoder.embed_tokens.weight" in message
    assert "source.tensors" in message


def refusal_of_names(directory):
    for name in ("weights", "config", "source"):
        (directory.parent / name).unlink()
    return refusal(directory, source={"tensors": {"step": None}})


NORM = "model.norm.weight"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({NORM: np.ones(95, np.float32)}, (NORM, "[95]", "[96]")),
        ({NORM: np.full(96, np.nan, np.float32)}, (NORM, "not finite")),
        ({NORM: np.ones(96, np.int64)}, (NORM, "I64", "F32")),
        ({"model.extra": np.ones(1, np.float32)}, ("model.extra", "1 unexpected", "source.tensors")),
    ],
    ids=["shape", "not finite", "integers", "unexpected"],
)
def test_weights_that_do_not_fit_are_refused_by_name(directory, changes, words):
    whole(directory, changes)
    message = refusal(directory)
    for word in ("convert_checkpoint.py", *words):
        assert word in message


def test_a_checkpoint_of_another_architecture_is_refused(directory):
    whole(directory)
    (directory / "config.json").write_text(json.dumps(small_config() | {"mlp_bias": True}))
    message = refusal(directory)
    for word in (str(directory), "config.json: mlp_bias is True", "False"):
        assert word in message


def test_a_truncated_file_is_refused(directory):
    (directory / "model.safetensors").write_bytes(save(miniatures.weights(SMALL))[:-10])
    assert "not a whole safetensors file" in refusal(directory)


def test_what_is_no_checkpoint_is_refused(directory):
    assert "only safetensors are read" in refusal(directory)
    (directory / "pytorch_model.bin").write_bytes(b"a pickle")
    assert "only safetensors are read" in refusal(directory)
    (directory / "config.json").unlink()
    assert "no config.json" in refusal(directory)


def test_an_index_is_held_to_its_word(directory):
    index = sharded(directory)
    second = directory / "model-00002-of-00002.safetensors"

    def with_index(weight_map):
        (directory / checkpoint.INDEX).write_text(json.dumps(weight_map))
        return refusal(directory)

    moved = index["weight_map"] | {NORM: "model-00001-of-00002.safetensors"}
    if index["weight_map"][NORM] == moved[NORM]:
        moved[NORM] = second.name
    assert NORM in with_index({"weight_map": moved})
    assert "'../secret.safetensors'" in with_index({"weight_map": {NORM: "../secret.safetensors"}})
    assert "weight_map" in with_index({"files": []})
    (directory / checkpoint.INDEX).write_text(json.dumps(index))
    second.unlink()
    assert second.name in refusal(directory)


# With the record of a download.


def record(directory, **changes):
    held = {
        path.name: {"sha256": files.sha256(path), "bytes": 1, "pinned": True} for path in directory.iterdir()
    }
    found = {"kind": "hub", "repository": "a/b", "revision": "1f2e", "files": held, "first_seen": {}}
    path = directory.parent / "checkpoint.json"
    files.write_json(path, found | {"asked": "auto", "decided": "2026-11-22T10:00:00+00:00"} | changes)
    return path


def test_a_download_s_record_goes_into_the_source(directory):
    whole(directory)
    _, _, found = run(directory, "--record", record(directory), weights="auto")
    assert (found["kind"], found["asked"], found["decided"][:10]) == ("hub", "auto", "2026-11-22")
    assert "first_seen" not in found
    assert source.words(found) == "hub a/b@1f2e"
    found["files"]["config.json"]["pinned"] = False
    assert source.words(found) == "hub a/b@1f2e (not pinned)"


def test_files_changed_since_their_download_are_refused(directory):
    whole(directory)
    path = record(directory)
    whole(directory, {NORM: np.ones(96, np.float32)})
    message = refusal(directory, "--record", path, weights="hub")
    for word in ("model.safetensors", "the download recorded", "--forcerun download"):
        assert word in message


def test_without_a_hub_the_weights_are_those_of_the_seed(directory):
    record_path = record(directory, kind="seeded", reason="https://hub does not answer")
    weights, config, found = run(directory, "--record", record_path, weights="auto")
    expected = miniatures.weights(SMALL)
    assert weights.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(weights[name], array)
    assert config == miniatures.config(SMALL)
    assert (found["kind"], found["seed"], found["reason"]) == ("seeded", 1, "https://hub does not answer")
    assert source.words(found) == "seeded (seed 1, generation 2, for want of a hub)"


# In the plan.

MODEL = {
    "weights": "auto",
    "seed": 3,
    "source": {
        "repository": "a/b",
        "revision": "1f2e",
        "path": "/data",
        "files": [{"name": "x", "sha256": "0"}],
    },
}
HUB = {
    "kind": "hub",
    "asked": "auto",
    "repository": "a/b",
    "revision": "1f2e",
    "files": {},
    "decided": "2026-11-22T10:00:00+00:00",
}
FIRST = {"kind": "seeded", "seed": 3, "generator": "philox-uniform-1"}
SEEDED = {"kind": "seeded", "asked": "auto", "seed": 3, "decided": HUB["decided"]}


@pytest.mark.parametrize(
    ("changes", "recorded", "words"),
    [
        (
            {},
            None,
            "auto: hub a/b@1f2e if a hub answers, else seeded (seed 3, generation 2); decided once, by the first run",
        ),
        ({}, HUB, "hub a/b@1f2e, as auto decided on 2026-11-22"),
        ({}, SEEDED, "seeded (seed 3, generation 2, for want of a hub), as auto decided on 2026-11-22"),
        ({"weights": "hub"}, HUB, "hub a/b@1f2e"),
        ({"weights": "hub"}, {**HUB, "asked": "hub"}, "hub a/b@1f2e"),
        ({"weights": "seeded"}, HUB, "seeded (seed 3, generation 2)"),
        ({"weights": "seeded"}, FIRST, "seeded (seed 3, generation 2)"),  # a run makes them anew
        ({"weights": "path"}, None, "path /data"),
        (
            {"weights": "hub"},
            {"kind": "failed", "asked": "hub", "reason": {"code": "no-weights", "detail": "gone"}},
            "none (no-weights): gone",
        ),
        ({"seed": 4, "weights": "seeded"}, FIRST, "seeded (seed 4, generation 2)"),
    ],
)
def test_the_plan_says_what_was_decided_or_will_be(changes, recorded, words):
    assert source.planned(MODEL | changes, recorded) == words


def test_a_record_of_another_revision_is_no_answer():
    moved = MODEL | {"source": MODEL["source"] | {"revision": "ffff"}}
    assert source.planned(moved, HUB).startswith("auto: hub a/b@ffff if")
    loose = MODEL | {"weights": "hub", "source": MODEL["source"] | {"files": [{"name": "x", "sha256": None}]}}
    assert source.planned(loose, None) == "hub a/b@1f2e (not pinned)"


def test_weights_of_the_first_generation_are_named_by_their_seed():
    """As rows that were measured before the second are, in published tables."""
    assert source.words(FIRST) == "seeded (seed 3)"
    assert source.words(FIRST | {"generator": generation.GENERATOR}) == "seeded (seed 3, generation 2)"
    with pytest.raises(ValueError, match=r"generator 'luck': expected a name that ends in -<number>"):
        source.words(FIRST | {"generator": "luck"})
