"""The tables that follow from the catalogue: what each framework can do, and why not where it cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from arena.configuration import frameworks
from arena.configuration.frameworks import ENGINES

Config = Mapping[str, Any]


def matrix(config: Config, basedir: Path) -> str:
    """A line a framework: models, training, generation, lanes beside float32, accelerators."""
    models = whole_models(config)
    head = [
        "framework",
        *models,
        "training",
        "generation",
        "reduced precision",
        "accelerators it is written for",
    ]
    lines = [row(head), row(["---", *[":---:"] * (len(models) + 2), "---", "---"])]
    for entry in config["frameworks"].values():
        able = [runs(entry, name, model, basedir) for name, model in models.items()]
        decodes = any(
            can for can, model in zip(able, models.values(), strict=True) if "decode" in model["workload"]
        )
        tasks = [any(able) and "training" not in entry["unsupported_tasks"]]
        tasks += [decodes and "decode" not in entry["unsupported_tasks"]]
        lanes = dict.fromkeys(variant["lane"] for variant in entry["rows"].values())
        name = entry["name"] + language(entry, basedir)
        marks = ["✓" if can else "—" for can in (*able, *tasks)]
        others = ", ".join(limited_lane(lane) for lane in lanes if lane != "float32")
        lines.append(row([name, *marks, others, ", ".join(reached(entry))]))
    return "\n".join(lines)


def reasons(config: Config, basedir: Path) -> str:
    """Every model, task and accelerator that the catalogue leaves out, with its code and its reason."""
    lines = ["## Models", "", row(["framework", "model", "code", "why"]), row(["---"] * 4)]
    for entry in config["frameworks"].values():
        if not has_program(entry, basedir):
            why = f"`{ENGINES}/` has no program for it. The build asks the crate registry what has been released."
            lines.append(row([entry["name"], "every", "`no-program`, `not-released`", why]))
            continue
        for name, model in whole_models(config).items():
            if reason := frameworks.model_reason(entry, name, model["definition"]):
                lines.append(row([entry["name"], name, f"`{reason['code']}`", reason["why"]]))
    lines += ["", "## Tasks", "", row(["framework", "task", "code", "why"]), row(["---"] * 4)]
    for entry in config["frameworks"].values():
        for task, reason in frameworks.unsupported_tasks(entry).items():
            lines.append(row([entry["name"], task, f"`{reason['code']}`", reason["why"]]))
    lines += [
        "",
        "## Accelerators",
        "",
        row(["framework or row", "computes on", "code elsewhere", "why"]),
        row(["---"] * 4),
    ]
    for entry in config["frameworks"].values():
        lines += [row(cells) for cells in limited(entry)]
    return "\n".join(lines)


def limited(entry: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """The rows of a framework with the accelerators to which each is confined, and why."""
    framework = [f"`{name}`" for name in entry["rows"]]
    yield (
        ", ".join(framework),
        ", ".join(reached(entry)),
        "`no-device`",
        f"{entry['name']} knows no others here.",
    )
    for name, variant in entry["rows"].items():
        where, why = frameworks.LANES.get(variant["lane"], (None, ""))
        if where:
            yield f"`{name}`", ", ".join(sorted(where)), "`unsupported-lane`", why
        elif variant["accelerators"]:
            why = variant["elsewhere"] or "The row is for these."
            yield f"`{name}`", ", ".join(variant["accelerators"]), "`no-device`", why


def limited_lane(lane: str) -> str:
    """The lane's name, with the accelerators on which alone it exists."""
    where, _ = frameworks.LANES.get(lane, (None, ""))
    return f"{lane} ({', '.join(sorted(where))})" if where else lane


def whole_models(config: Config) -> dict[str, Mapping[str, Any]]:
    """The models that are no variant of another, in the default's order."""
    whole = {name: model for name, model in config["models"].items() if model["scale_of"] is None}
    order = config["run"]["models"]
    return dict(
        sorted(whole.items(), key=lambda pair: order.index(pair[0]) if pair[0] in order else len(order))
    )


def has_program(entry: Mapping[str, Any], basedir: Path) -> bool:
    return not entry["engine"] or frameworks.has_program(basedir, entry["engine"])


def language(entry: Mapping[str, Any], basedir: Path) -> str:
    """In which an engine's users write, behind its name; nothing for a framework of Python."""
    if not entry["engine"]:
        return ""
    return " (JavaScript)" if frameworks.package(basedir, entry["engine"]).is_dir() else " (Rust)"


def runs(entry: Mapping[str, Any], name: str, model: Mapping[str, Any], basedir: Path) -> bool:
    return has_program(entry, basedir) and frameworks.model_reason(entry, name, model["definition"]) is None


def reached(entry: Mapping[str, Any]) -> list[str]:
    """The framework's accelerators, with the interface where that is another's."""
    interfaces = {name: there.get("interface", name) for name, there in entry["accelerators"].items()}
    return [name if name == via else f"{name} ({via})" for name, via in interfaces.items()]


def row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
