"""Cells of the framework that goes wrong (adapters/faulty.py), of one task each, and benchmark.py on them."""

import signal
import subprocess
import time

import numpy as np

import jobs
from arena import files, tensors
from arena.contract import round as rounds

ONE_TASK = ["inference"]


def prepared(folder):
    """The files that a cell reads, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32)
    tensors.save(folder / "inputs.safetensors", {"inference.images": images, "target": np.arange(4)})
    tensors.save(folder / "model.safetensors", {"weight": np.ones(3, np.float32)})
    files.write_json(folder / "config.json", {"definition": "resnet"})
    return folder


def command(model, options, results=None, timeout=60, exclusive=False, **changes):
    """benchmark.py on the faulty framework; what it writes goes to ``results``, by default beside the model."""
    where = results or model / "round"
    protocol = jobs.protocol(tasks=ONE_TASK, exclusive=exclusive)
    cell = jobs.cell(model="Tiny", row="faulty", options=options, protocol=protocol, **changes)
    paths = jobs.paths(model, where, adapter=jobs.ADAPTERS / "faulty.py", cache=where / "cache")
    return jobs.command(cell, paths, where / "process.log", timeout=timeout), where


def heed_signals():
    """For ``preexec_fn``: signals mean what they do in a terminal, though nohup or `&` started the tests."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def measured(model, options, shell=None, prefix=(), **changes):
    """The record of a round that is started in ``shell``'s variables and by the command ``prefix``."""
    words, where = command(model, options, **changes)
    subprocess.run([*prefix, *words], check=True, timeout=120, env=shell)
    return rounds.read(where / "result.json")


def wait_for(path, seconds=60):
    deadline = time.monotonic() + seconds
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.02)
    return path.read_text()
