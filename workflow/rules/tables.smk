"""What the verdicts, tables and reports are told: tolerances, which files, captions, how to try again."""

import os
from itertools import product

from arena import files
from arena.contract import decision
from arena.judging import widening
from models import flops
from arena.configuration.loader import SCHEMA, float32_row
from reporting import catalogue, listing
from reporting.submissions import lines


def gate(wildcards):
    """The lane's tolerances, its close factor, and how the lane's noise widens them."""
    tolerances, factor, widened = widening.parted(
        CONFIG["gate"][framework(wildcards)["lane"]]
    )
    rules = ["--tolerances", as_json(tolerances), "--close-factor", factor]
    return rules + (["--widening", as_json(vars(widened))] if widened else [])


def float32_rows():
    """With which row each row of reduced precision is compared, as far as that one is run."""
    found = {row: float32_row(CONFIG["frameworks"], row) for row in RUN["rows"]}
    return as_json(
        {
            row: other
            for row, other in found.items()
            if other != row and other in RUN["rows"]
        }
    )


def allocations(platform):
    """The account of the allocations that a platform's records come from; [] where they were measured here."""
    account = Path(f"results/allocations/{platform}.json")
    return [str(account)] if account.exists() else []


@cache
def accounts(platform):
    found = allocations(platform)
    if found:
        # Here, because only tables of several allocations need it.
        from reporting import allotments
    return [allotments.read(Path(path)) for path in found]


@cache
def merged_rounds(platform):
    """The numbers of each cell's rounds, where several allocations were put together (workflow/tools/allocations.py)."""
    found = {}
    for account in accounts(platform):
        for allocation in account.allocations:
            for each in allocation.rounds:
                found.setdefault(each.cell, []).append(each.here)
    return found


@cache
def unmeasured(platform):
    """The cells that those allocations lack, as collect_platform.py takes them: their framework cannot run the model,
    or the account says why nobody measured them."""
    found = []
    for account in accounts(platform):
        for cell in run_cells(platform):
            model, row = cell["model"], cell["row"]
            if f"{model}/{row}" in merged_rounds(platform):
                continue
            about = {
                "framework": FRAMEWORKS[row]["id"],
                "lane": FRAMEWORKS[row]["lane"],
            }
            entry = CONFIG["frameworks"][about["framework"]]
            reason = frameworks.model_reason(entry, model, MODELS[model]["definition"])
            if why := account.why_missing(model, row):
                reason = reason or {"why": why}
            if reason:
                found.append({"model": model, "row": row, **about, **reason})
    return found


@cache
def decision_in(path, changed_ns):
    return decision.read(Path(path))


def decided(platform):
    """What of the platform's cells is decided. Until it is, Snakemake takes this for an incomplete checkpoint."""
    path = checkpoints.decide_rounds.get(platform=platform).output.decision
    return decision_in(path, os.stat(path).st_mtime_ns).cells


def decisions():
    """What the reports take besides the tables, so that a first decision is made: Snakemake does not ask for one that
    is missing behind tables that are there, as where a run without extra rounds came before one with them.
    """
    decided_on = [name for name in PLATFORMS if not merged_rounds(name)]
    found = expand("results/adaptive/{platform}.json", platform=decided_on)
    return found if ADAPTIVE else []


@cache
def run_cells(platform):
    """Every cell that is run there, {platform, model, row}."""
    cells = expand("{model}/{row}", model=RUN["models"], row=RUN["rows"])
    keys = ("platform", "model", "row")
    return [dict(zip(keys, (platform, *cell.split("/")))) for cell in cells]


def measured_models(platform):
    """The models of which a cell is run there, or was measured."""
    absent = {(each["model"], each["row"]) for each in unmeasured(platform)}
    cells = product(RUN["models"], RUN["rows"])
    return list(
        dict.fromkeys(model for model, row in cells if (model, row) not in absent)
    )


def counted_cells(platform):
    """(cell, the numbers of the rounds that count for it, whether they are more than were planned) of all cells."""
    merged = merged_rounds(platform)
    absent = {(each["model"], each["row"]) for each in unmeasured(platform)}
    more = decided(platform) if ADAPTIVE and not merged else {}
    for cell in run_cells(platform):
        name = f"{cell['model']}/{cell['row']}"
        if (cell["model"], cell["row"]) in absent:
            continue
        if name in more and more[name].rounds > len(ROUNDS):
            yield cell, range(1, more[name].rounds + 1), True
        else:
            yield cell, merged.get(name, ROUNDS), False


