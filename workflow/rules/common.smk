"""Names and helpers shared by the rules. No rule is defined here."""

import csv
import hashlib
import json
import shlex
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from arena import imports, machine
from arena.config import ConfigError, resolve

try:
    CONFIG = resolve(config, ROOT)
except ConfigError as error:
    raise WorkflowError(str(error)) from error

RUN, PROTOCOL, MODELS = CONFIG["run"], CONFIG["protocol"], CONFIG["models"]
PLATFORMS = {platform["name"]: platform for platform in CONFIG["platforms"]}
FRAMEWORKS = {
    row: {**framework, **variant, "id": identifier}
    for identifier, framework in CONFIG["frameworks"].items()
    for row, variant in framework["rows"].items()
}
ROUNDS = range(1, PROTOCOL["rounds"] + 1)
CORES = workflow.cores or 1
THREADS = machine.usable_threads(
    CORES if PROTOCOL["threads"] == "auto" else PROTOCOL["threads"]
)
MEASURING_CORES = CORES if PROTOCOL["exclusive"] else THREADS
# Priority of whatever is not a measurement, above that of any measurement: what is ready early would
# otherwise be measured out of turn.
PREPARATION = 10**12


wildcard_constraints:
    model="|".join(sorted(MODELS)),
    row="|".join(sorted(FRAMEWORKS)),
    platform="|".join(sorted(PLATFORMS)),
    n=r"[2-9]|[1-9][0-9]+",  # round 1 has a rule of its own


def here(path):
    """A file of this checkout as the workflow sees it: relative where it runs in the checkout."""
    return (
        str(path.relative_to(Path.cwd()))
        if path.is_relative_to(Path.cwd())
        else str(path)
    )


def env(name):
    """Path of an env file, for ``conda:``."""
    return str(ROOT / "envs" / f"{name}.yaml")


def script(name):
    return here(SCRIPTS / name)


@cache
def modules(*names):
    """Every project module that these scripts or modules import, and those named ones that are modules."""
    found = set()
    for name in names:
        path = SCRIPTS / name
        found |= {path, *imports.modules(path, SCRIPTS)}
    return [here(path) for path in sorted(found)]


def as_json(value):
    return json.dumps(value, sort_keys=True)


# What a model's steps are told of its config; each step gets the part it uses, so that a changed
# workload does not make the weights again.


def weights_config(wildcards):
    keys = ("definition", "weights", "seed", "architecture")
    return as_json({key: MODELS[wildcards.model][key] for key in keys})


def workload_config(wildcards):
    return as_json({"workload": MODELS[wildcards.model]["workload"]})


def definition(wildcards):
    return MODELS[wildcards.model]["definition"]


def loss(wildcards):
    return MODELS[wildcards.model]["loss"]


def model_modules(*scripts, kinds):
    """Input function: the modules of ``scripts`` and the model's definition in each of ``kinds``."""

    def of_model(wildcards):
        own = [f"models/{kind}/{definition(wildcards)}.py" for kind in kinds]
        return modules(*scripts, *own)

    return of_model


# What a measuring job is told of its row.


def framework(wildcards):
    return FRAMEWORKS[wildcards.row]


def framework_env(wildcards):
    return env(framework(wildcards)["env"])


def measuring_modules(wildcards):
    """Everything that a cell's process imports: supervisor, protocol, adapter, the model's definition."""
    row = framework(wildcards)
    names = ["benchmark.py", "measure.py", adapter(row)]
    if row["definitions"]:
        names += [
            f"models/{kind}/{definition(wildcards)}.py"
            for kind in ("spec", row["definitions"])
        ]
    return modules(*names)


def adapter(row):
    """The row's adapter: a name in workflow/scripts/adapters/, or a path of one's own that ends in .py."""
    name = row["adapter"]
    return ROOT / name if name.endswith(".py") else SCRIPTS / "adapters" / f"{name}.py"


EXPORTS = {"onnx": "model.onnx", "jax": "params.safetensors"}


def exported(wildcards):
    """The export that this row's framework reads, if it reads one."""
    kind = framework(wildcards)["export"]
    return f"results/exports/{wildcards.model}/{kind}/{EXPORTS[kind]}" if kind else []


