"""Supervise one round of one cell: start the measuring process, record whatever comes of it.

A cell that crashes, hangs or runs out of memory is a result here, not an error: the exit status
is 0 as long as that result could be written.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from arena import files, tensors
from arena.measuring import gpu, machine, node, nvml, packages, supervisor

SCHEMA = 1
STAGE = ".measuring-"  # directories, beside the result, in which a process leaves what it measured
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    cell = parser.add_argument_group("the cell")
    for name in ("platform", "model", "row", "framework", "label", "lane", "accelerator"):
        cell.add_argument(f"--{name}", required=True)
    cell.add_argument("--adapter", type=Path, help="file with the framework's Adapter class, for measure.py")
    cell.add_argument("--program", type=Path, help="an engine's executable, which takes measure.py's place")
    cell.add_argument("--build", type=Path, help="what build_engine.py recorded of it")
    cell.add_argument("--definition", required=True, help="module in models/*/")
    cell.add_argument("--loss", required=True, choices=["cross_entropy", "mse"])
    cell.add_argument("--options", type=json.loads, default={}, help="the row's options, JSON")
    cell.add_argument(
        "--environment", type=json.loads, default={}, help="variables, JSON; {threads}, {cache}"
    )
    cell.add_argument("--distribution", required=True, help="package: version and footprint")
    cell.add_argument("--libraries", nargs="*", default=[], help="packages that count to the footprint too")
    cell.add_argument("--decode-tokens", type=int, default=0, help="how many tokens task decode generates")
    cell.add_argument(
        "--interface", help="by which the row reaches the device; default: the accelerator's name"
    )
    cell.add_argument("--unsupported", type=json.loads, help="JSON {code, why}: record this, run nothing")
    cell.add_argument(
        "--unsupported-tasks",
        type=json.loads,
        default={},
        help="JSON {task: {code, why}}: record, do not run",
    )
    protocol = parser.add_argument_group("the protocol")
    protocol.add_argument("--round", type=int, required=True)
    protocol.add_argument("--order", type=json.loads, required=True, help="JSON {seed, key}")
    protocol.add_argument("--protocol", type=json.loads, required=True, help="config section, JSON")
    protocol.add_argument("--threads", type=int, required=True)
    protocol.add_argument("--timeout", type=float, required=True, help="seconds until the process is killed")
    protocol.add_argument("--memory-limit", type=int, default=0, help="MB; 0: 90 %% of what is available")
    inputs = parser.add_argument_group("files in")
    for name in ("weights", "config", "inputs"):
        inputs.add_argument(f"--{name}", type=Path, required=True)
    inputs.add_argument("--export", type=Path, help="what the export step wrote for this framework")
    inputs.add_argument("--decode-export", type=Path, help="the same for task decode, if it has its own")
    inputs.add_argument("--first-round", type=Path, help="round 1's result; its cache is used warm")
    outputs = parser.add_argument_group("files out")
    outputs.add_argument("--cache", type=Path, required=True, help="compiler caches; emptied in round 1")
    outputs.add_argument("--result", type=Path, required=True)
    outputs.add_argument("--outputs", type=Path, required=True)
    outputs.add_argument("--gradients", type=Path, help="round 1 only")
    outputs.add_argument("--log", type=Path, required=True, help="the measuring process's output")
    outputs.add_argument(
        "--keep-job", type=Path, help="also write the job file here, to run measure.py by hand"
    )
    args = parser.parse_args()
    args.built = files.read_json(args.build) if args.build else None
    args.exported, args.decode_exported = map(exported, (args.export, args.decode_export))
    return args


def exported(path: Path | None) -> dict[str, Any] | None:
    """Status and reason of an exported file that export.py could not make; None if it made it."""
    record = path.with_name(f"{path.name}.json") if path else None
    found = files.read_json(record) if record and record.is_file() else {"status": "ok"}
    if found["status"] == "ok":
        return None
    reason = found["reason"]
    if found["status"] == "failed":  # measuring the cell again would not export again
        reason = reason | {"detail": f"{reason['detail']}; delete {record} to export again"}
    return {"status": found["status"], "reason": reason}


def main() -> None:
    args = arguments()
    for path in (args.result, args.outputs, args.log):
        path.parent.mkdir(parents=True, exist_ok=True)
    started = datetime.now(UTC)
    first = files.read_json(args.first_round) if args.first_round else None
    for left in args.result.parent.glob(f"{STAGE}*"):  # of a supervisor that was killed outright
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=args.result.parent, prefix=STAGE) as directory:
        stage = Path(directory)
        if args.unsupported:
            reason = {"code": args.unsupported["code"], "detail": args.unsupported["why"]}
            measured = {"status": "unsupported", "reason": reason}
        elif args.built and args.built["status"] != "ok":
            measured = {key: args.built[key] for key in ("status", "reason")}
        elif args.exported:
            measured = args.exported
        elif first and first["status"] != "ok":
            measured = {
                "status": first["status"],
                "reason": {"code": "skipped", "detail": "round 1 did not end well"},
            }
        else:
            measured = supervise_on_node(args, stage)
            if measured["status"] == "ok":
                measured["tasks"] |= left_out(args)
        store(args, stage, {"started": started.isoformat(timespec="seconds")} | measured)


def left_out(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The tasks asked for that the process is not given, each with status and reason."""
    found = {
        task: {"status": "unsupported", "reason": {"code": reason["code"], "detail": reason["why"]}}
        for task, reason in args.unsupported_tasks.items()
    }
    if args.decode_exported:
        found["decode"] = args.decode_exported
    return {task: found[task] for task in args.protocol["tasks"] if task in found}


