"""What a configuration's schema cannot say: the references between its keys, and to files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from arena.configuration import frameworks, made, validator, workloads
from arena.configuration.frameworks import FOLDERS, SCRIPTS
from arena.configuration.validator import Config, Problem, dotted, nearest, shown, unknown

FILE_KEYS = (
    "env",
    "accelerators",
    "adapter",
    "engine",
    "export",
    "exports",
    "definitions",
    "rows",
    "unsupported",
)
#: Of a variable's value: what `format` fills in, and no more.
FORM = re.compile(r"(?:[^{}\0]|\{\{|\}\}|\{threads\}|\{cache\})*")


def _check_platforms(config: Config, basedir: Path) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, platform in enumerate(config["platforms"]):
        name = platform.get("name")
        if not isinstance(name, str):
            continue
        if name.casefold() in seen:
            earlier = f"platforms[{seen[name.casefold()]}].name"
            text = (
                f"{shown(name)} equals {earlier}, case aside; allowed: names that differ on any file system"
            )
            yield Problem(("platforms", index, "name"), text)
        seen.setdefault(name.casefold(), index)


def _check_clusters(config: Config, basedir: Path) -> Iterator[Problem]:
    for index, platform in enumerate(config["platforms"]):
        cluster, accelerator = platform.get("cluster", {}), platform["accelerator"]
        path = ("platforms", index, "cluster", "gres")
        if accelerator == "cpu" and "gres" in cluster:
            text = "would lie idle, because accelerator is `cpu`; remove it, or name the accelerator"
            yield Problem(path, f"{shown(cluster['gres'])} {text}")
        if cluster and not cluster["exclusive"] and accelerator != "cpu" and "gres" not in cluster:
            yield Problem(path, "missing; on a shared node it says which accelerator is the job's own")


def _check_rows(config: Config, basedir: Path) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for framework, entry in config["frameworks"].items():
        for row in entry["rows"]:
            path = ("frameworks", framework, "rows", row)
            if row.casefold() in owners:
                other = owners[row.casefold()]
                yield Problem(path, f"this row id is taken by {other}; allowed: another, not by case alone")
            owners.setdefault(row.casefold(), dotted(path))
            variant = entry["rows"][row]
            if variant["rounding"] and variant["rounding"].partition("-")[0] != variant["lane"]:
                text = f"{shown(variant['rounding'])} is none of lane {variant['lane']}; allowed: one that begins so"
                yield Problem((*path, "rounding"), text)


def _check_run_rows(config: Config, basedir: Path) -> Iterator[Problem]:
    known = [row for framework in config["frameworks"].values() for row in framework["rows"]]
    for index, row in enumerate(config["run"]["rows"]):
        if isinstance(row, str) and row not in known:
            yield unknown(("run", "rows", index), row, "row", known)
    for row in config["run"]["left_out"]:
        if row not in known:
            yield unknown(("run", "left_out", row), row, "row", known)
    labels: dict[str, str] = {}
    for framework, entry in config["frameworks"].items():
        for row, variant in entry["rows"].items():
            if row in config["run"]["rows"] and isinstance(label := variant.get("label"), str):
                name = " ".join(label.casefold().split())
                if name in labels:
                    text = f"{shown(label)} is the label of {labels[name]} too, and both are run; allowed: another"
                    yield Problem(("frameworks", framework, "rows", row, "label"), text)
                labels.setdefault(name, row)


def _check_run_models(config: Config, basedir: Path) -> Iterator[Problem]:
    for index, model in enumerate(config["run"]["models"]):
        if isinstance(model, str) and model not in config["models"]:
            yield unknown(("run", "models", index), model, "model", list(config["models"]))


def _check_accepted(config: Config, basedir: Path) -> Iterator[Problem]:
    known = {
        "row": [row for framework in config["frameworks"].values() for row in framework["rows"]],
        "model": list(config["models"]),
        "platform": [platform["name"] for platform in config["platforms"]],
    }
    for index, entry in enumerate(config["accepted"]):
        for kind, names in known.items():
            if entry[kind] is not None and entry[kind] not in names:
                yield unknown(("accepted", index, kind), entry[kind], kind, names)


def _check_baseline(config: Config, basedir: Path) -> Iterator[Problem]:
    run = config["run"]
    if run["baseline"] not in run["rows"]:
        hint = nearest(run["baseline"], run["rows"])
        text = f'"{run["baseline"]}" is not among run.rows{hint}; allowed: {", ".join(run["rows"])}'
        yield Problem(("run", "baseline"), text)


def _check_durations(config: Config, basedir: Path) -> Iterator[Problem]:
    for phase in ("warmup", "sampling"):
        least, most = (config["protocol"][phase][key] for key in ("min_seconds", "max_seconds"))
        if most < least:
            text = f"{most} is less than min_seconds; allowed: at least {least}"
            yield Problem(("protocol", phase, "max_seconds"), text)


def _check_noise(config: Config, basedir: Path) -> Iterator[Problem]:
    entry = config["gate"]["float32"]  # a mistake must be different there, whatever the noise
    ceiling, close = entry["noise_ceiling"], entry["close_factor"]
    if ceiling > close:
        text = f"{ceiling} is more than close_factor; allowed: at most {close}"
        yield Problem(("gate", "float32", "noise_ceiling"), text)


def _check_weights(config: Config, basedir: Path) -> Iterator[Problem]:
    for model, entry in config["models"].items():
        asked, path = entry["weights"], ("models", model)
        if model not in config["run"]["models"] or asked == "seeded":
            continue
        reader = f"{SCRIPTS}/models/checkpoint/{entry['definition']}.py"
        if not (basedir / reader).is_file():
            text = f"no published checkpoint has definition {entry['definition']}; allowed: `seeded`"
            yield Problem((*path, "weights"), f'"{asked}" needs {reader}, and {text}')
            continue
        yield from _check_source(entry["source"], asked, (*path, "source"), basedir)


def _check_source(source: Config, asked: str, path: validator.Path, basedir: Path) -> Iterator[Problem]:
    for pattern in source["tensors"]:
        try:
            re.compile(pattern)
        except re.error as error:
            yield Problem((*path, "tensors"), f"{shown(pattern)} is no regular expression: {error}")
    if asked == "path":
        if source["path"] is None:
            yield Problem((*path, "path"), "missing; `weights: path` needs the checkpoint's directory")
        elif not (basedir / source["path"] / "config.json").is_file():
            text = "is no directory with a config.json; allowed: one that also holds the safetensors"
            yield Problem((*path, "path"), f"{shown(source['path'])} {text}")
        return
    for key in ("repository", "revision"):
        if source[key] is None:
            yield Problem((*path, key), f"missing; `weights: {asked}` needs it (pin_weights.py prints it)")
    names = [file["name"] for file in source["files"]]
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        text = "allowed: config.json and at least one .safetensors (pin_weights.py prints them)"
        yield Problem((*path, "files"), f"{shown(names)} is no whole checkpoint; {text}")


def _check_environment(config: Config, basedir: Path) -> Iterator[Problem]:
    for framework, entry in config["frameworks"].items():
        places: list[tuple[validator.Path, Any]] = [
            (("frameworks", framework, "environment"), entry["environment"])
        ]
        places += [
            (("frameworks", framework, "rows", row, "environment"), variant["environment"])
            for row, variant in entry["rows"].items()
        ]
        for path, variables in places:
            for variable, value in variables.items():
                if not FORM.fullmatch(value):
                    text = "text in which braces hold only `threads` or `cache`, or are doubled"
                    yield Problem((*path, variable), f"{shown(value)} is not allowed; allowed: {text}")


def _check_adapters(config: Config, basedir: Path) -> Iterator[Problem]:
    for name, entry in config["frameworks"].items():
        if entry["adapter"] is None and entry["engine"] is None:
            rooms = f"{FOLDERS}/{name}/adapter.py, the crate {frameworks.ENGINES}/arena-{name}/"
            rooms += f" or the package {frameworks.ENGINES}/javascript/arena-{name}/"
            yield Problem(
                ("frameworks", name), f"it has no room; write {rooms}, or give `adapter` or `engine`"
            )
        elif entry["adapter"] is not None and entry["engine"] is not None:
            text = f"{shown(entry['adapter'])} beside engine {shown(entry['engine'])}"
            yield Problem(("frameworks", name, "adapter"), f"{text}; allowed: one of the two, not both")


def _check_unsupported(config: Config, basedir: Path) -> Iterator[Problem]:
    specs = {path.stem for path in (basedir / SCRIPTS / "models/spec").glob("*.py")} - {"__init__"}
    known = [*config["models"], *sorted(specs | {model["definition"] for model in config["models"].values()})]
    for framework, entry in config["frameworks"].items():
        for model in entry["unsupported"]:
            if model not in known:
                path = ("frameworks", framework, "unsupported", model)
                yield unknown(path, model, "model and no definition", known)


def _check_accelerators(config: Config, basedir: Path) -> Iterator[Problem]:
    for framework, entry in config["frameworks"].items():
        for row, variant in entry["rows"].items():
            for accelerator in variant["accelerators"]:
                if accelerator not in entry["accelerators"]:
                    path = ("frameworks", framework, "rows", row, "accelerators", accelerator)
                    yield unknown(path, accelerator, f"accelerator of {framework}", [*entry["accelerators"]])


def _check_variants(config: Config, basedir: Path) -> Iterator[Problem]:
    whole = [name for name, entry in config["models"].items() if entry["scale_of"] is None]
    for name, entry in config["models"].items():
        if entry["scale_of"] is not None and entry["scale_of"] not in whole:
            yield unknown(("models", name, "scale_of"), entry["scale_of"], "model to vary", whole)


def _check_published(config: Config, basedir: Path) -> Iterator[Problem]:
    if not (basedir / config["published"]).is_dir():
        text = (
            f'"{config["published"]}" is no directory in {basedir}; allowed: a directory, even an empty one'
        )
        yield Problem(("published",), text)


# Each check, with the paths that it reads; `*` is any key, `**` everything below.
CHECKS: dict[Callable[[Config, Path], Iterator[Problem]], list[tuple[str, ...]]] = {
    _check_platforms: [("platforms", "*")],
    _check_clusters: [("platforms", "*", "cluster", "**"), ("platforms", "*", "accelerator")],
    _check_rows: [
        ("frameworks", "*", "rows"),
        ("frameworks", "*", "rows", "*", "lane"),
        ("frameworks", "*", "rows", "*", "rounding"),
    ],
    _check_run_rows: [("run", "rows"), ("run", "left_out", "**"), ("frameworks", "*", "rows")],
    _check_run_models: [("run", "models"), ("models",)],
    _check_baseline: [("run", "rows", "*"), ("run", "baseline")],
    _check_durations: [
        ("protocol", phase, key) for phase in ("warmup", "sampling") for key in ("min_seconds", "max_seconds")
    ],
    _check_noise: [("gate", "float32", "close_factor"), ("gate", "float32", "noise_ceiling")],
    _check_weights: [
        ("run", "models"),
        ("models", "*", "weights"),
        ("models", "*", "definition"),
        ("models", "*", "source", "**"),
    ],
    _check_environment: [
        ("frameworks", "*", "environment", "**"),
        ("frameworks", "*", "rows", "*", "environment", "**"),
    ],
    _check_adapters: [("frameworks", "*", "adapter"), ("frameworks", "*", "engine")],
    _check_unsupported: [("frameworks", "*", "unsupported"), ("models", "*", "definition")],
    _check_accelerators: [("frameworks", "*", "accelerators"), ("frameworks", "*", "rows", "**")],
    made.check_formats: [
        ("frameworks", "*", "export"),
        ("frameworks", "*", "exports", "**"),
        ("frameworks", "*", "rows", "**"),
    ],
    _check_variants: [("models", "*", "scale_of")],
    workloads.check: [
        ("models", "*", "workload", "**"),
        ("models", "*", "architecture", "**"),
        ("models", "*", "loss"),
    ],
    made.check_files: [
        ("run", "models"),
        ("run", "rows", "*"),
        ("models", "*", "definition"),
        ("platforms", "*", "accelerator"),
        *(("frameworks", "*", key, "**") for key in FILE_KEYS),
    ],
    _check_published: [("published",)],
    _check_accepted: [
        ("accepted", "**"),
        ("frameworks", "*", "rows"),
        ("models",),
        ("platforms", "*", "name"),
    ],
}
