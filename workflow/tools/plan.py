"""Say what Snakemake would run, why, and for how long, before anything starts.

Runs `snakemake --dry-run` with the arguments after `--` (without any: for results/report.md) and
prints one line a step. What the last run left failed, and nobody accepts, is listed: the exit status is then 1.
Durations are those of this results directory's own earlier jobs; a job without any is looked up in a table of
measured durations, scaled to this machine, and is called unknown if that lacks it. With --minutes only the rows are
planned that fit (budget.py); --overlay keeps the configuration that runs them, and leaves failures to that run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

import budget
import library
import settings
from arena import files
from durations import DURATIONS, MEASURING, Estimator, Key, environment_job, identity, read_durations
from planning.reasons import SETTINGS, reason_in_words, why
from planning.words import aligned, duration, estimate, listed, named, values_of

TOOLS = Path(__file__).resolve().parent  # holds the logger plugin, which Snakemake finds by its name
HEAD = "# The rows that fit, as `make report MINUTES=...` chose them; written anew by each.\n"

DECIDING = "decide_rounds"
# Of the jobs by which a run comes to ask whether anything is failed (rules/failures.smk).
SETTLING, AFTER_SETTLING = "settled", "Input files updated by another job: results/settled"


class Plan(NamedTuple):
    """What a dry run reports, as the logger plugin writes it."""

    jobs: list[dict[str, Any]]  # rule, wildcards, reason, settings (that changed); in the order of execution
    past: list[dict[str, Any]]  # rule, wildcards, env, seconds
    environments: list[str]  # env files to be installed first
    weights: list[str]  # where each model's weights come from, a sentence each
    extra: int = 0  # rounds that a cell may get beyond the planned ones
    extra_limit: float | None = None  # seconds for all of them together; None is no limit
    failed: tuple[str, ...] = ()  # what the last run left failed, a sentence each
    needs: Sequence[dict[str, Any]] = ()  # jobs again: rule, wildcards, env, and for the cells of which rows
    rows: Sequence[str] = ()  # of the run, in its order
    baseline: str = ""


def dry_run(arguments: list[str]) -> Plan:
    """What ``snakemake arguments`` would do.

    Raises SystemExit with Snakemake's exit status if it refuses; its message is on stderr by then.
    """
    with tempfile.TemporaryDirectory(prefix="plan-") as folder:
        events = Path(folder) / "events"
        ours = ["--dry-run", "--debug-dag", "--logger", "plan", "--logger-plan-out", str(events)]
        done = subprocess.run([*library.SNAKEMAKE, *ours, *arguments], env=environment())
        if done.returncode:
            raise SystemExit(done.returncode)
        lines = [json.loads(line) for line in events.read_text(encoding="utf-8").splitlines()]
    found = defaultdict(list)
    for line in lines:
        for kind, value in line.items():
            found[kind].append(value)
    if found["total"] and found["total"][-1] != len(found["job"]):
        raise SystemExit("Snakemake did not name every job; leave out --quiet")
    params = {
        identity(each): settings.in_words(each["old"], each["new"], each["names"]) for each in found["params"]
    }
    jobs = [
        job | {"settings": params.get(identity(job), "")}
        for job in found["job"]
        if job["works"] and job["rule"] != SETTLING and job["reason"] != AFTER_SETTLING
    ]
    extra = found["extra"][-1] if found["extra"] else {"rounds": 0, "seconds": None}
    rows = found["rows"][-1] if found["rows"] else {"run": [], "baseline": ""}
    return Plan(
        jobs,
        found["past"],
        found["environment"],
        found["weights"],
        extra["rounds"],
        extra["seconds"],
        tuple(found["failed"]),
        found["need"],
        rows["run"],
        rows["baseline"],
    )


def directory(arguments: list[str]) -> Path:
    """The folder in which Snakemake works with these arguments: --directory's (or -d's), else this one."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--directory", "-d", type=Path, default=Path())
    return parser.parse_known_args(arguments)[0].directory


def environment() -> dict[str, str]:
    """This process's environment, with the plugin and the commands beside this Python to be found."""
    paths = {"PYTHONPATH": str(TOOLS), "PATH": str(Path(sys.executable).parent)}
    old = {name: [os.environ[name]] if name in os.environ else [] for name in paths}
    return os.environ | {name: os.pathsep.join([path, *old[name]]) for name, path in paths.items()}