def row_arguments(wildcards):
    """The row's command-line arguments for benchmark.py that are the same in every round."""
    row, platform = framework(wildcards), PLATFORMS[wildcards.platform]
    arguments = {
        "framework": row["id"],
        "label": row["label"],
        "lane": row["lane"],
        "adapter": here(adapter(row)),
        "distribution": row["distribution"],
        "options": as_json(row["options"]),
        "environment": as_json(row["environment"]),
        "accelerator": platform["accelerator"],
        "definition": definition(wildcards),
        "loss": loss(wildcards),
    }
    unsupported = row["unsupported"].get(wildcards.model)
    if unsupported:
        arguments["unsupported"] = as_json(unsupported)
    return [word for name, value in arguments.items() for word in (f"--{name}", value)]


def round_arguments(wildcards, input, output):
    """Round 1 keeps gradients and starts with empty compiler caches; later rounds use round 1's."""
    if "gradients" in output.keys():
        return ["--gradients", output.gradients]
    return ["--first-round", input.first]


def cache_directory(wildcards):
    return f"results/benchmarks/{wildcards.platform}/{wildcards.model}/{wildcards.row}/cache"


def export_arguments(wildcards, input):
    return ["--export", input.export] if input.export else []


def order_key(wildcards):
    """Where the cell stands in its round: a hash, so that adding a cell moves no other."""
    text = f"{PROTOCOL['seed']}:{round_number(wildcards)}:{wildcards.platform}:{wildcards.model}:{wildcards.row}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:3], "big")


def round_number(wildcards):
    return int(wildcards.get("n", "1"))


def order(wildcards):
    return as_json({"seed": PROTOCOL["seed"], "key": order_key(wildcards)})


def measuring_priority(wildcards):
    """Every cell's round n goes before any cell's round n + 1; within a round, in shuffled order."""
    return (10_000 - round_number(wildcards)) * 2**24 + order_key(wildcards)


def protocol_json():
    """The part of the protocol that changes what is measured; limits travel as resources, rounds as jobs."""
    return as_json(
        {key: PROTOCOL[key] for key in ("tasks", "warmup", "sampling", "exclusive")}
    )


def tolerances(wildcards):
    return as_json(CONFIG["gate"][framework(wildcards)["lane"]])


def cells(pattern):
    """Input function: ``pattern`` for every cell of the platform, and every round where it names one."""

    def of_platform(wildcards):
        return expand(
            pattern,
            platform=wildcards.platform,
            model=RUN["models"],
            row=RUN["rows"],
            n=ROUNDS,
        )

    return of_platform


def rounds(pattern):
    """Input function: ``pattern`` for every round of the cell."""

    def of_cell(wildcards):
        return expand(pattern, n=ROUNDS, **wildcards)

    return of_cell


def command_line():
    """The command of this run, as far as it decides what is measured: to be repeated for a failed cell."""
    settings, deployment = workflow.config_settings, workflow.deployment_settings
    # Other cores might mean other threads, with which every cell would be measured again.
    words = ["snakemake", "--cores", THREADS]
    away = Path.cwd() != ROOT
    if away:
        words += ["--snakefile", ROOT / "Snakefile", "--directory", Path.cwd()]
    if deployment.conda_prefix:
        words += ["--conda-prefix", deployment.conda_prefix]
    if settings.configfiles:
        paths = settings.configfiles if away else map(here, settings.configfiles)
        words += ["--configfile", *paths]
    if settings.config_args:
        words += ["--config", *settings.config_args]
    return shlex.join(map(str, words))


def platform_label(wildcards):
    return PLATFORMS[wildcards.platform]["label"]


def captions():
    """What the report says of each model beside its figures."""
    keys = ("title", "url", "caveats")
    found = {
        model: {key: MODELS[model][key] for key in keys} for model in RUN["models"]
    }
    if not PROTOCOL["exclusive"]:
        for caption in found.values():
            caption["caveats"] = [
                *caption["caveats"],
                "This run's cells were measured beside one another.",
            ]
    return as_json(found)


def published():
    """Platform tables that were measured elsewhere."""
    directory = ROOT / CONFIG["published"]
    return [here(path) for path in sorted(directory.glob("*.csv"))]


def complain_about_failures():
    """Make the run's exit status say that a cell failed; the report stands all the same."""
    failed = []
    for platform in PLATFORMS:
        table = Path(f"results/platforms/{platform}.csv")
        if table.exists():
            with open(table, newline="", encoding="utf-8") as stream:
                failed += [
                    f"{row['platform']} / {row['model']} / {row['framework']}"
                    for row in csv.DictReader(stream)
                    if row["status"] == "failed"
                ]
    if failed:
        raise WorkflowError(
            f"{len(failed)} cell(s) failed; results/report.md says why and how to try again: "
            + "; ".join(failed)
        )
