"""Supervise one round of one cell: start the measuring process, record whatever comes of it.

A cell that crashes, hangs or runs out of memory is a result here, not an error: the exit status
is 0 as long as that result could be written. A full or broken disk is an error: nothing is recorded then, and
the same command measures the round.
"""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from arena import environment, files, places, redaction, storage, tensors
from arena.contract import codec
from arena.contract import round as rounds
from arena.contract.build import Built
from arena.contract.cell import Cell, Files, Job
from arena.contract.measured import Task
from arena.contract.round import Round
from arena.measuring import endings, faults, gpu, machine, node, nvml, packages, supervisor
from arena.measuring.endings import Fields
from arena.weights import unmade

STAGE = ".measuring-"  # directories, beside the result, in which a process leaves what it measured
#: OpenMP's defaults where nobody has set anything: threads that no library binds to a core, and as many as asked.
OPENMP = {"OMP_DYNAMIC": "false", "OMP_PROC_BIND": "false"}


@dataclass(frozen=True)
class Limits:
    """When a measuring process is ended; not part of the cell, because it changes no figure."""

    timeout_s: float
    memory_mb: int  # 0: 90 % of what is available
    raised: str = ""  # which of them was raised, so that the round is measured again


@dataclass(frozen=True)
class Work:
    """One round of a cell, where its files are, and what there is before it begins."""

    cell: Cell
    number: int
    files: Files
    limits: Limits
    log: Path
    keep_job: Path | None
    first: Round | None  # round 1, unless this is it
    build: Built | None  # of an engine
    export: Fields | None  # why export.py made no file; None if it made it, or there is none to make
    decode_export: Fields | None  # the same of task decode's own


def arguments(argv: list[str] | None = None) -> Work:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--cell", required=True, help="JSON, or a file of it: workflow/schemas/cell.schema.json"
    )
    parser.add_argument("--round", type=int, required=True, help="from 1, which starts with an empty cache")
    parser.add_argument("--files", required=True, help="JSON, or a file of it: `files` of job.schema.json")
    parser.add_argument("--log", type=Path, required=True, help="the measuring process's output")
    parser.add_argument("--timeout", type=float, required=True, help="seconds until the process is killed")
    parser.add_argument("--memory-limit", type=int, default=0, help="MB; 0: 90 %% of what is available")
    parser.add_argument("--raised", default="", help="the raised limit for which this is measured again")
    parser.add_argument("--keep-job", type=Path, help="also write the job here, to run measure.py by hand")
    args = parser.parse_args(argv)
    try:
        cell, paths = given(Cell, args.cell), given(Files, args.files)
        first = rounds.read(paths.first) if paths.first else None
        build = codec.read(Built, paths.build) if paths.build else None
    except (OSError, codec.ContractError) as error:
        sys.exit(f"benchmark.py: {error}")
    return Work(
        cell=cell,
        number=args.round,
        files=paths,
        limits=Limits(args.timeout, args.memory_limit, args.raised),
        log=args.log,
        keep_job=args.keep_job,
        first=first,
        build=build,
        export=exported(paths.export),
        decode_export=exported(paths.decode_export),
    )


def given(kind: type[codec.T], argument: str) -> codec.T:
    """The record of ``kind`` in an argument: JSON itself, or the file with it. Raises ContractError, OSError."""
    if argument.lstrip().startswith("{"):
        return codec.from_text(kind, argument)
    return codec.read(kind, Path(argument))


def exported(path: Path | None) -> Fields | None:
    """Status and reason of an exported file that export.py could not make; None if it made it."""
    record = path.with_name(f"{path.name}.json") if path else None
    found = files.read_json(record) if record and record.is_file() else {"status": "ok"}
    if found["status"] == "ok":
        return None
    reason = found["reason"]
    if found["status"] == "failed":  # measuring the cell again would not export again
        reason = reason | {"detail": f"{reason['detail']}; `make retry` exports again"}
    return {"status": found["status"], "reason": reason}


