"""Say in words what changed since the last run, and what each change would run again.

A line for each change: `jax 0.10.2 → 0.10.3: 10 measurements, 5 validations, report; about 6 min`. What runs
is Snakemake's word (a dry run with the arguments after `--`); versions are those that the results record,
against those that the environment's file now pins. `plan.py` shows the same steps as a table.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

import library  # noqa: F401
import plan
from arena.contract import codec
from arena.contract import round as rounds
from planning import reasons, words

FOLLOWS = reasons.reason_in_words("Input files updated by another job", None)
CHANGED = re.compile(r"environment (.*) changed$")
PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*==\s*([^\s;]+)")
NAMES = {"benchmark": "measurement", "benchmark_repeat": "measurement"}
NAMES |= {"validate": "validation", "validate_more": "validation"}
REPORTS = {"decide_rounds", "platform", "take_submission", "report", "page"}
LISTED = 4  # packages named in a line

Job = dict[str, Any]
Owner = tuple[str | None, ...]


def causes(the_plan: plan.Plan) -> dict[str, list[Job]]:
    """Jobs by the change that makes them run, as words; a job that follows from several is in each.

    One that only follows from others belongs to the changes of its own cell, else of its model, else to all.
    """
    envs = {plan.identity(job): job["env"] for job in the_plan.past}
    found: dict[str, list[Job]] = defaultdict(list)
    followers = []
    for job in the_plan.jobs:
        why = reasons.why(job, envs.get(plan.identity(job)))
        if why == FOLLOWS or job["rule"] in REPORTS:
            followers.append((job, why))
        else:
            found[why].append(job)
    roots = dict(found)
    owned = {
        kind: {why: {kind(job) for job in jobs} for why, jobs in roots.items()} for kind in (cell, model)
    }
    for job, why in followers:
        owners = [] if job["rule"] in REPORTS else next(filter(None, (_owners(owned, job))), [])
        for owner in owners or list(roots) or [why]:
            found[owner].append(job)
    return dict(found)


def cell(job: Job) -> Owner:
    return tuple(job["wildcards"].get(name) for name in ("platform", "model", "row"))


def model(job: Job) -> Owner:
    return (job["wildcards"].get("model"),)


def _owners(owned: Mapping[Any, Mapping[str, set]], job: Job) -> Iterable[list[str]]:
    for kind, whys in owned.items():
        yield [why for why, members in whys.items() if kind(job) in members]


def in_words(why: str, jobs: list[Job], results: Path) -> str:
    """The cause, with the versions where it is an environment that changed."""
    match = CHANGED.fullmatch(why)
    if not match:
        return why
    recorded = next(filter(None, (packages(results, job) for job in jobs)), None)
    if recorded is None:
        return why
    moved = moves(recorded, pins(Path(match[1])))
    if not moved:
        return f"{match[1]} was written anew, with the same versions of what was measured"
    more = f" and {len(moved) - LISTED} more" if len(moved) > LISTED else ""
    return ", ".join(moved[:LISTED]) + more


def packages(results: Path, job: Job) -> dict[str, str]:
    """Versions with which a cell was measured, or nothing: an engine's do not come from its environment, and what
    an older arena recorded may not be readable.
    """
    if NAMES.get(job["rule"]) != "measurement":
        return {}
    record = results.joinpath("benchmarks", *map(str, cell(job)), "round-1.json")
    try:
        known = rounds.read(record)
    except (FileNotFoundError, codec.ContractError):
        return {}
    return {} if known.build else known.packages


def pins(env: Path) -> dict[str, str]:
    """``{package: version}`` of an environment's file, names as PyPI normalises them."""
    lists = [
        each["pip"]
        for each in yaml.safe_load(env.read_text(encoding="utf-8"))["dependencies"]
        if isinstance(each, dict)
    ]
    found = (PIN.match(line) for lines in lists for line in lines)
    return {normal(match[1]): match[2] for match in found if match}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def moves(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """``name old → new`` of what was measured, in the order of the file, which begins with the framework."""
    old = {normal(name): version for name, version in before.items()}
    moved = [f"{name} {old[name]} → {new}" for name, new in now.items() if old.get(name, new) != new]
    return moved + [f"{name} {version} → not pinned" for name, version in old.items() if name not in now]


def counted(jobs: list[Job]) -> str:
    """``10 measurements, 5 validations, report``."""
    counts = Counter(NAMES.get(job["rule"], job["rule"]) for job in jobs if job["rule"] not in REPORTS)
    parts = [f"{n} {name}{'s' * (n > 1 and name in NAMES.values())}" for name, n in counts.items()]
    return ", ".join(parts + ["report"] * any(job["rule"] in REPORTS for job in jobs))


def rendered(the_plan: plan.Plan, table: Mapping[plan.Key, float], results: Path) -> str:
    """A line a change, for a terminal."""
    if not the_plan.jobs:
        return "Nothing changed: every result is up to date."
    estimator = plan.Estimator(the_plan.past, table)
    lines = []
    for why, jobs in causes(the_plan).items():
        seconds = words.estimate([estimator.seconds(job) for job in jobs])
        lines.append(f"{in_words(why, jobs, results)}: {counted(jobs)}; about {seconds}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results",
        type=Path,
        help="results directory (default: results, in Snakemake's --directory if given)",
    )
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="arguments for Snakemake")
    args = parser.parse_args()
    arguments = args.arguments or ["results/report.md"]
    the_plan = plan.dry_run(arguments)
    results = args.results or plan.directory(arguments) / "results"
    print(rendered(the_plan, plan.read_durations(plan.DURATIONS), results))


if __name__ == "__main__":
    main()
