"""Download a checkpoint at its pinned revision, check it, and record what it is.

With `--asked auto` a machine without a hub is no error: the record then says that the weights are to be
made from the seed. Variables with which no hub can be asked are an error (arena/weights/surroundings.py).
HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE mean what they mean to huggingface-hub; what its cache holds is not
downloaded again.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arena import files
from arena.weights import hub, unmade
from arena.weights.hub import HubError, LocalError, NoHubError, Patience


def place(path: Path, directory: Path) -> None:
    """Put a file of the cache into ``directory``: as a second name where the file system allows, else a copy.

    The cache may lose the file afterwards.
    """
    target = directory / path.name
    directory.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(path.resolve(), target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise
        with files.replacing(target) as temporary:
            shutil.copyfile(path, temporary)


def record_of(source: dict[str, Any], paths: dict[str, Path]) -> dict[str, Any]:
    """What the record says of downloaded files: sha256, bytes, and whether the config pins them."""
    pinned = {file["name"]: file["sha256"] is not None for file in source["files"]}
    return {
        "kind": "hub",
        "repository": source["repository"],
        "revision": source["revision"],
        "files": {
            name: {"sha256": files.sha256(path), "bytes": path.stat().st_size, "pinned": pinned[name]}
            for name, path in paths.items()
        },
    }


def first_seen(record: Path) -> dict[str, dict[str, str]]:
    """An earlier record's sha256 of files without a pin: {`repository@revision`: {name: sha256}}."""
    return files.read_json(record)["first_seen"] if record.is_file() else {}


def download(
    source: dict[str, Any], asked: str, directory: Path, record: Path, patience: Patience
) -> dict[str, Any]:
    """Fetch the files of ``source`` into ``directory`` and write ``record``; returns its content.

    Raises HubError if that cannot be done; with ``asked`` "auto", no hub is an answer, not an error.
    """
    key = f"{source['repository']}@{source['revision']}"
    seen = first_seen(record)
    # Whether there is a hub is asked once where the seed will do; a hub that is there gets more patience.
    first = Patience(1, 0.0) if asked == "auto" else patience
    try:
        paths = hub.fetch(source, seen.get(key, {}), first, patience)
    except NoHubError as error:
        if asked != "auto":
            raise
        found: dict[str, Any] = {"kind": "seeded", "reason": hub.without_token(str(error))}
        directory.mkdir(parents=True, exist_ok=True)
    else:
        for path in paths.values():
            place(path, directory)
        found = record_of(source, paths)
        loose = {name: file["sha256"] for name, file in found["files"].items() if not file["pinned"]}
        seen |= {key: seen.get(key, {}) | loose} if loose else {}
    found |= {"asked": asked, "decided": datetime.now(UTC).isoformat(timespec="seconds"), "first_seen": seen}
    files.write_json(record, found)
    return found


def record_failure(asked: str, directory: Path, record: Path, why: str) -> None:
    """Write a ``record`` that says why there are no files, and an empty ``directory``."""
    found: dict[str, Any] = {"kind": "failed", "reason": unmade.because(why)}
    found |= {"asked": asked, "decided": datetime.now(UTC).isoformat(timespec="seconds")}
    directory.mkdir(parents=True)
    files.write_json(record, found | {"first_seen": first_seen(record)})


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, type=json.loads, help="the model's `source`, as JSON")
    parser.add_argument("--asked", required=True, choices=["hub", "auto"], help="the model's `weights`")
    parser.add_argument("--files", required=True, type=Path, help="written: directory of the files")
    parser.add_argument("--record", required=True, type=Path, help="written (an old one is read first)")
    parser.add_argument("--attempts", type=int, default=4, help="how often to try (default: %(default)s)")
    parser.add_argument(
        "--backoff", type=float, default=5.0, help="seconds before the second, then doubled (%(default)s)"
    )
    parser.add_argument(
        "--record-failure",
        action="store_true",
        help="where the hub is at fault, record that instead of failing",
    )
    options = parser.parse_args(arguments)
    patience = Patience(options.attempts, options.backoff)
    try:
        found = download(options.source, options.asked, options.files, options.record, patience)
    except Exception as error:
        shutil.rmtree(options.files, ignore_errors=True)
        known = isinstance(error, (HubError, OSError, ValueError))
        why = hub.without_token(str(error) if known else f"{type(error).__name__}: {error}")
        hint = "" if options.asked == "hub" else "; `weights: seeded` does without a hub"
        if not options.record_failure or isinstance(error, (LocalError, OSError, ValueError)):
            sys.exit(f"download_weights.py: {why}{hint}")
        record_failure(options.asked, options.files, options.record, why)
        print(f"no weights: {why}{hint}", file=sys.stderr)
        return
    if found["kind"] == "seeded":
        print(f"weights from the seed, for want of a hub: {found['reason']}", file=sys.stderr)
    else:
        size = sum(file["bytes"] for file in found["files"].values()) / 1e6
        print(f"{len(found['files'])} files, {size:.1f} MB, as expected", file=sys.stderr)


if __name__ == "__main__":
    main()