ROUND = "results/benchmarks/{platform}/{model}/{row}/round-{n}.json"


def rounds_on(*platforms):
    """Every round that counts of the cells that are run there."""
    return [
        ROUND.format(n=n, **cell)
        for platform in platforms
        for cell, numbers, _ in counted_cells(platform)
        for n in numbers
    ]


VERDICT = "results/validation/{platform}/{model}/{row}.json"
VERDICT_ON_MORE = "results/validation/{platform}/{model}/{row}/rounds-{n}.json"


def verdicts_on(*platforms):
    """The verdict on each cell that is run there, on all rounds that count."""
    return [
        (VERDICT_ON_MORE if more else VERDICT).format(n=len(numbers), **cell)
        for platform in platforms
        for cell, numbers, more in counted_cells(platform)
    ]


def planned_rounds(wildcards):
    """Every cell's planned rounds."""
    cells = run_cells(wildcards.platform)
    return [ROUND.format(n=n, **cell) for cell in cells for n in ROUNDS]


def planned_verdicts(wildcards):
    """The verdict on those of every cell."""
    return [VERDICT.format(**cell) for cell in run_cells(wildcards.platform)]


def rounds(pattern):
    """Input function: ``pattern`` for every planned round of the cell, or for as many as its name says."""

    def of_cell(wildcards):
        cell = {key: wildcards[key] for key in ("platform", "model", "row")}
        numbers = range(1, int(wildcards.get("n", len(ROUNDS))) + 1)
        return [pattern.format(n=n, **cell) for n in numbers]

    return of_cell


def row_labels():
    """What the rows are called in the reports; no part of a cell, so that another name measures nothing again."""
    return as_json({row: FRAMEWORKS[row]["label"] for row in RUN["rows"]})


def row_sentences():
    """Why the frameworks that are run lack a task; no part of a cell, as labels are not."""
    run = {FRAMEWORKS[row]["id"] for row in RUN["rows"]}
    entries = CONFIG["frameworks"].items()
    return as_json(
        frameworks.sentences({name: entry for name, entry in entries if name in run})
    )


def known_crashes():
    """What is known of crashes in the kernels of the frameworks that are run; no part of a cell, as labels are not."""
    run = dict.fromkeys(FRAMEWORKS[row]["id"] for row in RUN["rows"])
    return as_json({name: CONFIG["frameworks"][name]["crashes"] for name in run})


def command_line():
    """The command of this run, as far as it decides what is measured."""
    settings, deployment = workflow.config_settings, workflow.deployment_settings
    # Other cores might mean other threads, with which every cell would be measured again.
    words = ["snakemake", "--cores", THREADS]
    if asked_of_slurm():
        words = ["snakemake", "--profile", here(ROOT / "profiles" / "slurm")]
    away = Path.cwd() != ROOT
    if away:
        words += ["--snakefile", ROOT / "Snakefile", "--directory", Path.cwd()]
    if HOST:
        words += ["--workflow-profile", here(ROOT / "profiles" / "host")]
    if deployment.conda_prefix:
        words += ["--conda-prefix", deployment.conda_prefix]
    if settings.configfiles:
        paths = settings.configfiles if away else map(here, settings.configfiles)
        words += ["--configfile", *paths]
    if settings.config_args:
        words += ["--config", *settings.config_args]
    return shlex.join(map(str, words))


def work():
    """How much each model computes, and of which one it is a variant."""
    found = {}
    for model in RUN["models"]:
        entry = MODELS[model]
        inputs = entry["workload"]["inference"]
        shapes = {name: fill["shape"] for name, fill in inputs.items()}
        found[model] = {
            "scale_of": entry["scale_of"],
            "forward_flops": flops.forward(
                entry["definition"], entry["architecture"], shapes
            ),
            **flops.extent(shapes),
        }
    return as_json(found)


def platform_label(wildcards):
    return PLATFORMS[wildcards.platform]["label"]


def captions():
    """What the report says of each model beside its figures."""
    keys = ("title", "url", "caveats")
    found = {
        model: {key: MODELS[model][key] for key in keys} for model in RUN["models"]
    }
    for model, caption in found.items():
        if MODELS[model]["weights"] in ("hub", "auto"):
            caption["expected_loss"] = MODELS[model]["source"]["loss"]
    if not PROTOCOL["exclusive"]:
        for caption in found.values():
            caption["caveats"] = [
                *caption["caveats"],
                "This run's cells were measured beside one another.",
            ]
    return as_json(found)