def main() -> None:
    work = arguments()
    try:
        measure_and_store(work)
    except supervisor.AbandonedError as error:
        sys.exit(f"benchmark.py: {error}; nothing is recorded")
    except OSError as error:
        places = (work.files.result.parent, work.files.cache, work.log.parent)
        if not storage.fault(error, *places):
            raise
        why = error if isinstance(error, storage.StorageError) else storage.failed(places[0], error)
        print(f"benchmark.py: {redaction.Redactor().text(str(why))}", file=sys.stderr)
        sys.exit(storage.EXIT)


def measure_and_store(work: Work) -> None:
    """Measure the round and write its files. Raises OSError where one cannot be written, or nothing be recorded."""
    for path in (work.files.result, work.files.outputs, work.log):
        path.parent.mkdir(parents=True, exist_ok=True)
    started = now()
    for left in work.files.result.parent.glob(f"{STAGE}*"):  # of a supervisor that was killed outright
        shutil.rmtree(left, ignore_errors=True)
    folder = work.files.result.parent
    with tempfile.TemporaryDirectory(dir=folder, prefix=STAGE, ignore_cleanup_errors=True) as directory:
        stage = Path(directory).resolve()
        if work.cell.unsupported:
            found = {"status": "unsupported", "reason": codec.encode(work.cell.unsupported)}
        elif reason := unmade.reason(work.files.config):
            found = {"status": "failed", "reason": reason}
        elif work.build and work.build.status != "ok":
            found = {"status": work.build.status, "reason": codec.encode(work.build.reason)}
        elif work.export:
            found = dict(work.export)
        elif work.first and work.first.status != "ok":
            found = endings.ended("skipped", "round 1 did not end well") | {"status": work.first.status}
        else:
            work, found = supervise_on_node(work, stage)
            if found["status"] == "ok":
                found["tasks"] |= left_out(work)
        store(work, stage, {"started": started} | found)


def left_out(work: Work) -> dict[str, Fields]:
    """The tasks asked for that the process is not given, each with status and reason."""
    found = {
        task: {"status": "unsupported", "reason": codec.encode(reason)}
        for task, reason in work.cell.unsupported_tasks.items()
    }
    if work.decode_export:
        found["decode"] = work.decode_export
    asked = work.cell.protocol.tasks
    return {task: codec.encode(codec.build(Task, **found[task])) for task in asked if task in found}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def supervise_on_node(work: Work, stage: Path) -> tuple[Work, Fields]:
    """``supervise``, alone on this machine where the protocol wants it. On a cluster within the job's own cores,
    and with what the node was like. The cell comes back with the threads that it got.
    """
    protocol = work.cell.protocol
    if protocol.node is None:
        with node.alone(protocol.exclusive, taken(work.cell)) as waited:
            begun = {"started": now(), "waited_s": waited if protocol.exclusive else None}
            return work, supervise(work, stage) | begun
    work = replace(work, cell=replace(work.cell, threads=machine.usable_threads(work.cell.threads)))
    with node.alone(protocol.node == "shared" and protocol.exclusive) as waited:
        started, begin, before = now(), time.monotonic(), node.other_jobs()
        found = supervise(work, stage)
        others = {"before": before, "after": node.other_jobs()}
        span = [begin, time.monotonic()]
    met = {"use": protocol.node, "waited_s": waited, "monotonic_s": span, "other_jobs": others}
    card = nvml.open_gpu() if work.cell.accelerator == "cuda" else None
    met |= {"allocation": node.allocation(), "gpu": card.facts() if card else None}
    return work, found | {"started": started, "node": met}


def taken(cell: Cell) -> list[str]:
    """What no other measurement may use meanwhile: the machine, or a card and the cores to which this process is
    confined.
    """
    card = nvml.open_gpu() if cell.accelerator == "cuda" else None
    return node.part(card.facts()["uuid"], machine.own_cpus()) if card else node.whole()


