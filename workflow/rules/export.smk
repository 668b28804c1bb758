"""Exports: model.safetensors → results/exports/{model}/{format}/, a rule for each export that a framework's file names.

One that cannot be made costs the cells that read it, not the run: workflow/scripts/export.py records why.
"""

import re


def export_code(made, task):
    """Params function: the exporter, what it imports, and the model's definition where it needs that."""
    exporter = f"frameworks/{made['framework']}/{made[task]['exporter']}.py"
    weights = "weights" in made[task]["reads"]
    kinds = ["models/spec"] * weights
    if made["definitions"]:
        kinds.append(f"frameworks/{made['definitions']}/models")
    return model_code("export.py", exporter, kinds=kinds)


def export_reads(made, task):
    """The files that the export reads, in the order in which its framework's file names them."""
    folders = {
        name: f"results/models/{{model}}/{file}"
        for name, file in frameworks.SOURCES.items()
    }
    return [
        folders.get(name, f"results/exports/{{model}}/{name}")
        for name in made[task]["reads"]
    ]


def export_arguments(made, task):
    """Params function: what the export reads, by name."""

    def of_model(wildcards, input):
        pairs = zip(made[task]["reads"], input.reads, strict=True)
        return [word for pair in pairs for word in ("--read", *pair)]

    return of_model


def export_env(made):
    """Input function: the environment in which the format is written, by lane."""

    def of_lane(wildcards):
        return env(made["envs"].get(export_lane(wildcards), made["env"]))

    return of_lane


def export_lane(wildcards):
    return wildcards.get("lane", "float32")


for kind, task in [
    (k, t) for k in EXPORTS for t in ("model", "decode") if t in EXPORTS[k]
]:
    made = EXPORTS[kind]
    paths = [f"results/exports/{{model}}/{kind}/{file}" for file in made[task]["files"]]
    suffix = "" if task == "model" else f"_{task}"
    step = re.sub(r"\W", "_", f"export_{kind}{suffix}")
    each = "{model}-{lane}" if "{lane}" in paths[0] else "{model}"

    rule:
        name:
            step
        input:
            script=script("export.py"),
            reads=export_reads(made, task),
        output:
            files=paths,
            record=f"{paths[0]}.json",
        log:
            f"results/logs/{step}/{each}.log",
        priority: PREPARATION
        conda:
            export_env(made)
        threads: 1
        resources:
            mem_mb=8000,
            runtime=60,
        params:
            code=export_code(made, task),
            exporter=f"frameworks.{made['framework']}.{made[task]['exporter']}",
            definition=definition,
            lane=export_lane,
            reads=export_arguments(made, task),
        message:
            f"{{wildcards.model}}: {step}"
        shell:
            "python {input.script:q} --exporter {params.exporter:q} --model {wildcards.model:q}"
            " --definition {params.definition:q} --lane {params.lane:q} {params.reads:q}"
            " --files {output.files:q} --record {output.record:q} > {log:q} 2>&1"