def notes():
    """What the report says of the frameworks that are run, and which are not."""
    catalogue = CONFIG["frameworks"]
    run = dict.fromkeys(FRAMEWORKS[row]["id"] for row in RUN["rows"])
    said = [
        f"{catalogue[name]['name']}: {text}"
        for name in run
        for text in catalogue[name]["caveats"]
    ]
    explained = {
        row: why for row, why in RUN["left_out"].items() if row not in RUN["rows"]
    }
    said += [
        f"{FRAMEWORKS[row]['label']} is not measured in this run: {why}"
        for row, why in explained.items()
    ]
    run |= dict.fromkeys(FRAMEWORKS[row]["id"] for row in explained)
    others = [entry["name"] for name, entry in catalogue.items() if name not in run]
    if others:
        said.append(f"Not measured in this run: {', '.join(others)}.")
    if explained or others:
        said.append(
            "`run.rows` of the configuration chooses what is measured; `--configfile config/full.yaml` measures every"
            " framework."
        )
    return said


# For plan.py, which keeps a run within a number of minutes.
if workflow.is_main_process:
    logger.info(
        f"Rows: {', '.join(RUN['rows'])}",
        extra={"arena_rows": RUN["rows"], "arena_baseline": RUN["baseline"]},
    )


def configured():
    """The files of the catalogues, and the schema that completes them."""
    return [*sorted((ROOT / "config").glob("*/*.yaml")), ROOT / SCHEMA]


@cache
def project():
    """Models and rows as this project has them, whatever this run makes of them: what submissions are held against.

    Kept until the project changes, because to read it takes longer than a run with nothing to do may.
    """
    kept = Path(".snakemake/arena-project")
    state = listing.digest(configured(), code("reporting/catalogue.py"))
    if kept.exists() and (told := files.read_json(kept))["state"] == state:
        return told["project"]
    found = catalogue.of(resolve({}, ROOT))
    files.write_json(kept, {"state": state, "project": found})
    return found


def read_published():
    """Refuse what strangers sent and cannot be shown before anything is measured; the tables and submissions."""
    try:
        tables, submissions = listing.of(ROOT / CONFIG["published"])
        if workflow.is_main_process:
            judge_published(tables, submissions)
    except ValueError as error:
        raise WorkflowError(str(error)) from error
    return tables, submissions


def judge_published(tables, submissions):
    """Read all of them as the reports will; what was taken once is taken, until it or a rule changes."""
    remembered = Path(".snakemake/arena-published")
    rules = [code("take_submission.py"), as_json(CONFIG["gate"])]
    judged = listing.digest([*tables, *submissions, *configured()], *rules)
    if remembered.exists() and remembered.read_text(encoding="utf-8") == judged:
        return
    # Their imports take longer than a run with nothing to do may.
    from reporting import intake
    from reporting.submissions import evidence

    intake.published(tables, gate=CONFIG["gate"])
    for path in submissions:
        evidence.read(path, project())
    files.write_text(remembered, judged)


PUBLISHED_TABLES, SUBMISSIONS = read_published()


def known(wildcards):
    """What this project knows of the models and rows of a submission, and of no others: they change nothing there."""
    names = lines.names(ROOT / CONFIG["published"] / f"{wildcards.name}.jsonl")
    return as_json(
        {
            part: {name: entry for name, entry in entries.items() if name in names}
            for part, entries in project().items()
        }
    )


def published():
    """Platform tables that were measured elsewhere."""
    return [here(path) for path in PUBLISHED_TABLES]


def recomputed():
    """The tables of submissions."""
    return [f"results/published/{path.stem}.csv" for path in SUBMISSIONS]


RELEASE_DAYS = ROOT / "config" / "releases.csv"


def released_tables():
    """Tables with a framework before and after a release (workflow/tools/releases.py)."""
    return [here(path) for path in sorted((ROOT / "report" / "releases").glob("*.csv"))]


def distributions():
    """The package of each framework, by whose version its days of release are found."""
    return as_json(
        {name: entry["distribution"] for name, entry in CONFIG["frameworks"].items()}
    )
