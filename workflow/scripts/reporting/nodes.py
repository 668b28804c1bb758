"""Whether a cluster's node let a cell be measured undisturbed, by the rules of docs/cluster.md."""

from __future__ import annotations

from typing import Any

from arena.contract.round import Node, Round
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
    met = [(record, record.node) for record in cell.rounds if record.node]
    if not met:
        return {}
    given = [node.allocation for _, node in met if node.allocation]
    counts = [count for _, node in met for count in _counts(node) if count is not None]
    invalid = list(dict.fromkeys(text for each in met for text in spoilt(*each)))
    noisy = list(dict.fromkeys(text for each in met for text in disturbed(*each)))
    return {
        "node": _listed(each.name for each in given),
        "node_shared": flag(any(node.use == "shared" for _, node in met)),
        "other_jobs": max(counts, default=None),
        "accelerators": _listed(_accelerator(node) for _, node in met),
        "slurm_jobs": _listed(each.job for each in given),
        "condition": INVALID if invalid else NOISY if noisy else CLEAN,
        "condition_reasons": "; ".join([*invalid, *noisy]) or None,
    }


def _listed(values: Any) -> str | None:
    return ", ".join(dict.fromkeys(value for value in values if value)) or None


def _accelerator(node: Node) -> str | None:
    """The GPU's UUID where its driver tells, else the number that Slurm gave."""
    if node.gpu and node.gpu.uuid:
        return node.gpu.uuid
    return node.allocation.gpus if node.allocation else None


def spoilt(record: Round, node: Node) -> list[str]:
    """Why a round's times mean nothing: somebody else computed on what the job was given."""
    found, given = [], node.allocation
    watch = record.conditions and record.conditions.during.gpu
    if watch and watch.others:
        found.append("another process used the GPU")
    if node.use == "shared" and not (given and given.pinned) and _others(node) != 0:
        found.append("the job was not confined to its CPUs, on a node with other jobs")
    return found


def disturbed(record: Round, node: Node) -> list[str]:
    """What may have changed a round's times, short of spoiling them."""
    found, others = [], _others(node)
    if node.use == "shared" and others != 0:
        beside = "nobody knows how many" if others is None else str(others)
        found.append(f"shared memory and caches with other jobs ({beside})")
    if record.conditions is None:
        return found
    if record.conditions.disturbance.steal > STEAL:
        found.append("a hypervisor took more than 1 % of the CPU time")
    if record.conditions.disturbance.throttle_events:
        found.append("the processor was throttled")
    watch = record.conditions.during.gpu
    if watch and set(HOT) & set(watch.throttle):
        found.append("the GPU was throttled")
    return found


def _counts(node: Node) -> tuple[int | None, int | None]:
    return node.other_jobs.before, node.other_jobs.after


def _others(node: Node) -> int | None:
    """Other jobs on the node, the larger of before and after; None if either is unknown."""
    before, after = _counts(node)
    return None if before is None or after is None else max(before, after)