def supervise_on_node(args: argparse.Namespace, stage: Path) -> dict[str, Any]:
    """``supervise``; on a cluster, within the job's own cores, alone where the protocol wants it, and with
    what the node was like.
    """
    use = args.protocol.get("node")
    if use is None:
        return supervise(args, stage)
    args.threads = machine.usable_threads(args.threads)
    with node.alone(use == "shared" and args.protocol["exclusive"]) as waited:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        begin, before = time.monotonic(), node.other_jobs()
        measured = supervise(args, stage)
        others = {"before": before, "after": node.other_jobs()}
        span = [begin, time.monotonic()]
    met = {"use": use, "waited_s": waited, "monotonic_s": span, "other_jobs": others}
    card = nvml.open_gpu() if args.accelerator == "cuda" else None
    met |= {"allocation": node.allocation(), "gpu": card.facts() if card else None}
    return measured | {"started": started, "node": met}


def supervise(args: argparse.Namespace, stage: Path) -> dict[str, Any]:
    """Run the measuring process and say how it went; what it wrote lies in ``stage``."""
    cold = args.first_round is None
    if cold:
        shutil.rmtree(args.cache, ignore_errors=True)
    args.cache.mkdir(parents=True, exist_ok=True)
    isolated = supervisor.isolation() if args.protocol.get("offline", True) else []
    job = job_description(args, stage) | {"offline": bool(isolated)}
    files.write_json(stage / "job.json", job)
    if args.keep_job:
        files.write_json(args.keep_job, job)

    measure = [sys.executable, str(Path(__file__).with_name("measure.py"))]
    if args.program:
        measure = [str(args.program.resolve())]
    command = [*isolated, *measure, "--job", str(stage / "job.json")]
    card = nvml.open_gpu() if args.accelerator == "cuda" else None
    before = machine.conditions()
    with open(args.log, "wb") as log, gpu.Watch(card) if card else nullcontext() as watch:
        ending = supervisor.run(
            command, child_environment(args), log, args.timeout, memory_limit(args.memory_limit)
        )
    after = machine.conditions()
    seen = watch.summary(ending.pid) if watch else None
    measured = judge(ending, stage)
    if args.accelerator == "cuda":
        measured = refuse_wrong_device(measured, args, seen)
    first_output = measured.pop("first_output_monotonic_s", None)
    if measured["status"] == "failed" or any(
        task["status"] == "failed" for task in measured["tasks"].values()
    ):
        measured["log_tail"] = supervisor.tail(args.log)
    return measured | {
        "duration_s": ending.seconds,
        "cold": cold,
        "cold_start_s": None if first_output is None else first_output - ending.spawned,
        "offline": bool(isolated),
        "command": [arg if arg != str(stage / "job.json") else "JOB.json" for arg in command],
        "conditions": {
            "before": before,
            "during": {"gpu": seen},
            "after": after,
            "disturbance": machine.disturbance(before, after),
        },
    }


