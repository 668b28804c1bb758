"""Exports: model.safetensors → results/exports/{model}/{format}/."""


rule export_onnx:
    input:
        script=script("export_onnx.py"),
        modules=model_modules(
            "export_onnx.py", kinds=["models/spec", "frameworks/pytorch/models"]
        ),
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


rule export_onnx_decode:
    input:
        script=script("export_onnx_decode.py"),
        modules=model_modules(
            "export_onnx_decode.py", kinds=["models/spec", "frameworks/pytorch/models"]
        ),
        weights="results/models/{model}/model.safetensors",
        config="results/models/{model}/config.json",
    output:
        graph="results/exports/{model}/onnx/decode.onnx",
    log:
        "results/logs/export_onnx_decode/{model}.log",
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
        "{wildcards.model}: export to ONNX with a key-value cache"
    shell:
        "python {input.script:q} --definition {params.definition:q} --weights {input.weights:q}"
        " --config {input.config:q} --out {output.graph:q} > {log:q} 2>&1"


rule export_jax:
    input:
        script=script("export_jax.py"),
        modules=model_modules("export_jax.py", kinds=["models/spec"]),
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


rule export_gguf:
    input:
        script=script("export_gguf.py"),
        modules=model_modules("export_gguf.py", kinds=["models/spec"]),
        weights="results/models/{model}/model.safetensors",
        config="results/models/{model}/config.json",
    output:
        gguf="results/exports/{model}/gguf/model-{lane}.gguf",
    log:
        "results/logs/export_gguf/{model}-{lane}.log",
    priority: PREPARATION
    conda:
        env("gguf")
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    message:
        "{wildcards.model}: export to GGUF, {wildcards.lane}"
    shell:
        "python {input.script:q} --name {wildcards.model:q} --lane {wildcards.lane:q}"
        " --weights {input.weights:q} --config {input.config:q} --out {output.gguf:q} 2> {log:q}"


rule export_openvino:
    input:
        script=script("export_openvino.py"),
        modules=modules("export_openvino.py"),
        graph="results/exports/{model}/onnx/{graph}.onnx",
    output:
        graph="results/exports/{model}/openvino/{graph}-{lane}.xml",
        weights="results/exports/{model}/openvino/{graph}-{lane}.bin",
    log:
        "results/logs/export_openvino/{model}-{graph}-{lane}.log",
    wildcard_constraints:
        graph="model|decode",
    priority: PREPARATION
    conda:
        lambda wildcards: env("nncf" if wildcards.lane == "int8" else "openvino")
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    message:
        "{wildcards.model}: convert {wildcards.graph}.onnx for OpenVINO, {wildcards.lane}"
    shell:
        "python {input.script:q} --graph {input.graph:q} --lane {wildcards.lane:q}"
        " --out {output.graph:q} > {log:q} 2>&1"


rule export_ctranslate2:
    input:
        script=script("export_ctranslate2.py"),
        modules=modules("export_ctranslate2.py"),
        weights="results/models/{model}/model.safetensors",
        config="results/models/{model}/config.json",
        inputs="results/models/{model}/inputs.safetensors",
    output:
        model="results/exports/{model}/ctranslate2/model.bin",
        config="results/exports/{model}/ctranslate2/config.json",
        vocabulary="results/exports/{model}/ctranslate2/vocabulary.json",
    log:
        "results/logs/export_ctranslate2/{model}.log",
    priority: PREPARATION
    conda:
        env("ctranslate2")
    threads: 1
    resources:
        mem_mb=8000,
        runtime=30,
    message:
        "{wildcards.model}: write CTranslate2's format"
    shell:
        "python {input.script:q} --weights {input.weights:q} --config {input.config:q}"
        " --inputs {input.inputs:q} --out {output.model:q} 2> {log:q}"
