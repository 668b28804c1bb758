"""What a framework's file says of it, completed by convention, and what a row cannot do, in one place.

An entry is what `frameworks.<id>` of the resolved configuration holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCRIPTS = "workflow/scripts"
ENGINES = "workflow/engines"
FOLDERS = f"{SCRIPTS}/frameworks"

Entry = Mapping[str, Any]
Reason = dict[str, str]  # code, why

#: The tasks that a framework may lack, with the code that the report shows.
TASK_CODES = {"training": "no-training", "decode": "no-kv-cache"}
#: Lanes that exist on some accelerators only, and why.
LANES = {"tf32": ({"cuda"}, "TF32 is a format of NVIDIA's tensor cores.")}
#: Lanes whose name says how they round.
ONE_ROUNDING = ("tf32", "float16", "bfloat16")
#: What an export job may read of a model, by the name in `reads`.
SOURCES = {"weights": "model.safetensors", "config": "config.json", "inputs": "inputs.safetensors"}


def complete(frameworks: Mapping[str, Any], basedir: Path) -> None:
    """Fill, in place, what an entry leaves to convention: environment, distribution, adapter or engine, definitions.

    Only keys that are None are filled, and what is no mapping is left to the schema. An entry for which there is
    neither adapter nor engine keeps None for both.
    """
    for name, entry in frameworks.items():
        if not isinstance(entry, dict):
            continue
        for key in ("env", "distribution"):
            if entry.get(key) is None:
                entry[key] = name
        if entry.get("adapter") is None and entry.get("engine") is None:
            if (basedir / FOLDERS / name / "adapter.py").is_file():
                entry["adapter"] = f"{FOLDERS}/{name}/adapter.py"
            elif has_program(basedir, name):
                entry["engine"] = name
        if entry.get("definitions") is None and (basedir / FOLDERS / name / "models").is_dir():
            entry["definitions"] = name


def crate(basedir: Path, engine: str) -> Path:
    """The folder of the crate of an engine in Rust, which has the same name."""
    return basedir / ENGINES / f"arena-{engine}"


def package(basedir: Path, engine: str) -> Path:
    """The folder of an engine in JavaScript, which is a package of npm's of the same name."""
    return basedir / ENGINES / "javascript" / f"arena-{engine}"


def has_program(basedir: Path, engine: str) -> bool:
    """Whether there is a program for the engine, in whichever language."""
    return crate(basedir, engine).is_dir() or package(basedir, engine).is_dir()


def reach(entry: Entry, row: str, accelerator: str) -> dict[str, Any] | None:
    """How the row reaches the accelerator: ``env``, ``distribution``, ``libraries`` and ``interface``.

    None where the framework or the row has no such accelerator.
    """
    own = entry["rows"][row]["accelerators"]
    if accelerator not in entry["accelerators"] or (own and accelerator not in own):
        return None
    found = {key: entry[key] for key in ("env", "distribution", "libraries")} | {"interface": accelerator}
    found |= entry["accelerators"][accelerator]
    found |= own.get(accelerator, {})
    return found


def environment(entry: Entry, row: str) -> dict[str, str]:
    """The variables of the row's measuring process: the framework's and its own, which count where both are."""
    return {**entry["environment"], **entry["rows"][row]["environment"]}


def export(entry: Entry, row: str) -> str | None:
    """The format that the row reads: its own, or the framework's; None where that is ``model.safetensors``."""
    own: str | None = entry["rows"][row]["export"] or entry["export"]
    return own


def rounding(variant: Mapping[str, Any]) -> str | None:
    """How a row's lane rounds, by the names of ``frameworks/pytorch/rounding.py``.

    None in float32, and where eight bits are rounded in a way that the row's file does not name.
    """
    own: str | None = variant["rounding"] or (variant["lane"] if variant["lane"] in ONE_ROUNDING else None)
    return own


def unsupported(entry: Entry, row: str, model: str, definition: str, accelerator: str) -> Reason | None:
    """Why the row cannot run the model on the accelerator; None if it can, as far as its file tells."""
    variant = entry["rows"][row]
    where, why = LANES.get(variant["lane"], ({accelerator}, ""))
    if accelerator not in where:
        return {"code": "unsupported-lane", "why": why}
    if accelerator not in entry["accelerators"]:
        known = ", ".join(entry["accelerators"])
        return {"code": "no-device", "why": f"{entry['name']} computes on {known}, not on {accelerator}."}
    if reach(entry, row, accelerator) is None:
        known = ", ".join(variant["accelerators"])
        return {"code": "no-device", "why": variant["elsewhere"] or f"This row is for {known}."}
    return model_reason(entry, model, definition)


def reduces(entry: Entry) -> bool:
    """Whether its rows are asked to predict a text: one is in reduced precision, and no engine runs them.

    Its float32 rows are what the others are compared with.
    """
    lanes = {row["lane"] for row in entry["rows"].values()}
    return not entry["engine"] and lanes != {"float32"}


def model_reason(entry: Entry, model: str, definition: str) -> Reason | None:
    """Why the framework cannot run the model on any device: named itself, or by its definition."""
    reasons: Mapping[str, Reason] = entry["unsupported"]
    return reasons.get(model) or reasons.get(definition)


def unsupported_tasks(entry: Entry) -> dict[str, Reason]:
    """The tasks that the framework cannot do, each with its reason."""
    return {task: {"code": TASK_CODES[task], "why": why} for task, why in entry["unsupported_tasks"].items()}


def stated(framework: str, task: str) -> str:
    """What a record has in the place of the sentence: the key under which that stands, and one reads it anew."""
    return f"[frameworks.{framework}.unsupported_tasks.{task}]"


def sentences(frameworks: Mapping[str, Entry]) -> dict[str, str]:
    """Every sentence on a task that a framework lacks, by what ``stated`` has for it."""
    return {
        stated(name, task): why
        for name, entry in frameworks.items()
        for task, why in entry["unsupported_tasks"].items()
    }


def distributions(entry: Entry) -> list[dict[str, Any]]:
    """Every ``distribution`` under which the framework may be installed, with its ``libraries``, each once."""
    variants = [{}, *entry["accelerators"].values()]
    found = {
        variant.get("distribution", entry["distribution"]): variant.get("libraries", entry["libraries"])
        for variant in variants
    }
    return [{"distribution": name, "libraries": libraries} for name, libraries in found.items()]


def exports(frameworks: Mapping[str, Entry]) -> dict[str, dict[str, Any]]:
    """The formats that frameworks write, by name; ``framework`` is whose folder has the exporter."""
    return {
        name: {**made, "env": made["env"] or entry["env"], "framework": framework}
        for framework, entry in frameworks.items()
        for name, made in entry["exports"].items()
    }


def exporter_file(made: Mapping[str, Any], task: str) -> str:
    """The exporter of a format's files for ``task`` (model or decode), from the project's directory."""
    return f"{FOLDERS}/{made['framework']}/{made[task]['exporter']}.py"