def supervise(work: Work, stage: Path) -> Fields:
    """Run the measuring process and say how it went; what it wrote lies in ``stage``."""
    cores = machine.physical_cores()
    if cores < work.cell.threads:
        detail = f"{work.cell.threads} threads were asked for, and this process may run on {cores} cores"
        return endings.ended("confined", f"{detail}: taskset, or a change of the machine since the run began")
    cache = work.files.cache
    if work.first is None:
        shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True, exist_ok=True)
    isolated = supervisor.isolation() if work.cell.protocol.offline else []
    asked = [task for task in work.cell.protocol.tasks if task not in left_out(work)]
    cell = replace(work.cell, protocol=replace(work.cell.protocol, tasks=asked))
    job = Job(cell=cell, round=work.number, files=staged(work.files, stage), offline=bool(isolated))
    for path in filter(None, (stage / "job.json", work.keep_job)):
        codec.write(path, job)

    measure = [sys.executable, str(Path(__file__).with_name("measure.py"))]
    if work.files.program:
        measure = [str(work.files.program.resolve())]
    command = [*isolated, *measure, "--job"]
    given = child_environment(work.cell, cache.resolve())
    card = nvml.open_gpu() if work.cell.accelerator == "cuda" else None
    most = memory_limit(work.limits.memory_mb)
    before = machine.conditions()
    with open(work.log, "wb") as log, gpu.Watch(card) if card else nullcontext() as watch:
        ending = supervisor.run(
            [*command, str(stage / "job.json")],
            given,
            log,
            work.limits.timeout_s,
            most,
        )
    after = machine.conditions()
    seen = watch.summary(ending.pid) if watch else None
    if not stage.is_dir():
        raise storage.failed(
            stage, FileNotFoundError(errno.ENOENT, "it is gone, though the process was to write there")
        )
    redaction.Redactor().file(work.log)
    found = endings.judge(ending, stage, cell, faults.call(work.log))
    refuse_full_disk(work, ending, found, stage)
    if work.cell.accelerator == "cuda":
        found = refuse_wrong_device(found, work, seen)
    first_output = found.pop("first_output_monotonic_s", None)
    if any(each["status"] == "failed" for each in endings.statuses(found)):
        found["log_tail"] = supervisor.tail(work.log)
    return found | {
        "duration_s": ending.seconds,
        "cold_start_s": None if first_output is None else first_output - ending.spawned,
        "offline": bool(isolated),
        "command": [*command, "JOB.json"],
        "environment": {
            name: "[secret]" if redaction.is_secret(name) else value for name, value in given.items()
        },
        "withheld": environment.withheld(given),
        "limits": {
            "timeout_s": work.limits.timeout_s,
            "memory_mb": work.limits.memory_mb,
            "memory_bytes": most,
            "raised": work.limits.raised,
        },
        "conditions": {
            "before": before,
            "during": {"gpu": seen},
            "after": after,
            "disturbance": machine.disturbance(before, after),
        },
    }


def staged(paths: Files, stage: Path) -> Files:
    """The same files for the measuring process: paths absolute, and what it writes in ``stage``."""
    absolute = {name: path and path.resolve() for name, path in vars(paths).items()}
    own = {"result": stage / "result.json", "outputs": stage / "outputs.safetensors"}
    if paths.gradients:
        own["gradients"] = stage / "gradients.safetensors"
    return Files(**absolute | {name: path.resolve() for name, path in own.items()})


def refuse_wrong_device(found: Fields, work: Work, seen: Fields | None) -> Fields:
    """``found``, as failed if nothing shows that the GPU which the platform names computed it."""
    if found["status"] != "ok":
        return found
    own = found["memory"]["device_inference_peak_bytes"]
    seen = seen or {"process_bytes": None, "rise_bytes": None}
    why = gpu.wrong_device(work.files.weights.stat().st_size, work.cell.lane, own, seen)
    return found if why is None else found | {"tasks": {}} | endings.ended("wrong-device", why)


