"""Names and helpers shared by the rules: the configuration, files of the checkout, what a model's steps are told.

No rule is defined here, nor in cells.smk and tables.smk, which go on from it.
"""

import json
import os
import shlex
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

# Without links, so that whichever path leads here, files have the same names and nothing is measured again.
ROOT = Path(workflow.basedir).resolve()
SCRIPTS = ROOT / "workflow" / "scripts"
ENGINES = ROOT / "workflow" / "engines"
sys.path.insert(0, str(SCRIPTS))
if sys.getfilesystemencoding().lower() != "utf-8":
    raise WorkflowError(
        f"The encoding of this locale is {sys.getfilesystemencoding()}; expected UTF-8, in which titles and sentences "
        "are. Start again with PYTHONUTF8=1, as make and the snakemake of `make setup` do"
    )
# Of the programs that rules start: files and logs are in UTF-8, whatever the shell's locale.
os.environ.update(PYTHONUTF8="1")

from arena import files, places
from arena.configuration import frameworks, imports
from arena.measuring import machine
from arena.weights import source
from arena.configuration.loader import ConfigError, check_file, resolve


def check_places():
    """Refuse what would make programs fail in the middle of a run, or start another checkout's."""
    prefix = workflow.deployment_settings.conda_prefix
    lying = {
        "the checkout": ROOT,
        "--directory": Path.cwd(),
        "--conda-prefix": prefix and Path(prefix).absolute(),
    }
    for what, path in lying.items():
        if path and (why := places.refusal(what, path)):
            raise WorkflowError(why)
    if other := places.made_elsewhere(ROOT / ".venv"):
        raise WorkflowError(
            f"{ROOT / '.venv'} was made for {other}: this checkout was renamed or copied, and .venv would run "
            "that one's programs. `make setup` makes it anew; then `source .venv/bin/activate` again"
        )


check_places()

try:
    for path in workflow.configfiles:
        check_file(Path(path))
    CONFIG = resolve(config, ROOT, Path(".snakemake/arena-config"))
except ConfigError as error:
    raise WorkflowError(str(error)) from error

RUN, PROTOCOL, MODELS = CONFIG["run"], CONFIG["protocol"], CONFIG["models"]
PLATFORMS = {platform["name"]: platform for platform in CONFIG["platforms"]}
# Each row with what its framework's file says of all its rows; frameworks.py answers what it can do where.
FRAMEWORKS = {
    row: {
        **framework,
        **variant,
        "accelerators": framework["accelerators"],
        "environment": frameworks.environment(framework, row),
        "export": frameworks.export(framework, row),
        "id": identifier,
    }
    for identifier, framework in CONFIG["frameworks"].items()
    for row, variant in framework["rows"].items()
}
EXPORTS = frameworks.exports(CONFIG["frameworks"])
ROUNDS = range(1, PROTOCOL["rounds"] + 1)
# Whether cells may get more rounds than those: one alone tells nothing of what varies between them.
ADAPTIVE = 1 < PROTOCOL["rounds"] < PROTOCOL["adaptive"]["max_rounds"]
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
    from arena.measuring import packages

    # Its name is not `python` everywhere; a function of the shell's is found first. Snakemake reads the braces.
    shell.prefix(f'python() {{{{ {shlex.quote(sys.executable)} "$@"; }}}}; ')


wildcard_constraints:
    model="|".join(sorted(MODELS)),
    row="|".join(sorted(FRAMEWORKS)),
    engine="[a-z0-9-]+",
    lane="|".join(sorted(CONFIG["gate"])),
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
def code(*names):
    """What these scripts and modules are, with every project module that they import: a text that changes with it."""
    found = set()
    for name in names:
        path = SCRIPTS / name
        found |= {path, *imports.modules(path, SCRIPTS)}
    return f"code {imports.in_rooms(found, SCRIPTS)}"


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


def weights_code(wildcards):
    name = Path(weights_script(wildcards)).name
    kinds = ["models/spec"]
    if name != "seed_weights.py":
        kinds.append("models/checkpoint")
    return model_code(name, kinds=kinds)(wildcards)


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
        path = ROOT / MODELS[wildcards.model]["source"]["path"]
        return ["--record-failure", "--checkpoint", path]
    if asked == "seeded":
        return ["--record-failure"]
    directory, record = input.checkpoint
    return ["--record-failure", "--checkpoint", directory, "--record", record]


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


def text_file(wildcards):
    """Token ids of the text that the model predicts, if its workload has one."""
    asked = MODELS[wildcards.model]["workload"].get("quality")
    return here(ROOT / asked["tokens"]) if asked else []


def predicts(model):
    """Whether the model's rows are asked to predict a text."""
    return "quality" in PROTOCOL["tasks"] and bool(
        MODELS[model]["workload"].get("quality")
    )


def definition(wildcards):
    return MODELS[wildcards.model]["definition"]


def loss(wildcards):
    return MODELS[wildcards.model]["loss"]


def model_code(*scripts, kinds):
    """Params function: the code of ``scripts`` and of the model's definition in each of ``kinds``."""

    def of_model(wildcards):
        own = [f"{kind}/{definition(wildcards)}.py" for kind in kinds]
        return code(*scripts, *own)

    return of_model


def decode_tokens(wildcards):
    """How many tokens the model generates; 0 if it does not, or if nobody asks."""
    asked = "decode" in PROTOCOL["tasks"]
    return (
        MODELS[wildcards.model]["workload"].get("decode", {}).get("tokens", 0) * asked
    )
