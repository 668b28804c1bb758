"""Write the files with which a framework begins, and say what then (`make new-framework`).

    python workflow/tools/new_framework.py tvm

What it writes is docs/frameworks.md's: a file in config/frameworks/, a folder with an adapter, an environment. Until
the adapter is written its cells fail, and say at what. Nothing that exists is overwritten.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from string import Template

import yaml

import library  # noqa: F401
from arena import files
from arena.configuration.loader import catalogues

ROOT = Path(__file__).resolve().parents[2]
SKELETON = Path(__file__).resolve().parent / "skeletons" / "framework"
NAME = re.compile(r"[a-z][a-z0-9]*")  # the folder is a package of Python's
COMMON = ("numpy", "safetensors", "psutil", "packaging")  # what the measuring process imports

NEXT = """\
Next (docs/frameworks.md):
  1. {env}: the version to measure, then `make lock ENV={name}`
  2. {config}: its name, address and licence; the models that it cannot run, under `unsupported`
  3. {adapter}: describe, prepare, fetch
  4. `make try ROW={name} MODEL=ResNet-50` until it passes, then the other models
  5. its row in `run.rows` of config/full.yaml and config/test.yaml, and `make docs`"""


def skeleton(name: str, root: Path) -> dict[Path, str]:
    """The files of a new framework below ``root``, by path. Raises ValueError for a name that is taken or none."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name; expected lower-case letters and digits, such as onnxruntime")
    known = catalogues(root)["frameworks"]
    rows = {row for entry in known.values() for row in entry["rows"]}
    if name in known or name in rows:
        raise ValueError(f"{name} is a framework or a row already; take another name")
    base = yaml.safe_load((root / "envs" / "base.yaml").read_text(encoding="utf-8"))["dependencies"]
    (python,) = (line for line in base if isinstance(line, str) and line.startswith("python="))
    (pip,) = (entry for entry in base if isinstance(entry, dict))
    common = [pin for pin in pip["pip"] if pin.partition("==")[0] in COMMON]
    words = {
        "name": name,
        "python": python.partition("=")[2],
        "common": "\n".join(f"      - {pin}" for pin in common),
    }
    folder = root / "workflow" / "scripts" / "frameworks" / name
    texts = {
        root / "config" / "frameworks" / f"{name}.yaml": "config.yaml.txt",
        root / "envs" / f"{name}.yaml": "env.yaml.txt",
        folder / "adapter.py": "adapter.py.txt",
    }
    found = {
        path: Template((SKELETON / text).read_text("utf-8")).substitute(words) for path, text in texts.items()
    }
    return found | {folder / "__init__.py": ""}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="its id: of its file, its folder, its environment and its first row")
    args = parser.parse_args()
    try:
        made = skeleton(args.name, ROOT)
        there = [str(path.relative_to(ROOT)) for path in made if path.exists()]
        if there:
            raise ValueError(f"{', '.join(there)} exists already; remove it, or take another name")
    except ValueError as error:
        print(f"new_framework.py: {error}", file=sys.stderr)
        return 2
    for path, text in made.items():
        files.write_text(path, text)
        print(f"written: {path.relative_to(ROOT)}")
    config, env, adapter, _ = (path.relative_to(ROOT) for path in made)
    print(NEXT.format(name=args.name, config=config, env=env, adapter=adapter))
    return 0


if __name__ == "__main__":
    sys.exit(main())