def child_environment(cell: Cell, cache: Path) -> dict[str, str]:
    """The child's environment: what ``environment.passed`` leaves of this one, thread counts for every common
    library, caches, the framework's own.

    Temporary files and the user's cache directory lie in the cell's cache too: Inductor keeps its
    precompiled headers in the one, other compilers use the other, and round 1 must find neither.
    """
    caches = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), cache / "tmp") | {"XDG_CACHE_HOME": cache / "user"}
    for directory in caches.values():
        directory.mkdir(parents=True, exist_ok=True)
    own = {name: value.format(threads=cell.threads, cache=cache) for name, value in cell.environment.items()}
    settings = dict.fromkeys(environment.THREADS, str(cell.threads)) | OPENMP
    settings["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # as NVML counts, so that both mean the same card
    if os.environ.get("CONDA_PREFIX") == sys.prefix:  # conda's own Python would look there too
        settings["PYTHONNOUSERSITE"] = "1"
    return environment.passed() | settings | {name: str(path) for name, path in caches.items()} | own


def memory_limit(megabytes: int) -> int:
    """Bytes that the child may hold: as configured, else 90 % of what is available now."""
    return megabytes * 1_000_000 or int(0.9 * machine.available_bytes())


def refuse_full_disk(work: Work, ending: supervisor.Ending, found: Fields, stage: Path) -> None:
    """Raise StorageError if what went wrong shows that a disk is full or broken: no framework is charged with it.

    measure.py says so by its exit status, an engine in words, or the disk may be full still.
    """
    failures = [each["reason"]["detail"] for each in endings.statuses(found) if each["status"] == "failed"]
    told = work.files.program and any(map(storage.told, failures))
    if ending.exit_status == storage.EXIT or told:
        words = " ".join(supervisor.tail(work.log, 1).split())
        raise storage.failed(
            stage.parent, OSError(errno.EIO, f"the measuring process could not write ({words})")
        )
    if failures and (why := storage.writable(stage)):
        raise storage.failed(stage.parent, why)


def store(work: Work, stage: Path, found: Fields) -> None:
    """Write the round's files; whatever a failure left out becomes a valid, empty file."""
    for name, destination in (("outputs", work.files.outputs), ("gradients", work.files.gradients)):
        if destination is None:
            continue
        made = stage / f"{name}.safetensors"
        if found["status"] != "ok" or not made.exists():
            tensors.save(destination, {})
        else:
            made.replace(destination)
    work.files.cache.mkdir(parents=True, exist_ok=True)
    work.log.touch()
    cell = work.cell
    installed = (
        of_engine(work.build) if work.build else packages.installation(cell.distribution, cell.libraries)
    )
    identity = {
        "cell": codec.encode(cell),
        "round": work.number,
        "order": {"seed": cell.protocol.seed, "key": cell.order_key(work.number)},
        "cold": work.first is None,
        "machine": machine.facts(),
        "commit": places.commit(Path(__file__).resolve().parents[2]),
    }
    redactor = redaction.Redactor()
    found = redactor.value(found)
    version = found.get("version") or installed["version"]
    # The identity last, so that nothing that an engine wrote takes its place.
    fields = {"tasks": {}} | found | installed | {"version": version} | identity
    codec.write(work.files.result, codec.build(Round, **fields))
    reason = found.get("reason")
    words = found["status"] + (f": {reason['code']}: {reason['detail']}" if reason else "")
    print(f"{cell.model} / {cell.row} / round {work.number}: {words}", file=sys.stderr)


def of_engine(record: Built) -> Fields:
    """As ``packages.installation``, of an engine, of which the program is all that is needed; and how it was built."""
    return {
        "version": record.version,
        "packages": record.packages,
        "footprint_bytes": record.program_bytes,
        "build": codec.encode(record.build),
    }


if __name__ == "__main__":
    main()
