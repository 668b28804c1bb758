"""Rounds, verdicts and weight sources as the arena's scripts write them, made up for tests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from arena.contract import codec
from arena.contract.cell import Cell, Protocol, Sampling, Warmup
from arena.contract.measured import Memory, Task
from arena.contract.round import Conditions, Disturbance, During, Machine, Order, Round, Snapshot
from arena.contract.verdict import Part, Parts, Verdict

TASKS = ("inference", "latency", "training")
LABELS = {"eager": "PyTorch eager", "compiled": "PyTorch compiled", "onnx": "ONNX Runtime", "jax": "JAX"}


def samples(
    milliseconds: float, number: int, seed: int = 0, spread: float = 0.01, count: int = 12
) -> list[int]:
    """Durations in ns around a median, which moves by ``spread`` from process to process."""
    rng = np.random.default_rng([seed, number, int(milliseconds * 1e6)])
    centre = milliseconds * 1e6 * np.exp(spread * rng.standard_normal())
    return [int(value) for value in centre * np.exp(spread * rng.standard_normal(count))]


PROTOCOL = Protocol(
    tasks=["inference", "latency", "training"],
    warmup=Warmup(min_iterations=1, min_seconds=0.0, max_seconds=0.1, window=2, tolerance=0.5),
    sampling=Sampling(min_iterations=5, min_seconds=0.0, max_seconds=5.0),
    exclusive=False,  # tests run beside each other; one that waits for others says so
    offline=True,
    seed=1,
)

CELL = Cell(
    platform="local",
    model="Tiny",
    row="eager",
    framework="pytorch",
    lane="float32",
    accelerator="cpu",
    interface="cpu",
    definition="resnet",
    loss="cross_entropy",
    options={},
    environment={},
    distribution="torch",
    libraries=[],
    threads=2,
    decode_tokens=0,
    protocol=PROTOCOL,
)


def round_record(row: str = "eager", number: int = 1, model: str = "Tiny", **changes: Any) -> dict[str, Any]:
    """The JSON of a round that went well. ``milliseconds`` sets its times, other ``changes`` are keys of the round
    or, but for the loss, of its cell, as JSON has them. Raises ContractError for what is no round.
    """
    times = changes.pop("milliseconds", 40.0)
    seed = sum(row.encode())  # two rows of one speed must not share their samples
    tasks = {
        task: ok_task(
            compile_s=2.5 / number,
            warmup_ns=samples(times * factor * 2, number, seed, count=3),
            samples_ns=samples(times * factor, number, seed),
        )
        for task, factor in zip(TASKS, (1, 0.1, 3), strict=True)
    }
    framework = {"eager": "pytorch", "compiled": "pytorch"}.get(row, row)
    own = {name: changes.pop(name) for name in vars(CELL) if name != "loss" and name in changes}
    cell = codec.encode(CELL) | {"row": row, "model": model, "framework": framework} | own
    snapshot = {"load_1min": 0.5, "cpu_seconds": 100.0 * number, "steal_seconds": 0.0, "gpu_processes": {}}
    conditions = Conditions(
        before=Snapshot(**snapshot),
        during=During(),
        after=Snapshot(**snapshot),
        disturbance=Disturbance(steal=0.001 * number, load_before=0.5, gpu_processes={}),
    )
    record = Round(
        cell=codec.decode(Cell, cell),
        round=number,
        status="ok",
        started=f"2026-11-22T10:0{number}:00+00:00",
        duration_s=12.0,
        order=Order(seed=1, key=3),
        command=["python", "measure.py"],
        version="2.13.0",
        backend="CPU",
        device="cpu",
        threads_reported=2,
        packages={"torch": "2.13.0", "numpy": "2.4.6"},
        import_s=1.0 + number,
        load_s=0.2,
        compile_s=2.5 / number,
        cold=number == 1,
        cold_start_s=7.0 - 1.5 * number if number > 1 else 5.5,
        offline=True,
        network_attempts=0,
        tasks={},
        loss=6.0125,
        training_loss=6.0125,
        memory=Memory(
            baseline_bytes=100_000_000,
            inference_peak_bytes=700_000_000 + number,
            training_peak_bytes=1_600_000_000,
        ),
        footprint_bytes=900_000_000,
        conditions=conditions,
        machine=Machine(
            cpu="Xeon | <Gold>",
            cpu_family=6,
            cpu_model=143,
            cpu_stepping=8,
            usable_physical_cores=2,
            memory_bytes=8_000_000_000,
            kernel="Linux 6.1",
            os="Debian 12",
            python="3.11.7",
        ),
        commit="abc123",
    )
    return codec.checked(codec.decode(Round, codec.encode(record) | {"tasks": tasks} | changes))


def ok_task(**figures: Any) -> dict[str, Any]:
    """The JSON of a task that ended well, after one iteration unless ``figures`` say otherwise."""
    plain = {"status": "ok", "compile_s": 1.0, "warmup_ns": [1], "steady": True, "samples_ns": [1]}
    return codec.encode(codec.build(Task, **plain | figures))


def ended_task(status: str, code: str, detail: str) -> dict[str, Any]:
    """The JSON of a task that did not end well."""
    return codec.encode(codec.build(Task, status=status, reason={"code": code, "detail": detail}))


def round_of(record: dict[str, Any]) -> Round:
    """The record that this JSON is."""
    return codec.decode(Round, record)


def generating(record: dict[str, Any], milliseconds: float = 80.0, first: float = 20.0) -> dict[str, Any]:
    """``record`` with a generation of 16 tokens after a prompt of 32, which took ``milliseconds`` in all."""
    total = samples(milliseconds, record["round"], sum(record["cell"]["row"].encode()))
    task = record["tasks"]["inference"] | {"samples_ns": total}
    task |= {"first_token_ns": [int(first * 1e6)] * len(total), "prompt_tokens": 32, "new_tokens": 16}
    protocol = record["cell"]["protocol"] | {"tasks": [*TASKS, "decode"]}
    cell = record["cell"] | {"protocol": protocol}
    return record | {"cell": cell, "tasks": record["tasks"] | {"decode": task}}


def failed(
    row: str, number: int = 1, code: str = "timeout", detail: str = "no end after 900 s", **changes: Any
) -> dict:
    """A round whose process died before its inference was measured."""
    lines = "\n".join(f"line {count}" for count in range(40))
    end = {"status": "failed", "reason": {"code": code, "detail": detail}, "tasks": {}, "log_tail": lines}
    absent = dict.fromkeys(("loss", "compile_s", "memory", "version", "device"))
    return round_record(row, number, **(absent | end | changes))


def unsupported(row: str, number: int = 1, **changes: Any) -> dict[str, Any]:
    """A round of a cell that the framework cannot run."""
    reason = {"code": "unsupported-model", "detail": "no U-Net here"}
    return failed(row, number, **({"status": "unsupported", "reason": reason, "log_tail": None} | changes))


def verdict_record(
    row: str = "eager", verdict: str | None = "pass", model: str = "Tiny", **changes: Any
) -> dict:
    """The JSON of a verdict with plausible figures."""
    output = Part(verdict=verdict, relative_l2=3.1e-7, max_error=2e-6, top1_agreement=1.0, mean_kl=2e-12)
    record = Verdict(
        platform="local",
        model=model,
        row=row,
        lane="float32",
        verdict=verdict,
        parts=Parts(
            inference=replace(output, loss_error=2e-8, loss_change=-1.2e-7),
            latency=replace(output, relative_l2=4e-7),
            training=Part(
                verdict=verdict,
                loss_error=1e-8,
                gradient_norm_error=2e-6,
                worst_tensor="w",
                gradient_cosine=0.99999999,
            ),
        ),
        reasons=[] if verdict == "pass" else ["inference: relative L2 3.1e-2 > 1e-4"],
        noise={"inference": {"relative_l2": 2.9e-7, "max_error": 1.9e-6}},
    )
    return codec.checked(codec.decode(Verdict, codec.encode(record) | changes))


def write(
    directory: Path, rounds: list[dict], verdicts: list[dict]
) -> tuple[list[Path], list[Path], list[Path]]:
    """Write the records where the workflow would; paths of rounds, verdicts and weight sources."""
    paths: tuple[list[Path], list[Path], list[Path]] = ([], [], [])
    for record in rounds:
        cell = directory / "benchmarks" / "local" / record["cell"]["model"] / record["cell"]["row"]
        paths[0].append(_write(cell / f"round-{record['round']}.json", record))
    for record in verdicts:
        cell = directory / "validation" / "local" / record["model"]
        paths[1].append(_write(cell / f"{record['row']}.json", record))
    for model in dict.fromkeys(record["cell"]["model"] for record in rounds):
        source = directory / "models" / model / "source.json"
        paths[2].append(_write(source, {"kind": "seeded", "seed": 7, "sha256": "0" * 64}))
    return paths


def _write(path: Path, record: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), encoding="utf-8")
    return path