def rendered(plan: Plan, table: Mapping[Key, float]) -> str:
    """The plan as text for a terminal."""
    if not plan.jobs:
        return "\n".join(["Nothing to do: every result is up to date.", *plan.weights, *plan.failed])
    estimator = Estimator(plan.past, table)
    envs = {identity(job): job["env"] for job in plan.past}
    steps: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for job in plan.jobs:
        steps[job["rule"]].append(job)
    lines = [("step", "jobs", "models", "rows", "estimate", "why")]
    everything: list[float | None] = []
    for rule, jobs in steps.items():
        seconds = [estimator.seconds(job) for job in jobs]
        everything += seconds
        counts = Counter(why(job, envs.get(identity(job))) for job in jobs)
        causes = "; ".join(
            words if len(counts) == 1 else f"{words} ({n})" for words, n in counts.most_common()
        )
        cells = (named(jobs, "model"), named(jobs, "row"), estimate(seconds), causes)
        lines.append((rule, str(len(jobs)), *cells))
    lines.append(("total", str(len(plan.jobs)), "", "", estimate(everything), ""))
    text = [aligned(lines)]
    for wildcard in ("model", "row"):
        values = values_of(plan.jobs, wildcard)
        text += [f"{wildcard}s: {', '.join(values)}"] if len(values) > 2 else []
    if plan.environments:
        installing = [estimator.seconds(environment_job(path)) for path in plan.environments]
        text.append(
            f"environments to install first, {estimate(installing)}, not in the table: "
            f"{listed(sorted(plan.environments), 99)}"
        )
    text += [*plan.weights, *changed_settings(plan), *extra_rounds(plan, table)]
    return "\n".join([*text, *notes(everything, estimator.from_table, estimator.scale), *plan.failed])


def changed_settings(plan: Plan) -> list[str]:
    """For each setting that has changed, the cells that are measured again for it."""
    cells: dict[str, set[str]] = defaultdict(set)
    every = {cell_of(job) for job in plan.past if job["rule"] in MEASURING}
    for job in plan.jobs:
        if job["rule"] in MEASURING and job.get("settings") and why(job, None) == job["settings"]:
            cells[job["settings"]].add(cell_of(job))
    lines = []
    for words, members in cells.items():
        named = "every cell" if members == every and len(members) > 1 else listed(sorted(members), 6)
        lines.append(f"Measured again, because {words}: {named}")
    if any(word.startswith("threads ") for words in cells for word in words.split(", ")):
        lines.append(
            "Threads are protocol.threads; where that is auto, as many as cores are given (CORES=, --cores)."
        )
    return lines


def cell_of(job: Mapping[str, Any]) -> str:
    names = ("platform", "model", "row")
    return "/".join(job["wildcards"][name] for name in names if name in job["wildcards"])


def steps(plan: Plan, table: Mapping[Key, float]) -> list[budget.Step]:
    """Everything that the plan does, its environments too, each with the rows that need it."""
    estimator = Estimator(plan.past, table)
    found = [
        budget.Step(frozenset(job["rows"]), estimator.seconds(job), job["rule"] in MEASURING)
        for job in plan.needs
    ]
    for path in plan.environments:
        used = [frozenset(job["rows"]) for job in plan.needs if job["env"] and same_file(job["env"], path)]
        rows = frozenset() if frozenset() in used else frozenset().union(*used)
        found.append(budget.Step(rows, estimator.seconds(environment_job(path))))
    return found


def same_file(path: str, other: str) -> bool:
    return Path(path).absolute() == Path(other).absolute()


def fitted(plan: Plan, table: Mapping[Key, float], minutes: float) -> budget.Choice:
    """The rows that fit into ``minutes``. Raises ValueError as ``budget.choose`` does, and where no row is run."""
    if not plan.rows:
        raise ValueError("--minutes needs a run of rows; this plan has none")
    extra = sum(seconds or 0.0 for seconds in extra_seconds(plan, table))
    if plan.extra_limit is not None:
        extra = min(extra, plan.extra_limit)
    return budget.choose(plan.rows, plan.baseline, steps(plan, table), extra, minutes)


