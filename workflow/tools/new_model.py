"""Write the files with which a model begins, and say what then (`make new-model`).

    python workflow/tools/new_model.py MyModel
    python workflow/tools/new_model.py MyModel --definition my_architecture

What it writes is config/README.md's ("Adding a model"), and runs as it is: a file in config/models/, its definition for
the weights and for PyTorch, a page, and sizes in config/test.yaml, by which every test that goes through the models has
it too. The architecture in these files is a small one, to be replaced. Nothing that exists is overwritten.
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from pathlib import Path
from string import Template
from typing import Any

import yaml

import describe_model
import library  # noqa: F401
from arena import files
from arena.configuration import loader

ROOT = Path(__file__).resolve().parents[2]
SKELETON = Path(__file__).resolve().parent / "skeletons" / "model"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # as the configuration's schema has names
MODULE = re.compile(r"[a-z][a-z0-9_]*")
SCRIPTS = Path("workflow/scripts")
MINIATURE = Path("config/test.yaml")
#: By which framework's definitions, rows and exports are made that have none of their own.
FIRST = "pytorch"

NEXT = """\
Next (config/README.md, "Adding a model"):
  1. {config}: architecture, workload, loss;
     in {miniature} its sizes, which keep every kind of layer
  2. {spec}: every tensor;
     {module}: the module
  3. `make try ROW=pytorch-eager MODEL={name}` until it passes: the reference, and PyTorch's own float32 against it
  4. {page}: what it computes, where it comes from, and what its two commands print
  5. for each framework what it lacks, or why it has none, in config/frameworks/<framework>.yaml:
     frameworks.<framework>.unsupported.{name}: {{code: unsupported-model, why: It has no …}}"""
LAST = """\
  6. {name} in `run.models` of config/config.yaml, and `make docs`
  7. `make check`, `make test`; once a table with it is published, its sums in
     tests/arena/weights/test_seeded_weights.py and tests/scripts/test_inputs.py"""


def skeleton(name: str, definition: str, root: Path) -> dict[Path, str]:
    """The texts of a new model by path below ``root``; the page's commands and config/test.yaml are left out.

    Raises ValueError for a name that is taken or none.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name; expected letters, digits, `.`, `_` and `-`, such as SmolLM2-135M"
        )
    if not MODULE.fullmatch(definition) or keyword.iskeyword(definition):
        raise ValueError(
            f"{definition!r} is no definition; expected lower-case letters, digits and `_`, such as action_expert: "
            "it is the name of a module (DEFINITION=)"
        )
    known = loader.catalogues(root)["models"]
    if name.casefold() in {other.casefold() for other in known}:
        raise ValueError(f"{name} is a model already, case aside; take another name")
    users = [other for other, entry in known.items() if entry.get("definition") == definition]
    if users:
        raise ValueError(
            f"definition {definition} is that of {', '.join(users)}; another model of it needs a file in "
            f"config/models/ alone, so copy config/models/{users[0]}.yaml, or give another DEFINITION="
        )
    words = {
        "name": name,
        "definition": definition,
        "seed": str(1 + max(entry.get("seed", 0) for entry in known.values())),
    }
    texts = {
        Path("config/models") / f"{name}.yaml": "config.yaml.txt",
        SCRIPTS / "models/spec" / f"{definition}.py": "spec.py.txt",
        SCRIPTS / "frameworks" / FIRST / "models" / f"{definition}.py": "pytorch.py.txt",
    }
    return {path: filled(text, words) for path, text in texts.items()}


def filled(text: str, words: dict[str, str]) -> str:
    return Template((SKELETON / text).read_text("utf-8")).substitute(words)


def miniature(name: str, root: Path) -> str:
    """config/test.yaml with the model's sizes at its end. Raises ValueError if they would not be its models' there."""
    text = (root / MINIATURE).read_text(encoding="utf-8")
    added = f"{text.rstrip()}\n{filled('miniature.yaml.txt', {'name': name})}"
    before = yaml.safe_load(text)["models"]
    try:
        after = yaml.safe_load(added)["models"]
    except yaml.YAMLError:
        after = None
    if name in before or list(after or ()) != [*before, name]:
        raise ValueError(
            f"{MINIATURE} has {name}, or does not end with its models; put them last, and try again"
        )
    return added


def page(name: str, root: Path) -> str:
    """The model's page, with what the commands in it print. The model's other files are there by now."""

    def described(*overlays: Path) -> list[str]:
        chosen: Any = loader.read_yaml(root / "config/config.yaml")
        for path in overlays:
            chosen = loader.merge(chosen, loader.read_yaml(path))
        return describe_model.described(loader.resolve(chosen, root)["models"][name])

    words = {"full": "\n".join(described()) + "\n", "small": described(root / MINIATURE)[0] + "\n"}
    return filled("page.md.txt", words | {"name": name})


def frameworks_to_decide(definition: str, root: Path) -> list[str]:
    """For each framework that cannot run the model yet, what to write."""
    lines = []
    for framework, entry in loader.resolve({}, root)["frameworks"].items():
        if framework == FIRST or entry["definitions"] == FIRST:
            continue
        if entry["definitions"]:
            way = f"{SCRIPTS}/frameworks/{entry['definitions']}/models/{definition}.py"
        elif entry["engine"]:
            way = f"a module of workflow/engines/arena-{entry['engine']}/"
        elif entry["export"]:
            way = f"nothing, if its export `{entry['export']}` takes it"
        else:
            way = "whatever its adapter needs"
        lines.append(f"       {framework}: {way}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="its id: of its file, its page and in run.models")
    parser.add_argument(
        "--definition", help="of its architecture, a module (default: the name in small letters)"
    )
    args = parser.parse_args()
    definition = args.definition or re.sub(r"[^a-z0-9]+", "_", args.name.lower()).strip("_")
    own = Path("docs/models") / f"{args.name}.md"
    try:
        made = skeleton(args.name, definition, ROOT)
        there = [str(path) for path in (*made, own) if (ROOT / path).exists()]
        if there:
            raise ValueError(f"{', '.join(there)} exists already; remove it, or take another name")
        made |= {MINIATURE: miniature(args.name, ROOT)}
        for path, text in made.items():
            files.write_text(ROOT / path, text)
        made |= {own: page(args.name, ROOT)}
        files.write_text(ROOT / own, made[own])
    except ValueError as error:
        print(f"new_model.py: {error}", file=sys.stderr)
        return 2
    for path in made:
        print(f"written: {path}" if path != MINIATURE else f"added to: {path}")
    config, spec, module, *_ = made
    words = {
        "config": config,
        "spec": spec,
        "module": module,
        "miniature": MINIATURE,
        "page": own,
        "name": args.name,
    }
    print(
        NEXT.format(**words),
        *frameworks_to_decide(definition, ROOT),
        LAST.format(**words),
        sep="\n",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
