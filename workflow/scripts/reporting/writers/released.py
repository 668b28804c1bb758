"""What a release changed, in words and figures that the text and the page print alike."""

from __future__ import annotations

from typing import Any

from reporting import changes
from reporting import markdown as md
from reporting.releases import Cell, Effect, Release

COLUMNS = ("inference_ms", "latency_ms", "training_ms", "inference_peak_mb")
MARKS = {changes.FASTER: "faster", changes.SLOWER: "slower"}


def told(release: Release) -> dict[str, Any]:
    """One release: who, from which version to which, how it was measured, and a line a model."""
    lane = f", {release.lane}" if release.lane not in ("", "float32") else ""
    first, second = release.measured
    if release.together:
        how = f"measured in one run, taking turns, {second}"
    else:
        how = f"measured in two runs, {first} and {second}: what else changed on the machine is in it"
    return {
        "title": f"{release.framework}{lane} {_version(release, 0)} → {_version(release, 1)}",
        "how": f"on {release.machine}, {how}",
        "cells": [_cell(each) for each in release.cells],
    }


def _version(release: Release, at: int) -> str:
    day = release.released[at]
    return (release.old, release.new)[at] + (f" (released {day})" if day else "")


def _cell(cell: Cell) -> dict[str, Any]:
    return (
        {"model": cell.model}
        | {column: _effect(cell.effect(column)) for column in COLUMNS}
        | {
            "on_disk": _moved(*cell.footprint_mb),
            "verdict": cell.status[0] if cell.status[0] == cell.status[1] else " → ".join(cell.status),
        }
    )


def _effect(effect: Effect | None) -> str:
    """`0.81 (0.78 to 0.84) faster`, as `md.interval` has it; without an interval the ratio alone."""
    if effect is None:
        return "—"
    ratio = md.significant(effect.ratio)
    if effect.low is None or effect.high is None:
        return ratio
    return " ".join(
        filter(None, (f"{ratio} ({md.interval(effect.low, effect.high)})", MARKS.get(effect.kind)))
    )


def _moved(old: float | None, new: float | None) -> str:
    if old is None or new is None:
        return "—"
    return f"{old:.0f}" if f"{old:.0f}" == f"{new:.0f}" else f"{old:.0f} → {new:.0f}"
