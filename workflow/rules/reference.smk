"""The float64 reference, and how far float32 and reduced precision lie from it: results/models/{model}/."""


rule reference:
    input:
        script=script("compute_reference.py"),
        weights="results/models/{model}/model.safetensors",
        config="results/models/{model}/config.json",
        inputs="results/models/{model}/inputs.safetensors",
    output:
        reference="results/models/{model}/reference.safetensors",
        gradients="results/models/{model}/gradients.safetensors",
        facts="results/models/{model}/reference.json",
    log:
        "results/logs/reference/{model}.log",
    priority: PREPARATION
    conda:
        env("reference")
    threads: 2
    resources:
        mem_mb=10000,
        runtime=60,
    params:
        code=model_code(
            "compute_reference.py", kinds=["models/spec", "frameworks/pytorch/models"]
        ),
        loss=loss,
        decode_tokens=decode_tokens,
        quality=lambda wildcards: "--quality" if predicts(wildcards.model) else "",
    message:
        "{wildcards.model}: compute the float64 reference"
    shell:
        "python {input.script:q} --record-failure --weights {input.weights:q} --config {input.config:q} --inputs {input.inputs:q}"
        " --loss {params.loss:q} --decode-tokens {params.decode_tokens} {params.quality} --threads {threads}"
        " --reference {output.reference:q} --gradients {output.gradients:q} --summary {output.facts:q} 2> {log:q}"


# What each lane of reduced precision costs on these weights; made where a row of this run has one.
rule rounding:
    input:
        script=script("compute_rounding.py"),
        weights="results/models/{model}/model.safetensors",
        config="results/models/{model}/config.json",
        inputs="results/models/{model}/inputs.safetensors",
        reference="results/models/{model}/reference.safetensors",
        gradients="results/models/{model}/gradients.safetensors",
        facts="results/models/{model}/reference.json",
    output:
        noise="results/models/{model}/rounding.json",
    log:
        "results/logs/rounding/{model}.log",
    priority: PREPARATION
    conda:
        env("reference")
    threads: 2
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        code=model_code(
            "compute_rounding.py", kinds=["models/spec", "frameworks/pytorch/models"]
        ),
        loss=loss,
        roundings=lambda wildcards: roundings(wildcards.model),
        trained=lambda wildcards: roundings(wildcards.model, trained=True),
    message:
        "{wildcards.model}: compute what reduced precision costs on its weights"
    shell:
        "python {input.script:q} --roundings {params.roundings:q} --train {params.trained:q} --weights {input.weights:q}"
        " --config {input.config:q} --inputs {input.inputs:q} --loss {params.loss:q} --reference {input.reference:q}"
        " --gradients {input.gradients:q} --summary {input.facts:q} --threads {threads} --out {output.noise:q} 2> {log:q}"
