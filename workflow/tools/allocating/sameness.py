"""Whether allocations are parts of one measurement: one card, driver, weights, settings, and code that measures."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from allocating.parts import AllocationError, Part
from arena.contract import codec
from arena.contract.cell import Cell
from reporting import allotments

ROOT = Path(__file__).resolve().parents[3]
# What decides a figure: two allocations whose commits differ in one of these are not one measurement, unless it is
# a framework's own, and the framework of no cell that both have.
MEASURES = (
    "workflow/scripts/benchmark.py",
    "workflow/scripts/measure.py",
    "workflow/scripts/validate.py",
    "workflow/scripts/compute_reference.py",
    "workflow/scripts/compute_rounding.py",
    "workflow/scripts/arena",
    "workflow/scripts/frameworks",
    "workflow/scripts/models",
    "workflow/engines",
)


def refuse_others(parts: list[Part], baseline: str) -> None:
    """Refuse allocations that are not parts of one measurement. The first one gets the models of all."""
    identities = [part.id for part in parts]
    if len(set(identities)) < len(identities):
        raise AllocationError(f"allocations {', '.join(identities)}: each needs a name of its own")
    first = parts[0]
    definitions: dict[str, tuple[Part, Cell]] = {}
    for part in parts:
        if not any(cell.endswith(f"/{baseline}") for cell in part.rounds):
            raise AllocationError(
                f"{part.path}: allocation {part.id} measured no {baseline}, which every one must"
            )
        cards, known = (_cards(each) for each in (part, first))
        if cards != known:
            raise AllocationError(f"{part.path}: card and driver are {cards}; {first.id} had {known}")
        for cell, records in part.rounds.items():
            # The platform gets another name, and a node may leave fewer threads to one round.
            for record in records:
                mine = replace(record.cell, platform="", threads=0)
                owner, known_cell = definitions.setdefault(cell, (part, mine))
                if mine != known_cell:
                    keys = [key for key in vars(mine) if getattr(mine, key) != getattr(known_cell, key)]
                    raise AllocationError(
                        f"{part.path}: {cell} differs in {', '.join(keys)} from what {owner.path} has; measure all "
                        "parts with one configuration"
                    )
        for name, value in part.models.items():
            if first.models.setdefault(name, value) != value:
                what = (
                    "weights have another source" if name.endswith("source.json") else "architecture differs"
                )
                raise AllocationError(
                    f"{part.path}: {name.split('/')[0]}'s {what}: not that of an earlier allocation ({name})"
                )
    commits = list(dict.fromkeys(record.commit for part in parts for record in part.records))
    for commit in commits:
        if commit is None or commit.endswith("-dirty"):
            raise AllocationError(
                f"commit {commit}: allocations are put together by commit; measure from a clean checkout"
            )
    for one, other in itertools.combinations(parts, 2):
        for old, new in itertools.product(_commits(one), _commits(other)):
            if old != new and (changed := decisive(_changed(old, new), _shared(one, other))):
                raise AllocationError(
                    f"between {old} and {new} changed what measures: {', '.join(changed[:5])}"
                )


def _commits(part: Part) -> list[str]:
    return list(dict.fromkeys(str(record.commit) for record in part.records))


def _shared(one: Part, other: Part) -> set[str]:
    """The frameworks of the cells that both measured."""
    return {one.rounds[cell][0].cell.framework for cell in one.rounds.keys() & other.rounds.keys()}


def decisive(changed: list[str], shared: Collection[str]) -> list[str]:
    """Those of the files that decide a figure of more than one allocation: what a framework has for itself only
    does where both measured a cell of it (``shared``)."""
    engines = {path.name.removeprefix("arena-") for path in (ROOT / "workflow" / "engines").glob("arena-*")}

    def matters(path: str) -> bool:
        match Path(path).parts[1:]:
            case ("scripts", "frameworks", folder, _, *_):
                return folder in shared
            case ("engines", folder, *_) if folder.startswith("arena-"):
                name = folder.removeprefix("arena-")  # arena-burn is also burn-wgpu's and burn-cuda's
                return any(each == name or each.startswith(f"{name}-") for each in shared)
            case ("engines", *_):
                return not engines.isdisjoint(shared)
        return True

    return [path for path in changed if matters(path)]


def _cards(part: Part) -> list[Any]:
    cards = [record.machine.gpu for record in part.records if record.machine.gpu]
    return [codec.encode(card) for card in allotments.kind(cards)]


def _changed(old: str, new: str) -> list[str]:
    command = ["git", "-C", str(ROOT), "diff", "--name-only", old, new, "--", *MEASURES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AllocationError(f"git knows not both {old} and {new}: {done.stderr.strip()}")
    return done.stdout.split()
