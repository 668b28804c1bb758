"""What failed: the run's exit status, until it is measured again or accepted; raised limits; how to try again."""

from arena.contract import failures

FAILURES = "results/failures/{platform}.json"
SETTLED = "results/settled"
ASKED = Path("results/asked")


def failures_on(platform):
    """What the last run here has noted; None if there was none."""
    path = Path(FAILURES.format(platform=platform))
    return failures.read(path) if path.exists() else None


def failed_before():
    """What the last run here has left failed, of the cells that this one has."""
    return [
        failure
        for known in map(failures_on, PLATFORMS)
        for failure in (known.failures if known else ())
        if failure.model in RUN["models"] and failure.row in RUN["rows"]
    ]


def prepared_model(model):
    """The records of a model's download, weights and reference."""
    downloaded = MODELS[model]["weights"] in ("hub", "auto")
    names = ["checkpoint.json"] * downloaded + ["source.json", "reference.json"]
    return [f"results/models/{model}/{name}" for name in names]


def prepared_for(platform):
    """The records of the weights, the reference, the exports and the build that each cell needs, by MODEL/ROW, as
    JSON.
    """
    found = {}
    absent = {(each["model"], each["row"]) for each in unmeasured(platform)}
    for cell in run_cells(platform):
        if (cell["model"], cell["row"]) in absent:
            continue
        wildcards = SimpleNamespace(**cell)
        exports = [
            f"{path}.json"
            for path in (exported(wildcards), exported_decode(wildcards))
            if path
        ]
        found[f"{cell['model']}/{cell['row']}"] = [
            *prepared_model(cell["model"]),
            *exports,
            *filter(None, [engine_record(wildcards)]),
        ]
    return as_json(found)


FAILED_BEFORE = failed_before()


def raised(failure):
    """Which limit that ended the failure's process is higher in this run; None if none is."""
    where = SimpleNamespace(platform=failure.platform)
    return failures.limit_raised(failure, PROTOCOL["timeout_s"], memory_limit(where))


@cache
def raised_limits(platform):
    """By a round's file, for which raised limit it is measured again, or was."""
    known = failures_on(platform)
    now = {
        failure.record: why
        for failure in FAILED_BEFORE
        if failure.platform == platform and (why := raised(failure))
    }
    return (known.raised if known else {}) | now


def raised_limit(wildcards):
    path = ROUND.format(n=round_number(wildcards), **cell_of(wildcards))
    return raised_limits(wildcards.platform).get(path, "")


def cell_of(wildcards):
    return {key: wildcards[key] for key in ("platform", "model", "row")}


def asked():
    """How many runs have ended with something failed that was not accepted."""
    return int(ASKED.read_text(encoding="utf-8")) if ASKED.exists() else 0


def tell_what_failed():
    """Say as a run begins, or as it is planned, what the last one has left failed, and what is accepted."""
    for failure in FAILED_BEFORE:
        why = failures.accepted(failure, CONFIG["accepted"])
        if why:
            logger.info(f"Failed, and accepted ({why}): {failure}")
            continue
        again = raised(failure)
        note = f". Measured again, because {again}" if again else ""
        text = f"Failed before: {failure}{note}"
        logger.warning(text, extra={"failed_before": text})  # for plan.py


def unsettled():
    """What is failed as the run ends, and not accepted, in words; "" if nothing is. The next run asks again."""
    found = [
        failure
        for failure in failed_before()
        if not failures.accepted(failure, CONFIG["accepted"])
    ]
    if not found:
        return ""
    files.write_text(ASKED, f"{asked() + 1}\n")
    cells = len({failure.cell for failure in found if not failure.task})
    tasks = len([failure for failure in found if failure.task])
    counts = [f"{cells} cell(s) failed"] * bool(cells)
    counts += [f"{tasks} task(s) of measured cells failed"] * bool(tasks)
    said = f"{' and '.join(counts)}; results/report.md says why and how to try again:"
    return "\n".join(
        [said, *(f"  {each}" for each in found), f"{AGAIN} measures all of it again."]
    )


def complain_about_failures():
    """Make the run's exit status say that something failed; the report stands all the same."""
    if text := unsettled():
        raise WorkflowError(text)


def mention_failures():
    """Say at the end of a run that has not come through what is failed besides."""
    if text := unsettled():
        logger.error(text)


# As the reports name it: from the checkout, where its run is in the checkout, else from anywhere.
RETRY = "results/retry" if Path.cwd() == ROOT else str(Path.cwd() / "results" / "retry")
AGAIN = "`make retry`" if Path.cwd() == ROOT else f"`{RETRY}`"

RETRY_PROGRAM = """\
#!/bin/sh
# Measure again, with the settings of the last run here, all that failed in it, or one cell, from round 1 or the one
# given on; what failed of its exports and its build is made again first.
set -eu
cd -- "$(dirname -- "$0")/.."
if [ "$(pwd -P)" != {directory} ]; then
    echo "$0 was written for "{directory}", and would run that one's programs: run here once, which writes it anew" >&2
    exit 2
fi
if [ $# -gt 2 ] || [ $# -gt 0 ] && [ ! -d "results/benchmarks/$1" ]; then
    echo "usage: $0 [PLATFORM/MODEL/ROW [ROUND]], of a cell below {directory}/results/benchmarks" >&2
    exit 2
fi
PATH={programs}:"$PATH"
export PATH
files=$({python} {tool} {failures} --cell "${{1:-}}" --round "${{2:-1}}")
if [ -z "$files" ]; then
    echo "Nothing has failed here." >&2
    exit 0
fi
exec {command} --forcerun $files -- results/report.md results/report.html
"""


def write_retry():
    """Leave the program that the reports name to try what failed again."""
    text = RETRY_PROGRAM.format(
        directory=shlex.quote(str(Path.cwd())),
        programs=shlex.quote(str(Path(sys.executable).parent)),
        python=shlex.quote(sys.executable),
        tool=shlex.quote(str(here(ROOT / "workflow" / "tools" / "failed.py"))),
        failures=shlex.join(FAILURES.format(platform=name) for name in PLATFORMS),
        command=command_line(),
    )
    files.write_program(Path("results/retry"), text)


if workflow.is_main_process:
    tell_what_failed()
