"""Exports: model.safetensors → results/exports/{model}/{format}/."""


rule export_onnx:
    input:
        script=script("export_onnx.py"),
        modules=model_modules("export_onnx.py", kinds=["spec", "torch"]),
        weights="results/models/{model}/model.safetensors",
        config="results/models/{model}/config.json",
        inputs="results/models/{model}/inputs.safetensors",
    output:
        graph="results/exports/{model}/onnx/model.onnx",
    log:
        "results/logs/export_onnx/{model}.log",
    priority: PREPARATION
    conda:
        env("reference")
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        definition=definition,
    message:
        "{wildcards.model}: export to ONNX"
    shell:
        "python {input.script:q} --definition {params.definition:q} --weights {input.weights:q}"
        " --config {input.config:q} --inputs {input.inputs:q} --out {output.graph:q} > {log:q} 2>&1"


rule export_jax:
    input:
        script=script("export_jax.py"),
        modules=model_modules("export_jax.py", kinds=["spec"]),
        weights="results/models/{model}/model.safetensors",
        config="results/models/{model}/config.json",
    output:
        params="results/exports/{model}/jax/params.safetensors",
    log:
        "results/logs/export_jax/{model}.log",
    priority: PREPARATION
    conda:
        env("base")
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    message:
        "{wildcards.model}: lay the weights out for JAX"
    shell:
        "python {input.script:q} --weights {input.weights:q} --config {input.config:q}"
        " --out {output.params:q} 2> {log:q}"
