"""Names and helpers shared by the rules. No rule is defined here."""

import csv
import hashlib
import json
import shlex
import sys
import tomllib
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

ROOT = Path(workflow.basedir)
SCRIPTS = ROOT / "workflow" / "scripts"
ENGINES = ROOT / "workflow" / "engines"
sys.path.insert(0, str(SCRIPTS))

from arena import crates, files, flops, imports, machine, source
from arena.config import ConfigError, float32_row, resolve

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
# Without environments (profiles/host) every rule uses the Python that runs Snakemake.
HOST = DeploymentMethod.CONDA not in workflow.deployment_settings.deployment_method
if HOST:
    from arena import packages

    # Its name is not `python` everywhere; a function of the shell's is found first. Snakemake reads the braces.
    shell.prefix(f'python() {{{{ {shlex.quote(sys.executable)} "$@"; }}}}; ')


wildcard_constraints:
    model="|".join(sorted(MODELS)),
    row="|".join(sorted(FRAMEWORKS)),
    engine="[a-z0-9-]+",
    platform="|".join(sorted(PLATFORMS)),
    n=r"[2-9]|[1-9][0-9]+",  # round 1 has a rule of its own


@cache
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
    model = MODELS[wildcards.model]
    keys = ("definition", "weights", "seed", "architecture")
    known = {key: model[key] for key in keys}
    if model["weights"] != "seeded":
        known["source"] = {"tensors": model["source"]["tensors"]}
    return as_json(known)


def download_config(wildcards):
    """What is downloaded; where the files then go, and under which names of tensors, is not its business."""
    keys = ("repository", "revision", "files")
    return as_json({key: MODELS[wildcards.model]["source"][key] for key in keys})


def weights_asked(wildcards):
    return MODELS[wildcards.model]["weights"]


def weights_script(wildcards):
    seeded = weights_asked(wildcards) == "seeded"
    return script("seed_weights.py" if seeded else "convert_checkpoint.py")


def weights_modules(wildcards):
    name = Path(weights_script(wildcards)).name
    kinds = ["spec"] if name == "seed_weights.py" else ["spec", "checkpoint"]
    return model_modules(name, kinds=kinds)(wildcards)


def checkpoint_files(wildcards):
    """What the weights are made from: nothing but a seed, a download, or files of the user's."""
    asked = weights_asked(wildcards)
    if asked == "path":
        directory = ROOT / MODELS[wildcards.model]["source"]["path"]
        found = [*directory.glob("*.json"), *directory.glob("*.safetensors")]
        return sorted(map(here, found))
    if asked == "seeded":
        return []
    directory = f"results/models/{wildcards.model}/checkpoint"
    return [directory, f"{directory}.json"]


def checkpoint_arguments(wildcards, input):
    asked = weights_asked(wildcards)
    if asked == "path":
        return ["--checkpoint", ROOT / MODELS[wildcards.model]["source"]["path"]]
    if asked == "seeded":
        return []
    return ["--checkpoint", input.checkpoint[0], "--record", input.checkpoint[1]]


def weights_in_words():
    """A line a model: where its weights come from, as an earlier run decided or as this one will."""
    lines = []
    for model in RUN["models"]:
        record = Path(f"results/models/{model}/source.json")
        recorded = files.read_json(record) if record.exists() else None
        lines.append(f"Weights of {model}: {source.planned(MODELS[model], recorded)}")
    return lines


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


def decode_tokens(wildcards):
    """How many tokens the model generates; 0 if it does not, or if nobody asks."""
    asked = "decode" in PROTOCOL["tasks"]
    return (
        MODELS[wildcards.model]["workload"].get("decode", {}).get("tokens", 0) * asked
    )


# What a measuring job is told of its row.


def framework(wildcards):
    return FRAMEWORKS[wildcards.row]


def framework_env(wildcards):
    row, platform = framework(wildcards), PLATFORMS[wildcards.platform]
    return env(row["envs"].get(platform["accelerator"], row["env"]))


def measuring_modules(wildcards):
    """Everything that a cell's process imports: supervisor, protocol, adapter, the model's definition."""
    row = framework(wildcards)
    if row["engine"]:
        return modules("benchmark.py")
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


def unsupported(wildcards):
    """Why this row does not run the model, {code, why}; None if it does, as far as is known before a build."""
    row = framework(wildcards)
    if HOST and not row["engine"] and not packages.installed(row["distribution"]):
        return {"code": "not-installed", "why": "not installed here"}
    return row["unsupported"].get(wildcards.model)


EXPORTS = {
    "onnx": "model.onnx",
    "jax": "params.safetensors",
    "gguf": "model-{lane}.gguf",
    "openvino": "model-{lane}.xml",
    "ctranslate2": "model.bin",
}


def exported(wildcards):
    """The export that this row's framework reads, if it reads one."""
    row = framework(wildcards)
    kind = row["export"]
    if not kind or unsupported(wildcards):
        return []
    name = EXPORTS[kind].format(lane=row["lane"])
    return f"results/exports/{wildcards.model}/{kind}/{name}"


# The formats that have a second file for task decode; the others generate from the first.
DECODE_EXPORTS = {"onnx": "decode.onnx", "openvino": "decode-{lane}.xml"}


