"""What a measuring job is told of its cell: row, environment, export or engine, round, order, protocol."""

import hashlib
import tomllib

from arena.configuration import crates


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


def measuring_modules(wildcards):
    """Everything that a cell's process imports: supervisor, protocol, adapter, the model's definition."""
    row = framework(wildcards)
    if row["engine"]:
        return modules("benchmark.py")
    names = ["benchmark.py", "measure.py", ROOT / row["adapter"]]
    if row["definitions"]:
        names += [
            f"models/spec/{definition(wildcards)}.py",
            f"frameworks/{row['definitions']}/models/{definition(wildcards)}.py",
        ]
    return modules(*names)


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
    entry = CONFIG["frameworks"][framework(wildcards)["id"]]
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


def engine_crate(wildcards):
    entries = CONFIG["frameworks"].values()
    return next(e["distribution"] for e in entries if e["engine"] == wildcards.engine)


def engine_interface(wildcards):
    """By which interface the engine's rows reach the platform's device: the name of a cargo feature."""
    accelerator = PLATFORMS[wildcards.platform]["accelerator"]
    rows = [
        row for row, about in FRAMEWORKS.items() if about["engine"] == wildcards.engine
    ]
    found = (reach_of(row, accelerator) for row in rows)
    return next((each["interface"] for each in found if each), accelerator)


@cache
def locked_crates(engine):
    """What of Cargo.lock and of the workspace's Cargo.toml concerns this engine."""
    if not frameworks.crate(ROOT, engine).exists():
        return "{}"
    with open(ENGINES / "Cargo.toml", "rb") as stream:
        manifest = tomllib.load(stream)
    del manifest["workspace"]["members"]
    locked = crates.locked(ENGINES / "Cargo.lock", f"arena-{engine}")
    digest = hashlib.sha256("\n".join(locked).encode()).hexdigest()
    return as_json({"workspace": manifest, "crates": len(locked), "sha256": digest})


def engine_settings(wildcards):
    return locked_crates(wildcards.engine)


def row_arguments(wildcards):
    """The row's command-line arguments for benchmark.py that are the same in every round."""
    row, platform = framework(wildcards), PLATFORMS[wildcards.platform]
    reached = reach(wildcards)
    arguments = {
        "framework": row["id"],
        "label": row["label"],
        "lane": row["lane"],
        "distribution": reached["distribution"],
        "options": as_json(row["options"]),
        "environment": as_json(row["environment"]),
        "accelerator": platform["accelerator"],
        "interface": reached["interface"],
        "definition": definition(wildcards),
        "loss": loss(wildcards),
    }
    if row["adapter"]:
        arguments["adapter"] = here(ROOT / row["adapter"])
    if tokens := decode_tokens(wildcards):
        arguments["decode-tokens"] = tokens
    if reason := unsupported(wildcards):
        arguments["unsupported"] = as_json(reason)
    if reasons := unsupported_tasks(wildcards):
        arguments["unsupported-tasks"] = as_json(reasons)
    words = [word for name, value in arguments.items() for word in (f"--{name}", value)]
    libraries = reached["libraries"]
    return words + (["--libraries", *libraries] if libraries else [])


def round_arguments(wildcards, input, output):
    """Round 1 keeps gradients and starts with empty compiler caches; later rounds use round 1's."""
    if "gradients" in output.keys():
        return ["--gradients", output.gradients]
    return ["--first-round", input.first]


def cache_directory(wildcards):
    return f"results/benchmarks/{wildcards.platform}/{wildcards.model}/{wildcards.row}/cache"


def file_arguments(wildcards, input):
    """The files that some rows read and others do not."""
    files_in = {
        "--export": input.export,
        "--decode-export": input.decode_export,
        "--program": input.program,
        "--build": input.build,
    }
    return [word for name, file in files_in.items() if file for word in (name, file)]


def order_key(wildcards):
    """Where the cell stands in its round: a hash, so that adding a cell moves no other."""
    text = f"{PROTOCOL['seed']}:{round_number(wildcards)}:{wildcards.platform}:{wildcards.model}:{wildcards.row}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:3], "big")


def round_number(wildcards):
    return int(wildcards.get("n", "1"))


def order(wildcards):
    return as_json({"seed": PROTOCOL["seed"], "key": order_key(wildcards)})


def measuring_priority(wildcards):
    """Every cell's round n goes before any cell's round n + 1; within a round, in shuffled order."""
    return (10_000 - round_number(wildcards)) * 2**24 + order_key(wildcards)


def protocol(wildcards):
    """The part of the protocol that changes what is measured; limits travel as resources, rounds as jobs."""
    keys = ["warmup", "sampling", "exclusive", "offline"]
    if PLATFORMS[wildcards.platform]["accelerator"] == "cuda":
        keys.append("energy_seconds")
    tasks = [
        task
        for task in PROTOCOL["tasks"]
        if task != "decode" or decode_tokens(wildcards)
    ]
    told = {"tasks": tasks} | {key: PROTOCOL[key] for key in keys}
    cluster = PLATFORMS[wildcards.platform].get("cluster")
    if cluster:
        told["node"] = "exclusive" if cluster["exclusive"] else "shared"
    return as_json(told)
