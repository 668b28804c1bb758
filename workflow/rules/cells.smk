"""What a measuring job is told of its cell: row, environment, export or engine, round, order, protocol."""

import hashlib
import tomllib
from types import SimpleNamespace

from arena.configuration import crates
from arena.contract import codec
from arena.contract.cell import Cell, Files, Protocol, Reason, Sampling, Warmup
from arena.measuring import leftovers


def framework(wildcards):
    return FRAMEWORKS[wildcards.row]


@cache
def reach_of(row, accelerator):
    """How the row reaches the accelerator, {env, distribution, libraries, interface}; None if it does not.

    Without environments it is whichever distribution of the framework is installed that counts.
    """
    entry = CONFIG["frameworks"][FRAMEWORKS[row]["id"]]
    found = frameworks.reach(entry, row, accelerator)
    if found and HOST and not entry["engine"]:
        others = [found, *frameworks.distributions(entry)]
        installed = (
            each for each in others if packages.installed(each["distribution"])
        )
        found |= next(installed, {})
    return found


def reach(wildcards):
    """``reach_of`` for a cell; where the row does not reach the device, what its refusal is recorded with."""
    accelerator = PLATFORMS[wildcards.platform]["accelerator"]
    row = framework(wildcards)
    nowhere = {
        "env": "base",
        "distribution": row["distribution"],
        "libraries": [],
        "interface": accelerator,
    }
    return reach_of(wildcards.row, accelerator) or nowhere


def framework_env(wildcards):
    return env(reach(wildcards)["env"])


def measuring_code(wildcards):
    """Everything that a cell's process imports: supervisor, protocol, adapter, the model's definition."""
    row = framework(wildcards)
    if row["engine"]:
        return code("benchmark.py")
    names = ["benchmark.py", "measure.py", ROOT / row["adapter"]]
    if row["definitions"]:
        names += [
            f"models/spec/{definition(wildcards)}.py",
            f"frameworks/{row['definitions']}/models/{definition(wildcards)}.py",
        ]
    return code(*names)


def unsupported(wildcards):
    """Why this row does not run the model, {code, why}; None if it does, as far as is known before a build."""
    return unsupported_cell(wildcards.row, wildcards.model, wildcards.platform)


@cache
def unsupported_cell(row, model, platform):
    accelerator, about = PLATFORMS[platform]["accelerator"], FRAMEWORKS[row]
    entry = CONFIG["frameworks"][about["id"]]
    reason = frameworks.unsupported(
        entry, row, model, MODELS[model]["definition"], accelerator
    )
    if reason or not HOST or about["engine"]:
        return reason
    if not packages.installed(reach_of(row, accelerator)["distribution"]):
        return {"code": "not-installed", "why": "not installed here"}


def unsupported_tasks(wildcards):
    """The tasks that the row's framework cannot do, each with its reason, {code, why}."""
    entry = entry_of(wildcards.row)
    return frameworks.unsupported_tasks(entry)


def exported_for(task):
    """Input function: the file that this row's framework reads for ``task``, if it reads an exported one."""

    def of_cell(wildcards):
        row = framework(wildcards)
        made = EXPORTS[row["export"]].get(task) if row["export"] else None
        if not made or unsupported(wildcards):
            return []
        if task == "decode" and (
            not decode_tokens(wildcards) or task in unsupported_tasks(wildcards)
        ):
            return []
        name = made["files"][0].format(lane=row["lane"])
        return f"results/exports/{wildcards.model}/{row['export']}/{name}"

    return of_cell


exported, exported_decode = exported_for("model"), exported_for("decode")


# An engine is a program of its own instead of an adapter: what its build is told, and where that leaves it.


def engine_program(wildcards):
    engine = framework(wildcards)["engine"]
    if not engine or unsupported(wildcards):
        return []
    return f"results/engines/{wildcards.platform}/{engine}/program"


def engine_record(wildcards):
    program = engine_program(wildcards)
    return str(Path(program).with_name("build.json")) if program else []


def engine_sources(wildcards):
    """The files of the engine's crate and of those here that it is built from; none if there is no program."""
    if not frameworks.crate(ROOT, wildcards.engine).exists():
        return []
    names = crates.local(ENGINES / "Cargo.lock", f"arena-{wildcards.engine}")
    folders = [ENGINES / name for name in names]
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted(map(here, found))


