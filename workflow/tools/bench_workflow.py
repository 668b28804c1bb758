"""Time the workflow itself: everything cold from a fresh clone, then a run with nothing to do.

    python workflow/tools/bench_workflow.py                  both; most of an hour on two cores
    python workflow/tools/bench_workflow.py --idle-only      only the second, in the current directory

The first clones this checkout's HEAD into an empty directory, uses an empty package cache, and
reports how long each phase took. The second compares, in turn, `snakemake` with nothing to do and
`snakemake` on an empty workflow.
"""

from __future__ import annotations

import argparse
import base64
import csv
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import calibration
import durations

ROOT = Path(__file__).resolve().parents[2]
REPORT = ("results/report.md", "results/report.html")
EMPTY = 'rule all:\n    input: "there"\n'


class Ran(NamedTuple):
    """A job that Snakemake finished: times in seconds since the epoch."""

    rule: str
    model: str
    row: str
    start: float
    end: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--idle-only", action="store_true", help="compare idle runs in the current directory")
    parser.add_argument("--directory", type=Path, help="where to clone (default: a new temporary directory)")
    parser.add_argument("--pairs", type=int, default=5, help="idle runs of each kind (default: %(default)s)")
    parser.add_argument(
        "--durations", type=Path, help="also write the jobs' durations to this CSV, for plan.py"
    )
    args = parser.parse_args()
    if args.idle_only:
        return idle(Path.cwd(), Path(sys.executable).parent, args.pairs)
    clone = args.directory or Path(tempfile.mkdtemp(prefix="arena-bench-")) / "arena"
    fresh(clone)
    if args.durations:
        write_durations(args.durations, jobs(clone), environments(clone))
    idle(clone, clone / ".venv" / "bin", args.pairs)


def fresh(clone: Path) -> None:
    """Clone, set up and run the default configuration with empty caches; print the split."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    cache = {"UV_CACHE_DIR": str(clone.parent / "uv-cache"), "PIP_NO_CACHE_DIR": "1"}
    phases = {
        "runner environment": ["make", "setup"],
        "frameworks' environments": [".venv/bin/snakemake", "--conda-create-envs-only", *REPORT],
        "workflow": ["make", "report"],
    }
    path = f"{clone / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    seconds = {}
    for phase, command in phases.items():
        begin = time.monotonic()
        subprocess.run(command, cwd=clone, env=os.environ | cache | {"PATH": path}, check=True)
        seconds[phase] = time.monotonic() - begin
        print(f"{phase}: {seconds[phase]:.0f} s", flush=True)
    ran = jobs(clone)
    measuring = [job for job in ran if job.rule in durations.MEASURING]
    measured = sum(job.end - job.start for job in measuring)
    before = min(job.start for job in measuring) - min(job.start for job in ran)
    print(f"  weights, references, exports, builds: {before:.0f} s")
    for name, spent in environments(clone).items():
        print(f"  environment {name}: {spent:.0f} s")
    for job in (job for job in ran if job.rule == "build_engine"):
        print(f"  build of {job.row}: {job.end - job.start:.0f} s")
    for row in dict.fromkeys(job.row for job in measuring):
        print(f"  measuring {row}: {sum(job.end - job.start for job in measuring if job.row == row):.0f} s")
    share = measured / seconds["workflow"]
    print(f"  measuring: {measured:.0f} s in {len(measuring)} jobs, {share:.0%} of the workflow")
    print(f"all: {sum(seconds.values()) / 60:.1f} min")


def jobs(directory: Path) -> list[Ran]:
    """What Snakemake's metadata says of the jobs that made the results in ``directory``."""
    found: dict[str, Ran] = {}  # a job has a record for each of its outputs; its command tells it apart
    for file in (directory / ".snakemake" / "metadata").rglob("*"):
        if file.is_file():
            record = json.loads(file.read_text(encoding="utf-8"))
            encoded = (
                str(file.relative_to(directory / ".snakemake" / "metadata"))
                .replace("/@", "")
                .replace("/", "")
            )
            output = base64.b64decode(encoded).decode()
            place = re.match(r"results/(?:benchmarks|validation)/[^/]+/([^/]+)/([^/.]+)", output)
            place = place or re.match(r"results/(?:models|exports)/([^/]+)()/", output)
            place = place or re.match(r"results/engines/[^/]+/()([^/]+)/", output)
            model, row = place.groups() if place else ("", "")
            job = Ran(record["rule"], model, row, record["starttime"], record["endtime"])
            same = found.get(record["shellcmd"], job)
            found[record["shellcmd"]] = job._replace(
                start=min(job.start, same.start), end=max(job.end, same.end)
            )
    if not found:
        sys.exit(f"{directory}: no jobs recorded in .snakemake/metadata; run the workflow there first")
    return sorted(found.values(), key=lambda job: job.start)


