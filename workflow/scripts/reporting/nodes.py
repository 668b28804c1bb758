"""Whether a cluster's node let a cell be measured undisturbed, by the rules of docs/cluster.md."""

from __future__ import annotations

from typing import Any

from reporting.columns import Row
from reporting.fields import flag
from reporting.rounds import RecordedCell

CLEAN, NOISY, INVALID = "clean", "noisy", "invalid"
STEAL = 0.01  # share of CPU time that a hypervisor may take
HOT = (
    "hardware slowdown",
    "thermal, software",
    "thermal, hardware",
    "power brake",
)  # arena.measuring.nvml.REASONS


def figures(cell: RecordedCell) -> Row:
    """The columns about the node; none where no round ran on a cluster's."""
    met = [record for record in cell.rounds if record.get("node")]
    if not met:
        return {}
    given = [record["node"]["allocation"] or {} for record in met]
    counts = [count for record in met for count in record["node"]["other_jobs"].values() if count is not None]
    invalid = list(dict.fromkeys(text for record in met for text in spoilt(record)))
    noisy = list(dict.fromkeys(text for record in met for text in disturbed(record)))
    return {
        "node": _listed(each.get("name") for each in given),
        "node_shared": flag(any(record["node"]["use"] == "shared" for record in met)),
        "other_jobs": max(counts, default=None),
        "accelerators": _listed(map(_accelerator, met)),
        "slurm_jobs": _listed(each.get("job") for each in given),
        "condition": INVALID if invalid else NOISY if noisy else CLEAN,
        "condition_reasons": "; ".join([*invalid, *noisy]) or None,
    }


def _listed(values: Any) -> str | None:
    return ", ".join(dict.fromkeys(value for value in values if value)) or None


def _accelerator(record: Row) -> str | None:
    """The GPU's UUID where its driver tells, else the number that Slurm gave."""
    node = record["node"]
    return (node.get("gpu") or {}).get("uuid") or (node["allocation"] or {}).get("gpus")


def spoilt(record: Row) -> list[str]:
    """Why a round's times mean nothing: somebody else computed on what the job was given."""
    found = []
    others = ((record.get("conditions") or {}).get("during") or {}).get("gpu") or {}
    if others.get("others"):
        found.append("another process used the GPU")
    node = record["node"]
    if node["use"] == "shared" and not (node["allocation"] or {}).get("pinned") and _others(record) != 0:
        found.append("the job was not confined to its CPUs, on a node with other jobs")
    return found


def disturbed(record: Row) -> list[str]:
    """What may have changed a round's times, short of spoiling them."""
    conditions = record.get("conditions") or {}
    disturbance = conditions.get("disturbance") or {}
    found, others = [], _others(record)
    if record["node"]["use"] == "shared" and others != 0:
        beside = "nobody knows how many" if others is None else str(others)
        found.append(f"shared memory and caches with other jobs ({beside})")
    if (disturbance.get("steal") or 0.0) > STEAL:
        found.append("a hypervisor took more than 1 % of the CPU time")
    if disturbance.get("throttle_events"):
        found.append("the processor was throttled")
    reasons = ((conditions.get("during") or {}).get("gpu") or {}).get("throttle") or {}
    if set(HOT) & set(reasons):
        found.append("the GPU was throttled")
    return found


def _others(record: Row) -> int | None:
    """Other jobs on the node, the larger of before and after; None if either is unknown."""
    counts = record["node"]["other_jobs"].values()
    return None if None in counts else max(counts)
