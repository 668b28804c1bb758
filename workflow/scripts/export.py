"""Write one export of one model with a framework's exporter, and record what came of it.

An exporter that cannot do the model, fails, or dies costs the cells that read its files, not the run: the
files are then empty, the record beside the first of them says why, and the exit status is 0. The exporter runs
in a process of its own, with the variables that arena/environment.py lets through. A full or broken disk is an
error: nothing is recorded then.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from arena import environment, files, redaction, storage
from arena.measuring import watchdog
from arena.weights import unmade
from frameworks.errors import UnsupportedError
from frameworks.exporting import Export

HERE = "--in-this-process"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--exporter", required=True, help="module with `export`: frameworks.jax.export")
    parser.add_argument("--model", required=True)
    parser.add_argument("--definition", required=True, help="the model's, a module in models/spec/")
    parser.add_argument("--lane", default="float32")
    parser.add_argument(
        "--read", nargs=2, action="append", required=True, metavar=("NAME", "FILE"),
        help="what it reads: weights, config, inputs, or a file of another format",
    )  # fmt: skip
    parser.add_argument("--files", nargs="+", type=Path, required=True, help="written, in this order")
    parser.add_argument("--record", type=Path, required=True, help="JSON: status, reason, seconds")
    parser.add_argument(HERE, action="store_true", help="export here, not in a process of its own")
    args = parser.parse_args()

    begin = time.monotonic()
    task = Export(
        args.model, args.definition, args.lane, tuple(args.files),
        {name: Path(path) for name, path in args.read},
    )  # fmt: skip
    if args.in_this_process:
        try:
            files.write_json(args.record, attempt(args.exporter, task))
        except OSError as error:
            with contextlib.suppress(OSError):
                print(f"export.py: {storage.failed(args.record, error)}", flush=True)
            os._exit(storage.EXIT)
        return
    for path in (*task.files, args.record):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
    record = unmade_source(task) or supervised(args.record)
    if record["status"] == "failed" and (why := storage.writable(args.record.parent)):
        print(f"export.py: {storage.failed(args.record, why)}", flush=True)
        sys.exit(storage.EXIT)
    if record["status"] == "ok":
        missing = [path.name for path in task.files if not path.is_file() or not path.stat().st_size]
        if missing:
            record = failed(f"{args.exporter} wrote no {', '.join(missing)}")
    if record["status"] != "ok":
        for path in task.files:
            path.write_bytes(b"")  # the rule has promised the files; nothing reads them
    record = redaction.Redactor().value(record)
    files.write_json(args.record, record | {"seconds": time.monotonic() - begin})
    print(f"{args.model}: {record['reason'] or [str(path) for path in task.files]}", flush=True)


def attempt(exporter: str, task: Export) -> dict[str, Any]:
    """Export in this process; what came of it. Raises OSError where a disk is full or broken."""
    try:
        importlib.import_module(exporter).export(task)
    except UnsupportedError as error:
        return {"status": "unsupported", "reason": {"code": error.code, "detail": error.why}}
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        if storage.fault(error, task.out.parent, Path(tempfile.gettempdir())):
            raise storage.failed(task.out, error) from error
        return failed(" ".join(f"{type(error).__name__}: {error}".split())[:500])
    return {"status": "ok", "reason": None}


def supervised(record: Path) -> dict[str, Any]:
    """``attempt`` in a process of its own, with this one's arguments; what it recorded.

    Ends this process where that one could not write.
    """
    status = watchdog.run([sys.executable, __file__, *sys.argv[1:], HERE], environment.passed())
    if status == storage.EXIT or storage.over_limit(status):
        sys.exit(storage.EXIT)
    if not record.is_file():
        end = f"signal {-status}" if status < 0 else f"exit status {status}"
        return failed(f"the export's process ended with {end}; its log says more")
    return files.read_json(record)


def unmade_source(task: Export) -> dict[str, Any] | None:
    """The record of an export that this one reads and that was not made, or of such weights; None if all are there."""
    for name, path in task.reads.items():
        config = {"weights": path.with_name("config.json"), "config": path}.get(name)
        if config and config.is_file() and (reason := unmade.reason(config)):
            return {"status": "failed", "reason": reason}
        record = record_of(path)
        if record.is_file() and files.read_json(record)["status"] != "ok":
            return {key: files.read_json(record)[key] for key in ("status", "reason")}
    return None


def record_of(path: Path) -> Path:
    """Where the record of an exported file lies, if it is the first of its export."""
    return path.with_name(f"{path.name}.json")


def failed(detail: str) -> dict[str, Any]:
    return {"status": "failed", "reason": {"code": "export-failed", "detail": detail}}


if __name__ == "__main__":
    main()