def environments(directory: Path) -> dict[str, float]:
    """How many seconds each environment took to install, by the name of its file.

    Snakemake copies the file when it begins and leaves a mark when it has ended.
    """
    names = {file.read_bytes(): file.stem for file in (directory / "envs").glob("*.yaml")}
    found = {}
    for mark in sorted((directory / ".snakemake" / "conda").glob("*.env_setup_done")):
        copy = mark.with_suffix(".yaml")
        found[names[copy.read_bytes()]] = mark.stat().st_mtime - copy.stat().st_mtime
    return found


def write_durations(path: Path, ran: list[Ran], installed: Mapping[str, float]) -> None:
    """One line for each (rule, model, row): the median of its jobs' seconds; with an engine or an environment as row.

    One more says how fast this machine is, so that others can scale the rest.
    """
    grouped: dict[tuple[str, str, str], list[float]] = {
        (durations.ENVIRONMENT, "", name): [seconds] for name, seconds in installed.items()
    }
    grouped[calibration.RULE, "", ""] = [calibration.seconds()]
    for job in ran:
        grouped.setdefault(job[:3], []).append(job.end - job.start)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(durations.COLUMNS)
        for key, seconds in sorted(grouped.items()):
            digits = 4 if key[0] == calibration.RULE else 1
            writer.writerow([*key, f"{statistics.median(seconds):.{digits}f}"])


def idle(directory: Path, binaries: Path, pairs: int) -> None:
    """Print the time of a run with nothing to do over that of an empty workflow, pair by pair; and the processor
    time, which other work on the machine changes less.
    """
    with tempfile.TemporaryDirectory() as empty:
        (Path(empty) / "Snakefile").write_text(EMPTY, encoding="utf-8")
        (Path(empty) / "there").touch()
        snakemake = [str(binaries / "snakemake"), "--cores", "all"]
        runs = {"arena": ([*snakemake, *REPORT], directory), "empty": (snakemake, Path(empty))}
        seconds = {name: [] for name in runs}
        processor = {name: [] for name in runs}
        for _ in range(pairs + 1):
            for name, (command, where) in runs.items():
                path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
                begin, spent = time.monotonic(), children_seconds()
                done = subprocess.run(
                    command,
                    cwd=where,
                    env=os.environ | {"PATH": path},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                seconds[name].append(time.monotonic() - begin)
                processor[name].append(children_seconds() - spent)
                if "Nothing to be done" not in done.stderr + done.stdout:
                    sys.exit(f"{where}: expected nothing to do, but Snakemake said:\n{done.stderr[-2000:]}")
    for what, found in {"time": seconds, "processor time": processor}.items():
        arena, nothing = found["arena"][1:], found["empty"][1:]  # the first pair warms the page cache
        ratios = [one / other for one, other in zip(arena, nothing, strict=True)]
        medians = f"{statistics.median(arena):.2f} s, empty workflow: {statistics.median(nothing):.2f} s"
        print(f"nothing to do, {what}: {medians}")
        print(
            f"  ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, {pairs} pairs)"
        )


def children_seconds() -> float:
    """The processor's seconds of all processes that this one has started and that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
