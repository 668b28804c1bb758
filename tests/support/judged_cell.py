"""The files that validate.py reads of a small cell, made up so that each can be spoilt."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import records
import validate
from arena import files, tensors
from arena.contract import codec
from arena.contract.verdict import Part
from arena.judging import losses
from tolerances import TOLERANCES

TARGET = np.array([0, 1, 2, 3])
ROUNDS = (1, 2, 3)
OK = records.ok_task()
NOTHING = codec.encode(Part())  # the figures of a part that was not measured


class JudgedCell:
    """A cell of three rounds that agree with their reference to the last bit of float32; spoil at will."""

    def __init__(self, directory: Path):
        self.directory = directory
        random = np.random.default_rng(5)
        self.outputs = {
            "inference.output": random.normal(size=(1, 4, 9)).astype(np.float32),
            "latency.output": random.normal(size=(1, 1, 9)).astype(np.float32),
        }
        self.gradients = {name: random.normal(size=(3, 2)).astype(np.float32) for name in ("up", "down")}
        self.loss = losses.loss("cross_entropy", self.outputs["inference.output"], TARGET)
        reference = {name: array.astype(np.float64) for name, array in self.outputs.items()}
        tensors.save(directory / "reference.safetensors", reference | {"loss": np.array(self.loss)})
        tensors.save(directory / "reference-gradients.safetensors", self.gradients)
        tensors.save(directory / "inputs.safetensors", {"target": TARGET})
        norms = {name: float(np.linalg.norm(array)) for name, array in self.gradients.items()}
        self.noise = {"inference": {"max_abs_error": 0.0}, "latency": {"max_abs_error": 0.0}}
        self.noise["training"] = {"loss_error": 0.0}
        files.write_json(directory / "reference.json", {"gradient_norms": norms, "noise": self.noise})
        tensors.save(directory / "gradients.safetensors", self.gradients)
        for number in ROUNDS:
            self.record(number)
            self.output(number)

    def record(self, number: int, **changes) -> None:
        """Write round ``number``'s JSON with ``changes``."""
        tasks = dict.fromkeys(("inference", "latency", "training"), OK)
        known = {
            "loss": self.loss,
            "training_loss": self.loss,
            "tasks": tasks,
            "framework": "f",
            "model": "m",
        }
        record = records.round_record("r", number, **known | changes)
        files.write_json(self.directory / f"round-{number}.json", record)

    def output(self, number: int, **changes) -> None:
        """Write round ``number``'s tensors with ``changes``; None removes one."""
        changed = self.outputs | {f"{task}.output": array for task, array in changes.items()}
        kept = {name: array for name, array in changed.items() if array is not None}
        tensors.save(self.directory / f"round-{number}.safetensors", kept)

    def arguments(self, rounds=ROUNDS, **changes) -> list[str]:
        at = self.directory
        options = {
            "--rounds": [str(at / f"round-{number}.json") for number in rounds],
            "--outputs": [str(at / f"round-{number}.safetensors") for number in rounds],
            "--gradients": [str(at / "gradients.safetensors")],
            "--reference": [str(at / "reference.safetensors")],
            "--reference-gradients": [str(at / "reference-gradients.safetensors")],
            "--reference-json": [str(at / "reference.json")],
            "--inputs": [str(at / "inputs.safetensors")],
            "--loss": ["cross_entropy"],
            "--tolerances": [json.dumps(TOLERANCES)],
            "--close-factor": ["10"],
            "--out": [str(at / "verdict.json")],
        } | changes
        return [text for option, values in options.items() for text in (option, *values)]

    def judge(self, **changes) -> dict:
        validate.main(self.arguments(**changes))
        return files.read_json(self.directory / "verdict.json")

    def refused(self, **changes) -> str:
        """The message with which validate.py gives up; it must leave no verdict behind."""
        with pytest.raises(SystemExit) as stop:
            validate.main(self.arguments(**changes))
        assert not (self.directory / "verdict.json").exists()
        return str(stop.value.code)