def any_of(names):
    """A wildcard's constraint to these names; without any it matches nothing."""
    return "|".join(sorted(names)) or "(?!)"


ALL_ENGINES = {
    entry["engine"] for entry in CONFIG["frameworks"].values() if entry["engine"]
}
JAVASCRIPT = {
    engine for engine in ALL_ENGINES if frameworks.package(ROOT, engine).is_dir()
}


def javascript_sources(wildcards):
    """The files of the engine's package and of what all engines in JavaScript share."""
    own = frameworks.package(ROOT, wildcards.engine)
    found = [
        path for folder in (own, own.parent / "arena") for path in folder.rglob("*")
    ]
    return sorted(
        here(path)
        for path in found
        if path.is_file() and "node_modules" not in path.parts
    )


def javascript_folder(wildcards):
    return here(frameworks.package(ROOT, wildcards.engine))


def engine_crate(wildcards):
    entries = CONFIG["frameworks"].values()
    return next(e["distribution"] for e in entries if e["engine"] == wildcards.engine)


def engine_reach(wildcards):
    """How the engine's rows reach the platform's device; {} where none does."""
    accelerator = PLATFORMS[wildcards.platform]["accelerator"]
    rows = [
        row for row, about in FRAMEWORKS.items() if about["engine"] == wildcards.engine
    ]
    found = (reach_of(row, accelerator) for row in rows)
    return next((each for each in found if each), {})


def engine_interface(wildcards):
    """By which interface the engine reaches the platform's device: the name of a cargo feature."""
    accelerator = PLATFORMS[wildcards.platform]["accelerator"]
    return engine_reach(wildcards).get("interface", accelerator)


def engine_env(wildcards):
    return env(engine_reach(wildcards).get("env", "rust"))


@cache
def locked_crates(engine):
    """What of Cargo.lock and of the workspace's Cargo.toml concerns this engine."""
    if not frameworks.crate(ROOT, engine).exists():
        return "{}"
    with open(ENGINES / "Cargo.toml", "rb") as stream:
        manifest = tomllib.load(stream)
    for key in ("members", "default-members"):
        del manifest["workspace"][key]
    locked = crates.locked(ENGINES / "Cargo.lock", f"arena-{engine}")
    digest = hashlib.sha256("\n".join(locked).encode()).hexdigest()
    return as_json({"workspace": manifest, "crates": len(locked), "sha256": digest})


def engine_settings(wildcards):
    return locked_crates(wildcards.engine)


def round_number(wildcards):
    return int(wildcards.get("n", "1"))


def cell(wildcards):
    """Everything that decides the cell's figures, as one JSON argument: if a key changes, it is measured again."""
    return cell_as_json(wildcards.platform, wildcards.model, wildcards.row)


@cache
def cell_as_json(platform, model, row):
    return codec.to_text(cell_record(platform, model, row))


def entry_of(row):
    """What the configuration says of the row's framework."""
    return CONFIG["frameworks"][FRAMEWORKS[row]["id"]]


def rounding(wildcards):
    """How the row's lane rounds; None in float32, where its file does not say, and where it does not run."""
    found = frameworks.rounding(framework(wildcards))
    return None if found is None or unsupported(wildcards) else found


def rounding_noise(wildcards):
    """The file that tells what the row's rounding costs on the model's weights; [] where nobody asks."""
    return (
        f"results/models/{wildcards.model}/rounding.json" if rounding(wildcards) else []
    )


@cache
def roundings(model, trained=False):
    """How the rows of this run that can run the model round, each once; with ``trained`` those that train, too."""
    asked = not trained or "training" in PROTOCOL["tasks"]
    cells = [
        SimpleNamespace(platform=platform, model=model, row=row)
        for platform in PLATFORMS
        for row in RUN["rows"]
        if asked
        and not (trained and "training" in FRAMEWORKS[row]["unsupported_tasks"])
    ]
    return sorted({found for cell in cells if (found := rounding(cell))})


