"""What a configuration's schema cannot say: the references between its keys, and to files."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from arena import texts
from arena.configuration import frameworks, validator
from arena.configuration.frameworks import FOLDERS, SCRIPTS
from arena.configuration.validator import Config, Problem, dotted, nearest, shown

# What each fill reads beside shape, dtype and fill: (required, optional, dtypes).
FILLS = {
    "sin": ({"step"}, set(), {"float32"}),
    "cos": ({"step"}, set(), {"float32"}),
    "arange": (set(), {"start"}, {"int64"}),
    "zeros": (set(), set(), {"float32", "int64"}),
    "values": ({"values"}, set(), {"float32", "int64"}),
}
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
MOST_ELEMENTS = 2**31  # of one input: 8 GB in float32
TARGET_DTYPE = {"cross_entropy": "int64", "mse": "float32"}


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
            yield _unknown(("run", "rows", index), row, "row", known)
    for row in config["run"]["left_out"]:
        if row not in known:
            yield _unknown(("run", "left_out", row), row, "row", known)
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
            yield _unknown(("run", "models", index), model, "model", list(config["models"]))


def _check_accepted(config: Config, basedir: Path) -> Iterator[Problem]:
    known = {
        "row": [row for framework in config["frameworks"].values() for row in framework["rows"]],
        "model": list(config["models"]),
        "platform": [platform["name"] for platform in config["platforms"]],
    }
    for index, entry in enumerate(config["accepted"]):
        for kind, names in known.items():
            if entry[kind] is not None and entry[kind] not in names:
                yield _unknown(("accepted", index, kind), entry[kind], kind, names)


def _unknown(path: validator.Path, name: str, kind: str, known: list[str]) -> Problem:
    return Problem(path, f"{shown(name)} is no {kind}{nearest(name, known)}; allowed: {', '.join(known)}")


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
                yield _unknown(path, model, "model and no definition", known)


def _check_accelerators(config: Config, basedir: Path) -> Iterator[Problem]:
    for framework, entry in config["frameworks"].items():
        for row, variant in entry["rows"].items():
            for accelerator in variant["accelerators"]:
                if accelerator not in entry["accelerators"]:
                    path = ("frameworks", framework, "rows", row, "accelerators", accelerator)
                    yield _unknown(path, accelerator, f"accelerator of {framework}", [*entry["accelerators"]])


def _check_exports(config: Config, basedir: Path) -> Iterator[Problem]:
    """Formats have one maker each, and what names a format names one that is made."""
    makers: dict[str, str] = {}
    for framework, entry in config["frameworks"].items():
        for made in entry["exports"]:
            if made in makers:
                path = ("frameworks", framework, "exports", made)
                yield Problem(
                    path, f"frameworks.{makers[made]}.exports.{made} makes it; allowed: another name"
                )
            makers.setdefault(made, framework)
    formats = frameworks.exports(config["frameworks"])
    written = [
        f"{name}/{file}"
        for name, made in formats.items()
        for task in ("model", "decode")
        for file in made.get(task, {}).get("files", [])
    ]
    for framework, entry in config["frameworks"].items():
        places: list[tuple[validator.Path, Any]] = [(("export",), entry["export"])]
        places += [(("rows", row, "export"), variant["export"]) for row, variant in entry["rows"].items()]
        for key, name in places:
            if name is not None and name not in formats:
                yield _unknown(("frameworks", framework, *key), name, "format", list(formats))
        for made, task in ((m, t) for m in entry["exports"] for t in ("model", "decode")):
            for read in entry["exports"][made].get(task, {}).get("reads", []):
                key = ("frameworks", framework, "exports", made, task, "reads")
                if read not in frameworks.SOURCES and read not in written:
                    yield _unknown(key, read, "file of a format", [*frameworks.SOURCES, *written])
                elif (made, task) in _made_from(formats, [read]):
                    yield Problem(
                        key, f"{shown(read)} is made from what it makes; allowed: what it is made from"
                    )


def _made_from(formats: Config, reads: list[str]) -> set[tuple[str, str]]:
    """(format, task) of all that these files are made by, directly or not."""
    found: set[tuple[str, str]] = set()
    waiting = [read for read in reads if "/" in read]
    while waiting:
        name, _, file = waiting.pop().partition("/")
        for task in ("model", "decode"):
            own = formats.get(name, {}).get(task, {})
            if file in own.get("files", []) and (name, task) not in found:
                found.add((name, task))
                waiting += [read for read in own.get("reads", []) if "/" in read]
    return found


def _check_variants(config: Config, basedir: Path) -> Iterator[Problem]:
    whole = [name for name, entry in config["models"].items() if entry["scale_of"] is None]
    for name, entry in config["models"].items():
        if entry["scale_of"] is not None and entry["scale_of"] not in whole:
            yield _unknown(("models", name, "scale_of"), entry["scale_of"], "model to vary", whole)


def _check_workloads(config: Config, basedir: Path) -> Iterator[Problem]:
    for model, entry in config["models"].items():
        workload, path = entry["workload"], ("models", model, "workload")
        for task in ("inference", "latency"):
            for name, fill in workload[task].items():
                yield from _check_fill(fill, (*path, task, name))
        yield from _check_fill(workload["target"], (*path, "target"))
        if decode := workload.get("decode"):
            yield from _check_fill(decode["input_ids"], (*path, "decode", "input_ids"))
            yield from _check_decode(decode, (*path, "decode"), entry["architecture"])
        if quality := workload.get("quality"):
            yield from _check_quality(quality, (*path, "quality"), entry, basedir)
        names, others = set(workload["inference"]), set(workload["latency"])
        if names != others:
            text = f"has {', '.join(sorted(others))}; allowed: as inference has, {', '.join(sorted(names))}"
            yield Problem((*path, "latency"), text)
        dtype = workload["target"]["dtype"]
        if dtype != TARGET_DTYPE[entry["loss"]]:
            text = f'"{dtype}" does not suit loss {entry["loss"]}; allowed: `{TARGET_DTYPE[entry["loss"]]}`'
            yield Problem((*path, "target", "dtype"), text)


def _check_decode(decode: Config, path: validator.Path, architecture: Config) -> Iterator[Problem]:
    shape, dtype = decode["input_ids"]["shape"], decode["input_ids"]["dtype"]
    if len(shape) != 2 or shape[0] != 1:
        text = f"{shown(shape)} is not allowed; allowed: one sequence, [1, tokens]"
        yield Problem((*path, "input_ids", "shape"), text)
        return
    if dtype != "int64":
        yield Problem((*path, "input_ids", "dtype"), f'"{dtype}" holds no token ids; allowed: `int64`')
    longest, length = architecture.get("max_position_embeddings", math.inf), shape[1] + decode["tokens"]
    if length > longest:
        text = f"prompt and new tokens are {length}, the architecture has {longest} positions; give fewer"
        yield Problem((*path, "tokens"), text)


def _check_quality(quality: Config, path: validator.Path, model: Config, basedir: Path) -> Iterator[Problem]:
    read = {name: fill["shape"] for name, fill in model["workload"]["inference"].items()}
    shape = read.get("input_ids", [])
    if set(read) != {"input_ids"} or len(shape) != 2 or shape[0] != 1 or model["loss"] != "cross_entropy":
        text = f"inference reads {shown(read)}; allowed: of a model with loss cross_entropy that reads input_ids alone,"
        yield Problem(path, f"{text} [1, tokens]")
        return
    try:
        ids = texts.tokens(basedir / quality["tokens"])
    except (OSError, ValueError) as error:
        yield Problem((*path, "tokens"), f"{error}; allowed: a file of token ids")
        return
    needed = texts.needed(shape[1], quality["windows"], quality["examples"])
    if ids.size < needed:
        text = f"{shown(quality['tokens'])} has {ids.size} tokens; allowed: at least {needed}, for "
        text += f"{quality['windows']} windows and {quality['examples']} examples of {shape[1]}"
        yield Problem((*path, "tokens"), text)
    classes = model["architecture"].get("vocab_size")
    if classes is not None and ids.size and ids.max() >= classes:
        text = f"{shown(quality['tokens'])} has token {ids.max()}; allowed: below {classes}, the vocab_size"
        yield Problem((*path, "tokens"), text)


def _check_fill(fill: Config, path: validator.Path) -> Iterator[Problem]:
    kind = fill["fill"]
    required, optional, dtypes = FILLS[kind]
    given = set(fill) - {"shape", "dtype", "fill"}
    for key in sorted(required - given):
        yield Problem((*path, key), f"missing; fill `{kind}` needs it")
    for key in sorted(given - required - optional):
        takes = ", ".join(sorted(required | optional)) or "nothing more"
        text = f"{shown(fill[key])} is not read by fill `{kind}`, which takes {takes}; remove it"
        yield Problem((*path, key), text)
    if fill["dtype"] not in dtypes:
        text = f'"{fill["dtype"]}" does not suit fill `{kind}`; allowed: {", ".join(sorted(dtypes))}'
        yield Problem((*path, "dtype"), text)
    if (elements := math.prod(fill["shape"])) > MOST_ELEMENTS:
        text = f"{shown(fill['shape'])} has {elements} elements; allowed: at most {MOST_ELEMENTS}"
        yield Problem((*path, "shape"), text)
    if kind == "values" and "values" in given:
        values, needed = fill["values"], elements
        if len(values) != needed:
            text = f"{len(values)} values for shape {fill['shape']}; allowed: {needed}"
            yield Problem((*path, "values"), text)
        if fill["dtype"] == "int64" and not all(isinstance(value, int) for value in values):
            text = f"{shown(values)} is not allowed; allowed: integers, for dtype int64"
            yield Problem((*path, "values"), text)


def _check_files(config: Config, basedir: Path) -> Iterator[Problem]:
    """Every file that the cells of this run name must be there before any job starts."""
    models = {name: config["models"][name] for name in config["run"]["models"] if name in config["models"]}
    needed: dict[str, tuple[validator.Path, str]] = {}  # file: the first key that names it, what to do
    for name, model in models.items():
        for folder in ("models/spec", "frameworks/pytorch/models"):  # the weights and the reference
            file = f"{SCRIPTS}/{folder}/{model['definition']}.py"
            needed.setdefault(file, (("models", name, "definition"), "write it, or correct the key"))
    read: dict[str, Config] = {}
    for name, entry in config["frameworks"].items():
        rows = [row for row in entry["rows"] if row in config["run"]["rows"]]
        if not rows:
            continue
        for made in filter(None, (frameworks.export(entry, row) for row in rows)):
            read |= _formats(config["frameworks"], made)
        if entry["adapter"]:
            needed.setdefault(entry["adapter"], (("frameworks", name, "adapter"), "write it"))
        for path, env in _environments(name, entry, rows, config["platforms"]):
            needed.setdefault(f"envs/{env}.yaml", (path, _other_env(env, basedir)))
        if entry["definitions"]:
            for file, path, remedy in _definitions(name, entry, models):
                needed.setdefault(file, (path, remedy))
    for made, entry in read.items():
        path = ("frameworks", entry["framework"], "exports", made)
        for env in dict.fromkeys([entry["env"], *entry["envs"].values()]):
            needed.setdefault(f"envs/{env}.yaml", ((*path, "env"), _other_env(env, basedir)))
        for task in ("model", "decode"):
            if task in entry:
                file = frameworks.exporter_file(entry, task)
                needed.setdefault(file, ((*path, task, "exporter"), "write it, or correct the key"))
    for file, (path, remedy) in needed.items():
        if not (basedir / file).is_file():
            yield Problem(path, f"{file} does not exist in {basedir}; {remedy}")


def _formats(entries: Config, name: str) -> dict[str, Config]:
    """The format ``name`` and those from which it is made; unknown ones are left out, as another check says so."""
    formats = frameworks.exports(entries)
    waiting, found = [name], {}
    while waiting:
        made = waiting.pop()
        if made in formats and made not in found:
            found[made] = formats[made]
            reads = [
                read for task in ("model", "decode") for read in formats[made].get(task, {}).get("reads", [])
            ]
            waiting += [read.partition("/")[0] for read in reads if "/" in read]
    return found


def _environments(
    name: str, entry: Config, rows: list[str], platforms: list[Config]
) -> Iterator[tuple[validator.Path, str]]:
    """The environments in which these rows run on these platforms, each with the key that names it."""
    for row in rows:
        for accelerator in dict.fromkeys(platform["accelerator"] for platform in platforms):
            reached = frameworks.reach(entry, row, accelerator)
            if reached is None:
                continue
            keys: list[validator.Path] = [
                ("rows", row, "accelerators", accelerator),
                ("accelerators", accelerator),
            ]
            places = [
                entry["rows"][row]["accelerators"].get(accelerator, {}),
                entry["accelerators"][accelerator],
            ]
            own = [key for key, place in zip(keys, places, strict=True) if "env" in place]
            yield ("frameworks", name, *(own[0] if own else ()), "env"), reached["env"]


def _other_env(env: str, basedir: Path) -> str:
    known = sorted(path.stem for path in (basedir / "envs").glob("*.yaml"))
    return f"write it, or correct the key{nearest(env, known)}"


def _definitions(name: str, entry: Config, models: Config) -> Iterator[tuple[str, validator.Path, str]]:
    """(file, key, remedy) of each architecture that the framework needs in its own terms."""
    for model, about in models.items():
        definition = about["definition"]
        if frameworks.model_reason(entry, model, definition) is None:
            reason = "{code: unsupported-model, why: It has no …}"
            remedy = f"write it, or say why not, in config/frameworks/{name}.yaml or an overlay: "
            remedy += f"frameworks: {{{name}: {{unsupported: {{{model}: {reason}}}}}}}"
            file = f"{FOLDERS}/{entry['definitions']}/models/{definition}.py"
            yield file, ("frameworks", name, "definitions"), remedy


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
    _check_exports: [
        ("frameworks", "*", "export"),
        ("frameworks", "*", "exports", "**"),
        ("frameworks", "*", "rows", "**"),
    ],
    _check_variants: [("models", "*", "scale_of")],
    _check_workloads: [
        ("models", "*", "workload", "**"),
        ("models", "*", "architecture", "**"),
        ("models", "*", "loss"),
    ],
    _check_files: [
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
