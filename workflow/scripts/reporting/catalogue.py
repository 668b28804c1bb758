"""What this project knows of models and rows, as submissions are held against it and shown with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arena.configuration.frameworks import model_reason
from arena.configuration.loader import float32_row
from models import flops

MODEL = ("definition", "loss", "architecture", "workload")


def of(config: Mapping[str, Any]) -> dict[str, Any]:
    """``models``, ``rows``, ``float32_rows`` and ``work`` of a resolved configuration; plain JSON.

    A row's ``unsupported`` has model -> {code, why} of those that it runs on no device. ``work`` has each model's
    ``scale_of`` and ``forward_flops``, as ``reporting.rows`` takes them.
    """
    frameworks, models = config["frameworks"], config["models"]
    rows = {
        row: {
            "framework": name,
            "lane": variant["lane"],
            "label": variant["label"],
            "options": variant["options"],
            "unsupported": {
                model: reason
                for model in models
                if (reason := model_reason(entry, model, models[model]["definition"]))
            },
        }
        for name, entry in frameworks.items()
        for row, variant in entry["rows"].items()
    }
    nearest = {row: float32_row(frameworks, row) for row in rows}
    return {
        "models": {name: {key: entry[key] for key in MODEL} for name, entry in models.items()},
        "rows": rows,
        "float32_rows": {row: other for row, other in nearest.items() if other not in (None, row)},
        "work": {name: _work(entry) for name, entry in models.items()},
    }


def _work(entry: Mapping[str, Any]) -> dict[str, Any]:
    shapes = {name: fill["shape"] for name, fill in entry["workload"]["inference"].items()}
    return {
        "scale_of": entry["scale_of"],
        "forward_flops": flops.forward(entry["definition"], entry["architecture"], shapes),
        **flops.extent(shapes),
    }
