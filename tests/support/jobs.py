"""Cells and jobs for tests, and benchmark.py on them: made of the contract's types, not of command lines."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from arena.contract import codec
from arena.contract import round as rounds
from arena.contract.cell import Cell, Files, Protocol
from arena.contract.round import Round
from frameworks.base import Job
from records import CELL, PROTOCOL
from runner import REPOSITORY

ADAPTERS = REPOSITORY / "tests" / "support" / "adapters"
SCRIPT = REPOSITORY / "workflow" / "scripts" / "benchmark.py"
IN_CELL = {field.name for field in fields(Cell)}


def protocol(**changes: Any) -> Protocol:
    """A protocol of few iterations."""
    return replace(PROTOCOL, **changes)


def cell(**changes: Any) -> Cell:
    """A cell of one thread on the CPU, whose distribution is numpy."""
    return replace(CELL, **{"threads": 1, "distribution": "numpy"} | changes)


def paths(folder: Path, result: Path | None = None, **changes: Any) -> Files:
    """Files of a model in ``folder``; what a round writes goes to ``result``, by default ``folder`` itself."""
    out = result or folder
    known = {
        "weights": folder / "model.safetensors",
        "config": folder / "config.json",
        "inputs": folder / "inputs.safetensors",
        "cache": folder / "cache",
        "result": out / "result.json",
        "outputs": out / "outputs.safetensors",
    }
    return Files(**known | changes)


def job(folder: Path, **changes: Any) -> Job:
    """What an adapter is given for round 1; ``changes`` are keys of the cell, and of its files."""
    of_cell = {name: value for name, value in changes.items() if name in IN_CELL}
    of_files = {name: value for name, value in changes.items() if name not in IN_CELL}
    return Job(cell=cell(**of_cell), round=1, files=paths(folder, **of_files), offline=False)


def command(
    cell: Cell, files: Files, log: Path, *more: str, timeout: float = 60, number: int = 1
) -> list[str]:
    """The call of benchmark.py for one round."""
    words = ["--cell", codec.to_text(cell), "--files", codec.to_text(files)]
    words += ["--round", str(number), "--timeout", str(timeout), "--log", str(log)]
    return [sys.executable, str(SCRIPT), *words, *more]


def measured(
    cell: Cell, files: Files, *more: str, environment: dict[str, str] | None = None, timeout: float = 60
) -> Round:
    """The record of round 1, measured by benchmark.py."""
    words = command(cell, files, files.result.with_name("process.log"), *more, timeout=timeout)
    subprocess.run(words, check=True, timeout=timeout + 60, env=environment)
    return rounds.read(files.result)
