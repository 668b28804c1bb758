"""An adapter that is not as promised is told so in a sentence, not by what Python says where it is noticed."""

import types
from pathlib import Path

import numpy as np
import pytest

import jobs
import measure
from arena import files, tensors
from arena.contract import codec
from arena.contract.measured import Measured
from frameworks import base, promises

WHOLE = """
from frameworks import base
import numpy as np

class Adapter(base.Adapter):
    def describe(self):
        return {"version": "1", "backend": "CPU", "device": "cpu"}
    def load(self):
        pass
    def prepare(self, task):
        return lambda: np.zeros((1, 3), np.float32)
    def fetch(self, task, result):
        return {"loss": 1.0} if task == "training" else {"output": result}
"""
MISTAKES = {  # what of it is replaced, by what, the reason
    "no class": (
        "class Adapter(base.Adapter)",
        "class Mine(base.Adapter)",
        "has no class Adapter; it has Mine; write `c",
    ),
    "no method": ("def load", "def read", "class Adapter has no load; docs/design.md says"),
    "describes nothing": (
        'return {"version"',
        'x = {"version"',
        "describe() gave nothing (None); expected a dict: version",
    ),
    "runs at once": (
        "lambda: np.zeros",
        "np.zeros",
        "prepare('inference') gave a ndarray; expected a function without",
    ),
    "prepares nothing": (
        "return lambda:",
        "lambda:",
        "prepare('inference') gave nothing (None); expected a function",
    ),
    "other key": (
        '{"output": result}',
        '{"logits": result}',
        "fetch('inference') gave 'logits', and no 'output'; expected a",
    ),
    "bare array": (
        '{"output": result}',
        "result",
        "fetch('inference') gave a ndarray; expected a dict with 'output'",
    ),
    "empty": (
        '{"output": result}',
        "{}",
        "fetch('inference') gave nothing, and no 'output'; expected a dict",
    ),
}


def measured(folder, text, **changes):
    """The record of an adapter with this text, measured in this process."""
    folder.mkdir()
    (folder / "adapter.py").write_text(text)
    tensors.save(
        folder / "inputs.safetensors",
        {"inference.x": np.ones(3), "latency.x": np.ones(3), "target": np.zeros(1, int)},
    )
    files.write_json(folder / "config.json", {})
    job = jobs.job(folder, adapter=folder / "adapter.py", inputs=folder / "inputs.safetensors", **changes)
    measure.Measurement(job).run()
    return codec.read(Measured, job.files.result)


@pytest.mark.parametrize(("old", "new", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_sentence_in_the_place_of_an_exception(tmp_path, old, new, words):
    assert WHOLE.count(old) == 1
    found = measured(tmp_path / "a", WHOLE.replace(old, new))
    assert (found.status, found.reason.code) == ("failed", "error")
    assert words in found.reason.detail and "Error" not in found.reason.detail


def test_training_without_its_loss_costs_training_alone(tmp_path):
    found = measured(tmp_path / "a", WHOLE.replace('"loss"', '"the loss"'))
    assert found.tasks["inference"].status == "ok"
    assert found.tasks["training"].reason.detail == (
        "fetch('training') gave 'the loss', and no 'loss'; expected a dict with 'loss' "
        "and 'gradient.<weight>' of every weight"
    )


def test_what_is_as_promised_passes():
    module = types.ModuleType("own")
    module.Adapter = type("Adapter", (), dict.fromkeys(("describe", "load", "prepare", "fetch"), print))
    assert promises.adapter_of(module, Path("own.py")) is module.Adapter  # it need not extend ours
    assert promises.fetched({"loss": 1, "gradient.w": 2}, "training") == {"loss": 1, "gradient.w": 2}
    assert promises.generation(base.Generation([1], 5)).first_token_ns == 5
    with pytest.raises(base.FailedError, match=r"'decode' gave a list; expected base\.Generation"):
        promises.generation([1, 2])