def refuse_wrong_device(
    measured: dict[str, Any], args: argparse.Namespace, seen: dict[str, Any] | None
) -> dict[str, Any]:
    """``measured``, as failed if nothing shows that the GPU which the platform names computed it."""
    if measured["status"] != "ok":
        return measured
    own = measured["memory"].get("device_inference_peak_bytes")
    seen = seen or {"process_bytes": None, "rise_bytes": None}
    why = gpu.wrong_device(args.weights.stat().st_size, args.lane, own, seen)
    if why is None:
        return measured
    return measured | {"status": "failed", "tasks": {}, "reason": {"code": "wrong-device", "detail": why}}


def job_description(args: argparse.Namespace, stage: Path) -> dict[str, Any]:
    """What measure.py reads (paths absolute: it may be started anywhere)."""
    return {
        "weights": str(args.weights.resolve()),
        "config": str(args.config.resolve()),
        "inputs": str(args.inputs.resolve()),
        "export": str(args.export.resolve()) if args.export else None,
        "decode_export": str(args.decode_export.resolve()) if args.decode_export else None,
        "decode_tokens": args.decode_tokens,
        "cache": str(args.cache.resolve()),
        "result": str(stage.resolve() / "result.json"),
        "outputs": str(stage.resolve() / "outputs.safetensors"),
        "gradients": str(stage.resolve() / "gradients.safetensors") if args.gradients else None,
        "adapter": str(args.adapter.resolve()) if args.adapter else None,
        "definition": args.definition,
        "loss": args.loss,
        "lane": args.lane,
        "accelerator": args.accelerator,
        "interface": args.interface or args.accelerator,
        "threads": args.threads,
        "options": args.options,
        "tasks": [task for task in args.protocol["tasks"] if task not in left_out(args)],
        "protocol": args.protocol,
    }


def child_environment(args: argparse.Namespace) -> dict[str, str]:
    """The child's environment: thread counts for every common library, caches, the framework's own.

    Temporary files and the user's cache directory lie in the cell's cache too: Inductor keeps its
    precompiled headers in the one, other compilers use the other, and round 1 must find neither.
    """
    cache = args.cache.resolve()
    caches = {"TMPDIR": cache / "tmp", "XDG_CACHE_HOME": cache / "user"}
    for directory in caches.values():
        directory.mkdir(parents=True, exist_ok=True)
    own = {name: value.format(threads=args.threads, cache=cache) for name, value in args.environment.items()}
    threads = dict.fromkeys(THREAD_VARIABLES, str(args.threads))
    order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # as NVML counts, so that both mean the same card
    return os.environ | threads | order | {name: str(path) for name, path in caches.items()} | own


def memory_limit(megabytes: int) -> int:
    """Bytes that the child may hold: as configured, else 90 % of what is available now."""
    return megabytes * 1_000_000 or int(0.9 * psutil.virtual_memory().available)


