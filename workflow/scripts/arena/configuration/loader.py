"""The configuration of a run: catalogues and choices merged, checked and completed.

``resolve`` reads the catalogues, lays Snakemake's config over them and either returns a mapping in
which every key has a value, or raises ``ConfigError`` with everything that is wrong.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from arena.configuration import frameworks, references, validator
from arena.configuration.validator import Config, Problem, nearest, shown

LARGEST = 100_000  # entries of a configuration file: the default has 60
SCHEMA = "workflow/schemas/config.schema.yaml"


class ConfigError(ValueError):
    """A configuration that cannot be run; the message lists every problem found."""

    def __init__(self, problems: list[Problem]):
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{count} in the configuration (config/README.md explains every key):\n{lines}")


def resolve(user: Mapping[str, Any], basedir: str | Path, remembered: Path | None = None) -> Config:
    """The whole configuration of a run.

    ``user`` is Snakemake's config: config/config.yaml with the files and values given by --configfile
    and --config laid over it. ``basedir`` is the project's directory, which holds ``config/``,
    ``envs/`` and ``workflow/``. Keys that nobody gives take the schema's defaults.
    ``remembered``: a file by which the next call with the same configuration is quicker.

    Raises ConfigError listing every problem with its key path, value and what is allowed.
    """
    basedir = Path(basedir)
    schema = read_yaml(basedir / SCHEMA)
    known = catalogues(basedir)
    config: Config = merge(known, user)
    _complete_variants(config)
    problems = _take_unknown_entries(config, known, schema)
    refused = validator.problems(config, schema, remembered)
    problems += refused
    config = validator.with_defaults(config, schema, schema)
    if isinstance(config["frameworks"], dict):
        frameworks.complete(config["frameworks"], basedir)
    _name_all_rows(config)
    problems += _foreign_lanes(config, known, refused)
    for check, reads in references.CHECKS.items():
        # A check would stumble over what the schema has already refused.
        if not any(_in_the_way(problem.path, read) for problem in refused for read in reads):
            problems += check(config, basedir)
    if problems:
        raise ConfigError(problems)
    return config


def merge(base: Any, over: Any) -> Any:
    """``over`` laid on ``base``: mappings key by key, all else (lists too) replaced; a deep copy."""
    if not isinstance(over, Mapping):
        return copy.deepcopy(over)
    merged = dict(base) if isinstance(base, Mapping) else {}
    merged |= {key: merge(merged.get(key), value) for key, value in over.items()}
    return copy.deepcopy(merged)


def catalogues(basedir: Path) -> Config:
    """The mapping ``{frameworks, models}`` of config/frameworks/*.yaml and config/models/*.yaml."""
    found: dict[str, Config] = {"frameworks": {}, "models": {}}
    defined: dict[tuple[str, str], Path] = {}
    sources = [
        (kind, path)
        for kind in found
        for path in sorted((basedir / "config" / kind).glob("*.yaml"), key=lambda path: path.stem)
    ]
    for kind, path in sources:
        content = read_yaml(path)
        if list(content) != [kind] or not isinstance(content[kind], Mapping):
            raise _refusal(path, f"needs exactly one top-level key, `{kind}:`, holding a mapping")
        for name, entry in content[kind].items():
            if (kind, name) in defined:
                raise _refusal(path, f"{kind}.{name} is defined in {defined[kind, name]} too; remove one")
            defined[kind, name] = path
            found[kind][name] = entry
    return found


def float32_row(catalogue: Mapping[str, Config], row: str) -> str | None:
    """The float32 row with which ``row`` is compared: its framework's, with the most options in common.

    The first of several; itself, if ``row`` is in float32; None where the framework has no such row.
    """
    variants = next(entry["rows"] for entry in catalogue.values() if row in entry["rows"])
    if variants[row]["lane"] == "float32":
        return row
    own = variants[row]["options"].items()

    def shared(name: str) -> int:
        return sum(pair in own for pair in variants[name]["options"].items())

    exact = [name for name, variant in variants.items() if variant["lane"] == "float32"]
    return max(exact, key=shared, default=None)


def _complete_variants(config: Config) -> None:
    """Lay each model that names another in `scale_of` over that one.

    Generation and the text to predict stay behind: they are at batch 1, whatever the scale. What is no mapping, or
    names no model, is left to the checks.
    """
    models = config["models"] if isinstance(config["models"], dict) else {}
    for name, entry in list(models.items()):
        base = models.get(entry.get("scale_of")) if isinstance(entry, dict) else None
        if isinstance(base, dict) and base is not entry and not base.get("scale_of"):
            own = ("decode", "quality")
            workload = {key: value for key, value in base.get("workload", {}).items() if key not in own}
            models[name] = merge(base | {"workload": workload}, entry)


def _name_all_rows(config: Config) -> None:
    """Replace ``run.rows: all`` by every row of the catalogue, as far as the catalogue can be read.

    The baseline's framework comes first, the others in the order of their names.
    """
    run, entries = config["run"], config["frameworks"]
    if isinstance(run, dict) and run.get("rows") == "all":
        entries = entries.values() if isinstance(entries, dict) else ()
        variants = [entry["rows"] for entry in entries if isinstance(entry, dict) and "rows" in entry]
        variants = [rows for rows in variants if isinstance(rows, dict)]
        variants.sort(key=lambda rows: run.get("baseline") not in rows)
        run["rows"] = [row for rows in variants for row in rows]


def _foreign_lanes(config: Config, known: Mapping[str, Any], refused: list[Problem]) -> list[Problem]:
    """Rows of an overlay in a lane that none of the framework's own rows has: its adapter knows no other."""
    problems = []
    for name, entry in known["frameworks"].items():
        if any(problem.path[:2] == ("frameworks", name) for problem in refused):
            continue
        lanes = dict.fromkeys(row.get("lane", "float32") for row in entry["rows"].values())
        for row, variant in config["frameworks"][name]["rows"].items():
            if variant["lane"] not in lanes:
                text = f"{shown(variant['lane'])} is no lane of {name}; allowed: {', '.join(lanes)}, "
                text += f"or one that its adapter and a row of config/frameworks/{name}.yaml have"
                problems.append(Problem(("frameworks", name, "rows", row, "lane"), text))
    return problems


if TYPE_CHECKING:
    Fastest = yaml.SafeLoader
else:
    Fastest = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML has it


# What YAML 1.1 takes for a number, and people do not: 010 is eight there, and 1:30 ninety.
MISREAD = re.compile(r"[-+]?(0[0-9_]+|0[bx][0-9a-fA-F_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")


class _Loader(Fastest):
    """Refuses what YAML would silently take for something else: a key given twice, of which the first is dropped,
    and numbers in the notations of octal and of hours and minutes.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = Counter(key.value for key, _ in node.value)
        twice = [key for key, count in keys.items() if count > 1]
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {', '.join(twice)} is given more than once", node.start_mark
            )
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> Any:
        kind = node.tag.rpartition(":")[2]
        value = getattr(Fastest, f"construct_yaml_{kind}")(self, node)
        if MISREAD.fullmatch(node.value):
            text = f"{node.value} would be read as {value}; write that, or put text in quotation marks"
            raise yaml.constructor.ConstructorError(None, None, text, node.start_mark)
        return value


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)


def check_file(path: Path) -> None:
    """A configuration file of the user's, which Snakemake has read: that its text says what was read.

    Raises ConfigError with the file and the line of a key given twice, a number that reads as another, an anchor
    that holds itself, or more than LARGEST entries. A template of YTE's is left to YTE.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    if "__use_yte__" in text:
        return
    value: Any = read_yaml(path) if text.strip() else {}
    waiting: list[tuple[Any, validator.Path, tuple[int, ...]]] = [(value, (), ())]
    for _ in range(LARGEST):
        if not waiting:
            return
        value, keys, above = waiting.pop()
        if id(value) in above:
            raise _refusal(
                path, f"{validator.dotted(keys)} holds itself; write out what its anchor stands for"
            )
        if isinstance(value, (dict, list)):
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [(child, (*keys, key), (*above, id(value))) for key, child in pairs]
    raise _refusal(
        path, f"has more than {LARGEST} entries, with what its anchors repeat; no run needs as many"
    )


def read_yaml(path: Path) -> Config:
    """A YAML file that holds a mapping. Raises ConfigError naming the file and the line."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise _refusal(path, "this file of the project is missing; restore it") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _refusal(path, f"not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise _refusal(path, f"{shown(content)} is not allowed; allowed: a mapping")
    return content


def _refusal(file: Path, text: str) -> ConfigError:
    return ConfigError([Problem((str(file),), text)])


def _in_the_way(refused: validator.Path, reads: tuple[str, ...]) -> bool:
    """Whether reading the path ``reads`` meets the path ``refused``.

    In ``reads``, ``*`` is any one key, and ``**`` at the end is everything below.
    """
    deep = reads[-1] == "**"
    steps = reads[:-1] if deep else reads
    if len(refused) > len(steps) and not deep:
        return False
    return all(step in ("*", part) for part, step in zip(refused, steps, strict=False))


def _take_unknown_entries(
    config: Config, known: Mapping[str, Any], schema: Mapping[str, Any]
) -> list[Problem]:
    """Take from ``config`` the models and frameworks that are not whole and in no catalogue.

    Most likely an overlay misspells a name.
    """
    problems = []
    for kind, definition in (("models", "model"), ("frameworks", "framework")):
        required = schema["$defs"][definition]["required"]
        for name, entry in list(config[kind].items()) if isinstance(config[kind], dict) else ():
            missing = [key for key in required if not isinstance(entry, Mapping) or key not in entry]
            if name not in known[kind] and missing:
                del config[kind][name]
                text = (
                    f"no such {definition}{nearest(name, known[kind])}; allowed: {', '.join(known[kind])}, "
                )
                problems.append(Problem((kind, name), f"{text}or a new one with {', '.join(missing)} too"))
    return problems
