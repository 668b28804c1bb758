"""Checkpoints, weights and inputs: model config → results/models/{model}/."""


rule download:
    input:
        # Ancient, and without the modules that it imports: what is downloaded, or that no hub was found, stands
        # until something else is asked for (or `--forcerun download`), however the program is written.
        script=ancient(script("download_weights.py")),
    output:
        files=directory("results/models/{model}/checkpoint"),
        # It remembers the sums of files that the config does not pin.
        record=update("results/models/{model}/checkpoint.json"),
    log:
        "results/logs/download/{model}.log",
    priority: PREPARATION
    conda:
        env("hub")
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
        attempts=4,
        backoff_s=5,
    params:
        source=download_config,
        asked=weights_asked,
    message:
        "{wildcards.model}: download the checkpoint ({params.asked})"
    shell:
        "python {input.script:q} --source {params.source:q} --asked {params.asked} --files {output.files:q}"
        " --record-failure --record {output.record:q} --attempts {resources.attempts} --backoff {resources.backoff_s}"
        " 2>&1 | tee {log:q} >&2"


rule weights:
    input:
        script=weights_script,
        checkpoint=checkpoint_files,
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
        code=weights_code,
        model=weights_config,
        checkpoint=checkpoint_arguments,
    message:
        "{wildcards.model}: make the weights"
    shell:
        "python {input.script:q} --model-config {params.model:q} {params.checkpoint:q}"
        " --weights {output.weights:q} --config {output.config:q} --source {output.source:q} 2> {log:q}"


rule inputs:
    input:
        script=script("make_inputs.py"),
        text=text_file,
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
        code=code("make_inputs.py"),
        model=workload_config,
        text=lambda wildcards, input: ["--text", input.text] if input.text else [],
    message:
        "{wildcards.model}: make the inputs"
    shell:
        "python {input.script:q} --model-config {params.model:q} {params.text:q} --out {output.inputs:q} 2> {log:q}"


if workflow.is_main_process:
    check_surroundings()
    for line in weights_in_words():
        logger.info(line)