def judge(ending: supervisor.Ending, stage: Path) -> dict[str, Any]:
    """Merge how the child ended with what it wrote.

    A child that died after its inference was measured keeps those figures; the task during which
    it died is the one that failed.
    """
    blank = {"status": "failed", "tasks": {}}
    try:
        record = files.read_json(stage / "result.json")
        for name in ("outputs", "gradients"):
            if (stage / f"{name}.safetensors").exists():
                tensors.load(stage / f"{name}.safetensors")
        if not {"status", "reason", "stage", "tasks"} <= set(record):
            raise ValueError("its result lacks required keys")
    except (OSError, ValueError, TypeError) as error:
        code, detail = ending.code or "bad-result", ending.detail or f"unreadable result: {error}"
        return blank | {"reason": {"code": code, "detail": detail.replace(str(stage), "")[:500]}}

    done = record.pop("stage")
    if ending.code is None and done != "done" and record["status"] == "ok":
        ending = supervisor.Ending("bad-result", f"ended by itself during {done}", ending.seconds)
    if ending.code is None or done == "done":
        return record
    reason = {"code": ending.code, "detail": f"{ending.detail} during {done}"}
    if record["tasks"].get("inference", {}).get("status") != "ok":
        return record | blank | {"reason": reason}
    record["tasks"][done] = {"status": "failed", "reason": reason}
    return record


def store(args: argparse.Namespace, stage: Path, measured: dict[str, Any]) -> None:
    """Write the round's files; whatever a failure left out becomes a valid, empty file."""
    names = {"outputs": args.outputs, "gradients": args.gradients}
    failed = measured["status"] != "ok"
    for name, destination in names.items():
        if destination is None:
            continue
        made = stage / f"{name}.safetensors"
        if failed or not made.exists():
            tensors.save(destination, {})
        else:
            made.replace(destination)
    args.cache.mkdir(parents=True, exist_ok=True)
    args.log.touch()
    report = measured.pop("threads_reported", None)
    identity = {
        name: getattr(args, name) for name in ("platform", "model", "row", "framework", "label", "lane")
    }
    absent = {
        "duration_s": 0.0,
        "asked": args.protocol["tasks"],
        "tasks": {},
        "cold": args.first_round is None,
    }
    absent |= dict.fromkeys(("cold_start_s", "offline", "network_attempts", "log_tail"))
    installed = built(args.built) if args.built else installation(args.distribution, args.libraries)
    files.write_json(
        args.result,
        {"schema": SCHEMA, **identity, "round": args.round}
        | absent
        | installed
        | {name: value for name, value in measured.items() if value is not None or name not in installed}
        | {
            "order": args.order,
            "accelerator": args.accelerator,
            "threads": {"given": args.threads, "reported": report},
            "machine": machine.facts(),
            "commit": commit(),
        },
    )
    words = (
        measured["status"] if not measured.get("reason") else f"{measured['status']}: {measured['reason']}"
    )
    print(f"{args.model} / {args.label} / round {args.round}: {words}", file=sys.stderr)


def installation(distribution: str, libraries: list[str]) -> dict[str, Any]:
    """Version, package list and footprint of the framework in this environment."""
    try:
        found = packages.closure(distribution, *libraries)
        return {
            "version": metadata.version(packages.bare(distribution)),
            "packages": packages.versions(found),
            "footprint_bytes": packages.footprint_bytes(found),
        }
    except metadata.PackageNotFoundError:
        return {"version": None, "packages": {}, "footprint_bytes": None}


def built(record: dict[str, Any]) -> dict[str, Any]:
    """The same of an engine, of which the program is all that is needed; and how it was built."""
    how = {key: record[key] for key in ("flags", "features", "target_cpu") if key in record}
    found = {key: record[key] for key in ("version", "packages")}
    return found | {"footprint_bytes": record["program_bytes"], "build": how}


def commit() -> str | None:
    """The arena's git commit, ``-dirty`` if files differ from it; None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return None
    return answer.stdout.strip() or None


if __name__ == "__main__":
    main()