def exported_decode(wildcards):
    """The export from which this row's framework generates, if that is a file of its own."""
    row = framework(wildcards)
    kind, name = row["export"], DECODE_EXPORTS.get(row["export"])
    if not name or unsupported(wildcards) or not decode_tokens(wildcards):
        return []
    name = name.format(lane=row["lane"])
    return f"results/exports/{wildcards.model}/{kind}/{name}"


# An engine is a program of its own instead of an adapter: what its build is told, and where that leaves it.


def engine_program(wildcards):
    engine = framework(wildcards)["engine"]
    if not engine or unsupported(wildcards):
        return []
    return f"results/engines/{wildcards.platform}/{engine}/program"


def engine_record(wildcards):
    program = engine_program(wildcards)
    return str(Path(program).with_name("build.json")) if program else []


def engine_sources(wildcards):
    """The engine's own files and those of the crate that all engines share; none if there is no program."""
    folders = [ENGINES / "arena", ENGINES / wildcards.engine]
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted(map(here, found)) if folders[1].exists() else []


def engine_crate(wildcards):
    entries = CONFIG["frameworks"].values()
    return next(e["distribution"] for e in entries if e["engine"] == wildcards.engine)


def engine_accelerator(wildcards):
    return PLATFORMS[wildcards.platform]["accelerator"]


@cache
def locked_crates(engine):
    """What of Cargo.lock and of the workspace's Cargo.toml concerns this engine."""
    if not (ENGINES / engine).exists():
        return "{}"
    with open(ENGINES / "Cargo.toml", "rb") as stream:
        manifest = tomllib.load(stream)
    del manifest["workspace"]["members"]
    locked = crates.locked(ENGINES / "Cargo.lock", f"arena-{engine}")
    digest = hashlib.sha256("\n".join(locked).encode()).hexdigest()
    return as_json({"workspace": manifest, "crates": len(locked), "sha256": digest})


def engine_settings(wildcards):
    return locked_crates(wildcards.engine)


def row_arguments(wildcards):
    """The row's command-line arguments for benchmark.py that are the same in every round."""
    row, platform = framework(wildcards), PLATFORMS[wildcards.platform]
    arguments = {
        "framework": row["id"],
        "label": row["label"],
        "lane": row["lane"],
        "distribution": row["distribution"],
        "options": as_json(row["options"]),
        "environment": as_json(row["environment"]),
        "accelerator": platform["accelerator"],
        "definition": definition(wildcards),
        "loss": loss(wildcards),
    }
    if row["adapter"]:
        arguments["adapter"] = here(adapter(row))
    if tokens := decode_tokens(wildcards):
        arguments["decode-tokens"] = tokens
    if reason := unsupported(wildcards):
        arguments["unsupported"] = as_json(reason)
    words = [word for name, value in arguments.items() for word in (f"--{name}", value)]
    return words + (["--libraries", *row["libraries"]] if row["libraries"] else [])


def round_arguments(wildcards, input, output):
    """Round 1 keeps gradients and starts with empty compiler caches; later rounds use round 1's."""
    if "gradients" in output.keys():
        return ["--gradients", output.gradients]
    return ["--first-round", input.first]


def cache_directory(wildcards):
    return f"results/benchmarks/{wildcards.platform}/{wildcards.model}/{wildcards.row}/cache"


def file_arguments(wildcards, input):
    """The files that some rows read and others do not."""
    files_in = {
        "--export": input.export,
        "--decode-export": input.decode_export,
        "--program": input.program,
        "--build": input.build,
    }
    return [word for name, file in files_in.items() if file for word in (name, file)]


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


def protocol(wildcards):
    """The part of the protocol that changes what is measured; limits travel as resources, rounds as jobs."""
    keys = ["warmup", "sampling", "exclusive", "offline"]
    if PLATFORMS[wildcards.platform]["accelerator"] == "cuda":
        keys.append("energy_seconds")
    tasks = [
        task
        for task in PROTOCOL["tasks"]
        if task != "decode" or decode_tokens(wildcards)
    ]
    told = {"tasks": tasks} | {key: PROTOCOL[key] for key in keys}
    cluster = PLATFORMS[wildcards.platform].get("cluster")
    if cluster:
        told["node"] = "exclusive" if cluster["exclusive"] else "shared"
    return as_json(told)


def gate(wildcards):
    """The lane's tolerances and its close factor."""
    tolerances = dict(CONFIG["gate"][framework(wildcards)["lane"]])
    factor = tolerances.pop("close_factor")
    return ["--tolerances", as_json(tolerances), "--close-factor", factor]


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


def of_every_platform(pattern):
    """``pattern`` for every cell of every platform, and every round where it names one."""
    return expand(
        pattern,
        platform=PLATFORMS,
        model=RUN["models"],
        row=RUN["rows"],
        n=ROUNDS,
    )


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
    """What the report says of the frameworks that are run."""
    run = dict.fromkeys(FRAMEWORKS[row]["id"] for row in RUN["rows"])
    known = [(CONFIG["frameworks"][name], name) for name in run]
    return [
        f"{entry['name']}: {text}" for entry, name in known for text in entry["caveats"]
    ]


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
