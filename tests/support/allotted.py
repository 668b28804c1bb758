"""Records of an allocation of a machine with a card, made up for tests."""

from __future__ import annotations

import itertools
from typing import Any

import records
from arena.contract import codec
from arena.contract.round import Gpu, GpuWatch

CARD = {"name": "NVIDIA H200", "uuid": "GPU-1", "driver": "580.159.04", "cuda_driver": "13.0"}
COMMIT = "637202b"
SOURCE = {"kind": "seeded", "seed": 7, "sha256": "0" * 64}
SEEDS = itertools.count()  # two processes never have the same samples


def round_record(
    model: str,
    row: str,
    number: int,
    started: str,
    *,
    card: dict[str, Any] = CARD,
    commit: str = COMMIT,
    mhz: int = 1980,
    cpus: list[int] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """A round of 12 s on a card. ``changes``: keys of the round or its cell, host its machine's."""
    host = changes.pop("host", "vm")
    framework = "pytorch" if row.startswith("pytorch") else row
    here = {"platform": "gpu", "accelerator": "cuda", "interface": "cuda", "framework": framework}
    record = records.round_record(row, number, model, started=started, commit=commit, **here | changes)
    for task in record["tasks"].values():
        seed = next(SEEDS)
        task["samples_ns"] = [value + seed for value in task["samples_ns"]]
    watch = {"looks": 3, "sm_mhz": [mhz - 300, mhz, mhz], "throttle": {}, "others": {}}
    record["conditions"]["during"]["gpu"] = codec.encode(codec.build(GpuWatch, **watch))
    record["machine"] |= {"hostname": host, "cpus": cpus, "gpu": codec.encode(codec.build(Gpu, **card))}
    return record


def verdict(model: str, row: str, judged: str, error: float, number: int = 1) -> dict[str, Any]:
    """A verdict whose reasons follow from its error; its worst figures are of round ``number``."""
    record = records.verdict_record(row, judged, model, platform="gpu")
    for part in ("inference", "latency"):
        record["parts"][part] |= {"relative_l2": error, "rounds": {"relative_l2": number}}
    record["parts"]["inference"] |= {"loss": 6.0125, "printed_loss_error": 0.0}
    record["reasons"] = [f"inference: relative L2 {error} > 1e-06 (round {number})"] * (judged != "pass")
    return record
