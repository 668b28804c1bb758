"""Print the lines that pin a checkpoint of a hub: its commit, and the sha256 of every file it takes.

python pin_weights.py HuggingFaceTB/SmolLM2-135M
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any

import library  # noqa: F401
from arena import files
from arena.weights import hub
from arena.weights.hub import HubError, Patience

PATIENCE = Patience(3, 2.0)
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
INDEX = "model.safetensors.index.json"


def chosen(names: list[str]) -> list[str]:
    """config.json and the weights: the whole file if there is one, else the index and its shards.

    Raises HubError if ``names`` hold no such checkpoint.
    """
    shards = sorted(name for name in names if SHARD.fullmatch(name))
    weights = ["model.safetensors"] if "model.safetensors" in names else [INDEX, *shards]
    missing = [name for name in ("config.json", *weights) if name not in names]
    if missing:
        raise HubError(f"no {', '.join(missing)}; only safetensors with a config.json can be used")
    return ["config.json", *weights]


def pins(repository: str, revision: str) -> dict[str, Any]:
    """The `source` of ``repository`` at what ``revision`` (a branch, a tag, a commit) is now.

    What the hub keeps as large files it knows by sha256; the others are downloaded and summed.
    Raises HubError if the hub does not show them.
    """
    offer = hub.ask(repository, revision, PATIENCE, PATIENCE)
    offered = {file.rfilename: file for file in offer.siblings or []}
    sums = {}
    for name in chosen(list(offered)):
        if offered[name].lfs is not None:
            sums[name] = offered[name].lfs.sha256
            continue
        one = {"repository": repository, "revision": offer.sha, "files": [{"name": name, "sha256": None}]}
        sums[name] = files.sha256(hub.fetch(one, {}, PATIENCE, PATIENCE)[name])
    return {"repository": repository, "revision": offer.sha, "files": sums}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repository", help="OWNER/NAME")
    parser.add_argument("--revision", default="main", help="a branch, tag or commit (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        found = pins(options.repository, options.revision)
    except HubError as error:
        sys.exit(f"pin_weights.py: {hub.without_token(str(error))}")
    print("source:")
    print(f"  repository: {found['repository']}\n  revision: {found['revision']}\n  files:")
    for name, digest in found["files"].items():
        print(f"    - {{name: {name}, sha256: {digest}}}")


if __name__ == "__main__":
    main()
