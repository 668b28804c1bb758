"""Weights and inputs: model config → results/models/{model}/."""


rule weights:
    input:
        script=script("seed_weights.py"),
        modules=model_modules("seed_weights.py", kinds=["spec"]),
    output:
        weights="results/models/{model}/model.safetensors",
        config="results/models/{model}/config.json",
        source="results/models/{model}/source.json",
    log:
        "results/logs/weights/{model}.log",
    priority: PREPARATION
    conda:
        env("base")
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        model=weights_config,
    message:
        "{wildcards.model}: make the weights"
    shell:
        "python {input.script:q} --model-config {params.model:q} --weights {output.weights:q}"
        " --config {output.config:q} --source {output.source:q} 2> {log:q}"


rule inputs:
    input:
        script=script("make_inputs.py"),
        modules=modules("make_inputs.py"),
    output:
        inputs="results/models/{model}/inputs.safetensors",
    log:
        "results/logs/inputs/{model}.log",
    priority: PREPARATION
    conda:
        env("base")
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        model=workload_config,
    message:
        "{wildcards.model}: make the inputs"
    shell:
        "python {input.script:q} --model-config {params.model:q} --out {output.inputs:q} 2> {log:q}"