@cache
def cell_record(platform, model, row):
    """The contract's record of a cell, from the configuration."""
    wildcards = SimpleNamespace(platform=platform, model=model, row=row)
    variant, reached = framework(wildcards), reach(wildcards)
    reason = unsupported(wildcards)
    return Cell(
        platform=platform,
        model=model,
        row=row,
        framework=variant["id"],
        lane=variant["lane"],
        accelerator=PLATFORMS[platform]["accelerator"],
        interface=reached["interface"],
        definition=definition(wildcards),
        loss=loss(wildcards),
        options=variant["options"],
        environment=variant["environment"],
        distribution=reached["distribution"],
        libraries=reached["libraries"],
        threads=measuring_threads(wildcards),
        decode_tokens=decode_tokens(wildcards),
        protocol=protocol(wildcards),
        unsupported=reason and reason_record(reason),
        unsupported_tasks={
            # Its sentence is the reports' (row_sentences): another wording measures nothing again.
            task: Reason(
                code=why["code"], detail=frameworks.stated(variant["id"], task)
            )
            for task, why in unsupported_tasks(wildcards).items()
        },
        predicts=predicts(model) and frameworks.reduces(entry_of(row)),
    )


def reason_record(reason):
    """The contract's record of a reason of the configuration's, {code, why}."""
    return Reason(code=reason["code"], detail=reason["why"])


def protocol(wildcards):
    """What is asked of the cell; limits travel as resources, rounds as jobs."""
    cuda = PLATFORMS[wildcards.platform]["accelerator"] == "cuda"
    cluster = PLATFORMS[wildcards.platform].get("cluster")
    return Protocol(
        tasks=[
            task
            for task in PROTOCOL["tasks"]
            if task != "quality" and (task != "decode" or decode_tokens(wildcards))
        ],
        warmup=codec.decode(Warmup, PROTOCOL["warmup"]),
        sampling=codec.decode(Sampling, PROTOCOL["sampling"]),
        exclusive=PROTOCOL["exclusive"],
        offline=PROTOCOL["offline"],
        seed=PROTOCOL["seed"],
        energy_seconds=PROTOCOL["energy_seconds"] if cuda else None,
        node=cluster and ("exclusive" if cluster["exclusive"] else "shared"),
    )


def round_files(wildcards, input, output):
    """Where the round's files are, as one JSON argument. Round 1 makes the cache, later rounds find it made."""
    adapter = framework(wildcards)["adapter"]
    return codec.to_text(
        Files(
            weights=Path(input.weights),
            config=Path(input.config),
            inputs=Path(input.inputs),
            export=path_or_none(input.export),
            decode_export=path_or_none(input.decode_export),
            adapter=path_or_none(adapter and here(ROOT / adapter)),
            program=path_or_none(input.program),
            build=path_or_none(input.build),
            first=path_or_none(input.get("first")),
            cache=Path(output.get("cache") or input.cache),
            result=Path(output.result),
            outputs=Path(output.outputs),
            gradients=path_or_none(output.get("gradients")),
        )
    )


def path_or_none(name):
    """A file as the contract has it; what Snakemake has for an input that there is not is empty."""
    return Path(name) if name else None


def measuring_priority(wildcards):
    """Every cell's round n goes before any cell's round n + 1; within a round, in shuffled order."""
    record = cell_record(wildcards.platform, wildcards.model, wildcards.row)
    number = round_number(wildcards)
    return (10_000 - number) * 2**24 + record.order_key(number)


def end_leftovers():
    """End what an earlier run here, killed outright, has left running: it would measure beside this one.

    Without the directory's lock it may be another run's, which is alive.
    """
    if not workflow.execution_settings.lock:
        return
    for what in leftovers.end(Path.cwd()):
        logger.warning(f"Ended what an earlier run here had left running: {what}")


def check_surroundings():
    """Refuse variables with which no hub can be asked, where one is to be: before anything is measured."""
    to_ask = [
        model
        for model in RUN["models"]
        if MODELS[model]["weights"] in ("hub", "auto")
        and not Path(f"results/models/{model}/checkpoint.json").exists()
    ]
    if to_ask and not os.environ.get("HF_HUB_OFFLINE"):
        # Here, because only a run that asks a hub needs it.
        from arena.weights import surroundings

        if wrong := surroundings.fault(os.environ):
            raise WorkflowError(
                f"{wrong}. Asked for is the checkpoint of {', '.join(to_ask)}; `weights: seeded` does without a hub"
            )
