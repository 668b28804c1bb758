"""What a measuring job is told of its cell: row, environment, export or engine, round, order, protocol."""

import hashlib
import tomllib

from arena.configuration import crates


def framework(wildcards):
    return FRAMEWORKS[wildcards.row]


def framework_env(wildcards):
    row, platform = framework(wildcards), PLATFORMS[wildcards.platform]
    return env(row["envs"].get(platform["accelerator"], row["env"]))


def measuring_modules(wildcards):
    """Everything that a cell's process imports: supervisor, protocol, adapter, the model's definition."""
    row = framework(wildcards)
    if row["engine"]:
        return modules("benchmark.py")
    names = ["benchmark.py", "measure.py", adapter(row)]
    if row["definitions"]:
        names += [
            f"models/spec/{definition(wildcards)}.py",
            f"frameworks/{row['definitions']}/models/{definition(wildcards)}.py",
        ]
    return modules(*names)


def adapter(row):
    """The row's adapter: a folder of workflow/scripts/frameworks/, or a path of one's own that ends in .py."""
    name = row["adapter"]
    return (
        ROOT / name
        if name.endswith(".py")
        else SCRIPTS / "frameworks" / name / "adapter.py"
    )


def unsupported(wildcards):
    """Why this row does not run the model, {code, why}; None if it does, as far as is known before a build."""
    row = framework(wildcards)
    if HOST and not row["engine"] and not packages.installed(row["distribution"]):
        return {"code": "not-installed", "why": "not installed here"}
    return row["unsupported"].get(wildcards.model)


EXPORTS = {
    "onnx": "model.onnx",
    "jax": "params.safetensors",
    "gguf": "model-{lane}.gguf",
    "openvino": "model-{lane}.xml",
    "ctranslate2": "model.bin",
}


def exported(wildcards):
    """The export that this row's framework reads, if it reads one."""
    row = framework(wildcards)
    kind = row["export"]
    if not kind or unsupported(wildcards):
        return []
    name = EXPORTS[kind].format(lane=row["lane"])
    return f"results/exports/{wildcards.model}/{kind}/{name}"


# The formats that have a second file for task decode; the others generate from the first.
DECODE_EXPORTS = {"onnx": "decode.onnx", "openvino": "decode-{lane}.xml"}


def exported_decode(wildcards):
    """The export from which this row's framework generates, if that is a file of its own."""
    row = framework(wildcards)
    kind, name = row["export"], DECODE_EXPORTS.get(row["export"])
    if not name or unsupported(wildcards) or not decode_tokens(wildcards):
        return []
    name = name.format(lane=row["lane"])
    return f"results/exports/{wildcards.model}/{kind}/{name}"


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
    if not (ENGINES / wildcards.engine).exists():
        return []
    names = crates.local(ENGINES / "Cargo.lock", f"arena-{wildcards.engine}")
    folders = [ENGINES / name.removeprefix("arena-") for name in names]
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted(map(here, found))


def engine_crate(wildcards):
    entries = CONFIG["frameworks"].values()
    return next(e["distribution"] for e in entries if e["engine"] == wildcards.engine)


def engine_accelerator(wildcards):
    return PLATFORMS[wildcards.platform]["accelerator"]


@cache
def locked_crates(engine):
    """What of Cargo.lock and of the workspace's Cargo.toml concerns this engine."""
    if not (ENGINES / engine).exists():
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
    arguments = {
        "framework": row["id"],
        "label": row["label"],
        "lane": row["lane"],
        "distribution": row["distribution"],
        "options": as_json(row["options"]),
        "environment": as_json(row["environment"]),
        "accelerator": platform["accelerator"],
        "definition": definition(wildcards),
        "loss": loss(wildcards),
    }
    if row["adapter"]:
        arguments["adapter"] = here(adapter(row))
    if tokens := decode_tokens(wildcards):
        arguments["decode-tokens"] = tokens
    if reason := unsupported(wildcards):
        arguments["unsupported"] = as_json(reason)
    words = [word for name, value in arguments.items() for word in (f"--{name}", value)]
    return words + (["--libraries", *row["libraries"]] if row["libraries"] else [])


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