def extra_rounds(plan: Plan, table: Mapping[Key, float]) -> list[str]:
    """How many rounds the decision that is to be made (rules/adaptive.smk) may add at most, and how long they take."""
    seconds = extra_seconds(plan, table)
    if not seconds:
        return []
    limit = "" if plan.extra_limit is None else f" and {plan.extra_limit:g} s"
    return [
        f"Extra rounds, not in the table: at most {len(seconds)} ({estimate(seconds)}){limit}, decided by the spread"
        " measured."
    ]


def extra_seconds(plan: Plan, table: Mapping[Key, float]) -> list[float | None]:
    """How long each of those rounds takes."""
    causes = {
        job["wildcards"]["platform"]: reason_in_words(job["reason"], None)
        for job in plan.jobs
        if job["rule"] == DECIDING
    }
    # A cell that is not measured again keeps what was decided, unless that was never, or for other settings.
    anew = [job for job in plan.past if causes.get(job["wildcards"].get("platform")) in ("new", SETTINGS)]
    cells = {
        tuple(job["wildcards"][name] for name in ("platform", "model", "row"))
        for job in [*plan.jobs, *anew]
        if job["rule"] in MEASURING and job["wildcards"].get("platform") in causes
    }
    estimator = Estimator(plan.past, table)
    return [
        estimator.seconds({"rule": MEASURING[1], "wildcards": {"model": model, "row": row}})
        for _, model, row in sorted(cells)
        for _ in range(plan.extra)
    ]


def notes(seconds: list[float | None], from_table: int, factor: float = 1.0) -> list[str]:
    """How far the estimate can be trusted."""
    text = []
    if any(value is not None for value in seconds):
        text.append("The estimate adds up the jobs' durations; preparing in parallel takes less.")
    if from_table:
        text.append(
            f"{from_table} of {len(seconds)} durations were measured on another machine, at full size, and are scaled"
            f" by {factor:.2g}."
        )
    if None in seconds:
        text.append(f"{seconds.count(None)} job(s) of unknown duration are not in the total.")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--durations", type=Path, default=DURATIONS, help="CSV of rule, model, row, seconds")
    parser.add_argument("--minutes", type=minutes, help="plan only the rows that fit into so many minutes")
    parser.add_argument("--overlay", type=Path, help="with --minutes: write the configuration that runs them")
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="arguments for Snakemake")
    args = parser.parse_args()
    if args.overlay and args.minutes is None:
        parser.error("--overlay needs --minutes")
    arguments = args.arguments or ["results/report.md"]
    try:
        table = read_durations(args.durations)
        if args.minutes is None:
            plan, told = dry_run(arguments), []
        else:
            plan, told = within(args.minutes, table, arguments, args.overlay)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    print("\n".join([rendered(plan, table), *told]))
    if plan.failed and not args.overlay:
        raise SystemExit(1)


def minutes(text: str) -> float:
    """A number of minutes from the command line."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
    return value


def laid_over(arguments: list[str], overlay: Path) -> list[str]:
    """Snakemake's arguments with one more overlay, the last: of two --configfile only one would count."""
    option = "--configfile"
    if option not in arguments:
        return [option, str(overlay.absolute()), *arguments]
    end = arguments.index(option) + 1
    while end < len(arguments) and not arguments[end].startswith("-"):
        end += 1
    return [*arguments[:end], str(overlay.absolute()), *arguments[end:]]


def within(
    limit: float, table: Mapping[Key, float], arguments: list[str], kept: Path | None
) -> tuple[Plan, list[str]]:
    """The plan of the rows that fit into ``limit`` minutes, and what to say of it.

    The configuration that runs them is written to ``kept``.
    """
    choice = fitted(dry_run(arguments), table, limit)
    with tempfile.TemporaryDirectory(prefix="plan-") as folder:
        path = kept or Path(folder) / "budget.yaml"
        files.write_text(path, HEAD + yaml.safe_dump(dict(budget.overlay(choice)), sort_keys=False))
        plan = dry_run(laid_over(arguments, path))
    told = [
        f"Within {limit:g} minutes: {', '.join(choice.taken)}; about {duration(choice.seconds)}, environments too."
    ]
    told += ["No cell gets extra rounds."] if not choice.whole else []
    told += [f"Left out, {row}: {why}" for row, why in choice.left_out.items()]
    return plan, told


if __name__ == "__main__":
    main()
