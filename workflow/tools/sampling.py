"""Say how long to sample: what seconds of samples and more processes buy, by a run's own records (`make sampling`).

    python workflow/tools/sampling.py
    python workflow/tools/sampling.py --results other/results --platform gpu --target 0.01
    python workflow/tools/sampling.py --submission report/published/nvidia-h200.jsonl

For each cell and task it prints how much varies between samples and between processes, what a sample and a process
cost, and how many seconds of samples a process are worth it; then the settings of `protocol.sampling` with which every
time would be known to the target soonest, and how long that takes beside the present ones. docs/statistics.md has the
formula. Exit status 2 if there is nothing to tell of.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np

import library  # noqa: F401  (the path)
from arena.contract import round as contract_round
from arena.contract.cell import TaskName
from arena.contract.round import Round
from reporting.counted import counted
from reporting.intervals import worth
from reporting.intervals.model import Model
from reporting.submissions import evidence
from submission import only

Name = tuple[str, str]  # model, row
HEAD = (
    "| Model | Row | Task | Between samples | Between processes | A sample | A process | Sampled | Worth it |",
    "|---|---|---|---:|---:|---:|---:|---:|---:|",
)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="(default: %(default)s)")
    parser.add_argument("--submission", type=Path, help="the records of a submission, instead of a run's")
    parser.add_argument("--platform", help="its name in the configuration (default: the only one there)")
    parser.add_argument(
        "--target",
        type=float,
        default=0.02,
        help="half of a time's interval, as a share (default: %(default)s)",
    )
    parser.add_argument(
        "--most",
        type=int,
        default=10,
        help="processes that a cell gets at most to reach it (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    try:
        if args.most < 2:
            raise ValueError(f"--most {args.most}: expected 2 or more")
        if not 0 < args.target < 1:
            raise ValueError(f"--target {args.target}: expected a share between 0 and 1")
        if args.submission:
            cells, where = sent(args.submission), str(args.submission)
        else:
            platform = args.platform or only(args.results)
            cells, where = run_here(args.results, platform), f"{args.results}/benchmarks/{platform}"
        print(told(well(cells), where, args.target, args.most))
    except (OSError, ValueError) as error:
        print(f"sampling: {error}", file=sys.stderr)
        return 2
    return 0


def told(cells: dict[Name, list[Round]], where: str, target: float, most: int) -> str:
    """The table and the suggestion, as Markdown. Raises ValueError where no cell has two processes that ended well."""
    costs = {name: tasks for name, tasks in of_tasks(cells).items() if tasks}
    if not costs:
        raise ValueError(
            f"{where}: no cell was measured in two processes that ended well; nothing tells "
            "what varies between processes"
        )
    lines = list(HEAD)
    for (model, row), tasks in costs.items():
        for task, each in tasks.items():
            lines.append(f"| {model} | {row} | {task} | {' | '.join(words(each))} |")
    now = settings(cells)
    least = min(len(records) for records in cells.values())
    bounds = least, max(least, most)
    given = [list(tasks.values()) for tasks in costs.values()]
    best = worth.suggested(given, now, target, bounds)
    told_now, told_best = (worth.total_s(given, each, target, bounds) for each in (now, best))
    lines += ["", f"Every time to {100 * target:g} %, or in {bounds[1]} processes; in {least} at least:", ""]
    lines.append(f"- now, {spelt(now)}: {told_now[0]:.0f} s in {told_now[1]} processes")
    if best == now:
        lines.append("- no other settings that were tried take less")
    else:
        lines.append(f"- with {spelt(best)}: {told_best[0]:.0f} s in {told_best[1]} processes")
    return "\n".join(lines)


def run_here(results: Path, platform: str) -> dict[Name, list[Round]]:
    """By cell, its rounds in a results directory. Raises ValueError where there are none."""
    paths = sorted(results.glob(f"benchmarks/{platform}/*/*/round-*.json"))
    if not paths:
        raise ValueError(
            f"{results}/benchmarks/{platform} holds no round-*.json; expected the records of a run"
        )
    found: dict[Name, list[Round]] = {}
    for path in counted(results, platform, paths)[0]:
        record = contract_round.read(path)
        found.setdefault((record.cell.model, record.cell.row), []).append(record)
    return found


def sent(path: Path) -> dict[Name, list[Round]]:
    """The same of a submission. Raises ValueError if it would be refused."""
    return {(cell.model, cell.row): cell.rounds for cell in evidence.read(path).cells}


def well(cells: dict[Name, list[Round]]) -> dict[Name, list[Round]]:
    """Those that ended well."""
    return {name: rounds for name, rounds in cells.items() if all(each.status == "ok" for each in rounds)}


def of_tasks(cells: dict[Name, list[Round]]) -> dict[Name, dict[TaskName, worth.Cost]]:
    """What each task of each cell costs."""
    found: dict[Name, dict[TaskName, worth.Cost]] = {name: {} for name in cells}
    for task in get_args(TaskName):
        samples = {
            name: [np.asarray(record.tasks[task].samples_ns, dtype=np.float64) for record in rounds]
            for name, rounds in cells.items()
            if all(record.ok(task) for record in rounds)
        }
        medians = {name: [float(np.median(each)) for each in taken] for name, taken in samples.items()}
        model = Model(medians, {name: cells[name][0].cell.lane for name in medians})
        for name, taken in samples.items():
            durations = [record.duration_s for record in cells[name]]
            if cost := worth.cost(taken, durations, model.spread(name)):
                found[name][task] = cost
    return found


def settings(cells: dict[Name, list[Round]]) -> worth.Settings:
    """The records' own. Raises ValueError if they are of several."""
    known = {rounds[0].cell.protocol.sampling for rounds in cells.values()}
    if len(known) > 1:
        raise ValueError(
            f"the records have {len(known)} different protocol.sampling; measure all cells with one"
        )
    (only_one,) = known
    return worth.Settings(only_one.min_iterations, only_one.min_seconds, only_one.max_seconds)


def words(cost: worth.Cost) -> Sequence[str]:
    """A line's figures: spreads as shares, times in seconds."""
    most = cost.worth * cost.sample_s
    return (
        *(f"{100 * value**0.5:.2g} %" for value in (cost.within, cost.between)),
        f"{cost.sample_s:.2g} s",
        f"{cost.process_s:.2g} s",
        f"{cost.samples * cost.sample_s:.2g} s",
        "as many as may be" if most == float("inf") else f"{most:.2g} s",
    )


def spelt(found: worth.Settings) -> str:
    """As the configuration has them."""
    return (
        f"`protocol: {{sampling: {{min_iterations: {found.min_iterations}, min_seconds: {found.min_seconds:g}, "
        f"max_seconds: {found.max_seconds:g}}}}}`"
    )


if __name__ == "__main__":
    sys.exit(main())
