"""The gate: a cell's outputs against the float64 reference → results/validation/."""


rule validate:
    input:
        script=script("validate.py"),
        rounds=rounds("results/benchmarks/{platform}/{model}/{row}/round-{n}.json"),
        outputs=rounds(
            "results/benchmarks/{platform}/{model}/{row}/round-{n}.safetensors"
        ),
        gradients="results/benchmarks/{platform}/{model}/{row}/gradients.safetensors",
        inputs="results/models/{model}/inputs.safetensors",
        reference="results/models/{model}/reference.safetensors",
        reference_gradients="results/models/{model}/gradients.safetensors",
        reference_facts="results/models/{model}/reference.json",
        rounding=rounding_noise,
    output:
        verdict="results/validation/{platform}/{model}/{row}.json",
    log:
        "results/logs/validate/{platform}/{model}/{row}.log",
    conda:
        env("base")
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        code=code("validate.py"),
        loss=loss,
        gate=gate,
        rounding=lambda wildcards, input: (
            ["--rounding", rounding(wildcards), "--rounding-json", input.rounding]
            if input.rounding
            else []
        ),
    message:
        "{wildcards.model} in {wildcards.row} on {wildcards.platform}: check against the reference"
    shell:
        "python {input.script:q} --rounds {input.rounds:q} --outputs {input.outputs:q}"
        " --gradients {input.gradients:q} --inputs {input.inputs:q} --reference {input.reference:q}"
        " --reference-gradients {input.reference_gradients:q} --reference-json {input.reference_facts:q}"
        " {params.rounding:q} --loss {params.loss:q} {params.gate:q}"
        " --out {output.verdict:q} 2> {log:q}"


# On a cell that got more rounds than were planned (adaptive.smk): on its first n.
use rule validate as validate_more with:
    output:
        verdict="results/validation/{platform}/{model}/{row}/rounds-{n}.json",
    log:
        "results/logs/validate/{platform}/{model}/{row}/rounds-{n}.log",
    message:
        "{wildcards.model} in {wildcards.row} on {wildcards.platform}: check {wildcards.n} rounds against the reference"
