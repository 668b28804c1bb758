"""What a configuration's schema cannot say of what is made and read: formats, and the files that a run's cells need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arena.configuration import frameworks, validator
from arena.configuration.frameworks import FOLDERS, SCRIPTS
from arena.configuration.validator import Config, Problem, nearest, shown, unknown


def check_formats(config: Config, basedir: Path) -> Iterator[Problem]:
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
                yield unknown(("frameworks", framework, *key), name, "format", list(formats))
        for made, task in ((m, t) for m in entry["exports"] for t in ("model", "decode")):
            for read in entry["exports"][made].get(task, {}).get("reads", []):
                key = ("frameworks", framework, "exports", made, task, "reads")
                if read not in frameworks.SOURCES and read not in written:
                    yield unknown(key, read, "file of a format", [*frameworks.SOURCES, *written])
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


def check_files(config: Config, basedir: Path) -> Iterator[Problem]:
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
