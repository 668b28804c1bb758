"""The trained checkpoint through the whole workflow at full size: verdicts, tokens, and text that is English.

Two engines that start fast, each with weights in a format of its own; docs/gate.md has the command for every row
that runs on this CPU, and the table that it gave.
"""

import os
import shutil
from types import SimpleNamespace

import pytest
import yaml

import trained
from arena import tensors
from arena.configuration import frameworks, loader
from checkout import BUILDERS, Checkout, copy
from runner import REPOSITORY

MODEL, TOKENS = "SmolLM2-135M", 64
PROMPT = "<|im_start|>user\nWhy is the sky blue?<|im_end|>\n<|im_start|>assistant\n"
#: What the float64 reference, in which no row has a part, says to that.
ANSWER = (
    "The sky blue is a result of the Earth's atmosphere scattering sunlight in a specific wavelength range, "
    "specifically blue. This phenomenon occurs because of the way our eyes perceive light. When sunlight enters the "
    "Earth's atmosphere, it encounters tiny molecules of gases, including nitrogen and oxygen, which absorb certain "
    "wavelengths of light. These molecules scatter"
)
CONFIG = loader.resolve({"run": {"rows": "all"}}, REPOSITORY)
ENTRIES = {row: entry for entry in CONFIG["frameworks"].values() for row in entry["rows"]}


def able(row):
    """Whether the row can run the model on a CPU, as far as its framework's file tells."""
    entry = ENTRIES[row]
    there = not entry["engine"] or shutil.which("cargo")
    return there and not frameworks.unsupported(entry, row, MODEL, "llama", "cpu")


#: Row ids, or `all`: training and latency are measured then, too.
ASKED = os.environ.get("ARENA_TRAINED_ROWS", "").split()
ROWS = [row for row in ENTRIES if able(row)] if ASKED == ["all"] else ASKED or ["llamacpp", "ctranslate2"]
TASKS = ["inference", "latency", "decode", "training"] if ASKED else ["inference", "decode"]


@pytest.fixture(scope="module")
def measured(trained_checkpoint, tmp_path_factory):
    """A run of the rows: ``table`` by row, the reference's ``tokens`` and their ``margins``, the
    ``tokenizer``.
    """
    folder = tmp_path_factory.mktemp("trained")
    tokenizer = trained.tokenizer(trained.gguf_file())
    prompt = tokenizer.encode(PROMPT).ids
    words = {"shape": [1, len(prompt)], "fill": "values", "values": prompt, "dtype": "int64"}
    model = {"weights": "path", "source": {"path": str(trained_checkpoint)}}
    model |= {"workload": {"decode": {"input_ids": words, "tokens": TOKENS}}}
    config = folder / "trained.yaml"
    once = {"min_iterations": 1, "min_seconds": 0, "max_seconds": 1}
    config.write_text(
        yaml.safe_dump(
            {
                "run": {"models": [MODEL], "rows": ROWS, "baseline": ROWS[0]},
                "models": {MODEL: model},
                "protocol": {
                    "rounds": 1,
                    "tasks": TASKS,
                    "warmup": once,
                    "sampling": once,
                    "exclusive": False,  # its times mean nothing
                },
            }
        )
    )
    copy(folder / "root")
    fast_to_build = {} if ASKED else BUILDERS
    checkout = Checkout(folder / "root", folder / "directory", (config,), environment=fast_to_build)
    checkout.directory.mkdir()
    checkout.build_environments()
    done = checkout.run()
    results = checkout.directory / "results"
    table = {row["row"]: row for row in checkout.table()}
    reference = tensors.load(results / f"models/{MODEL}/reference.safetensors")
    told = {name: reference[f"decode.{name}"] for name in ("tokens", "margins")}
    if "ARENA_TRAINED_CSV" in os.environ:
        shutil.copy(results / "platforms/local.csv", os.environ["ARENA_TRAINED_CSV"])
    shutil.rmtree(checkout.directory)  # gigabytes, where every row has its own file of the weights
    return SimpleNamespace(run=done, table=table, tokenizer=tokenizer, **told)


def test_nothing_fails(measured):
    assert measured.run.returncode == 0, measured.run.stdout
    assert [row for row, found in measured.table.items() if found["status"] == "failed"] == []


def test_the_reference_answers_in_english(measured):
    assert measured.tokenizer.decode(measured.tokens.tolist()) == ANSWER
    assert measured.tokenizer.encode(ANSWER).ids == measured.tokens.tolist()
    assert measured.margins.min() > 1e-3  # no token that float32 might change


@pytest.mark.parametrize("row", [row for row in ROWS if ENTRIES[row]["rows"][row]["lane"] == "float32"])
def test_a_row_in_float32_passes_and_says_the_same(measured, row):
    found = measured.table[row]
    if found["status"] == "unsupported":
        pytest.skip(f"{found['reason_code']}: {found['reason_detail']}")
    assert found["status"] == "pass", found["verdict_reasons"]
    if not found["decode_reason"]:
        assert (found["decode_status"], found["matching_tokens"]) == ("ok", str(TOKENS))
