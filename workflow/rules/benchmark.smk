"""Measuring: one job is one process of one cell; it takes all cores, so that nothing runs beside it
(unless ``protocol.exclusive`` is off).

Round 1 starts with empty compiler caches and keeps the gradients; later rounds use round 1's caches.
"""

# What every round of a cell is measured from.
MEASURED_FROM = {
    "script": script("benchmark.py"),
    "weights": "results/models/{model}/model.safetensors",
    "config": "results/models/{model}/config.json",
    "inputs": "results/models/{model}/inputs.safetensors",
    "export": exported,
    "decode_export": exported_decode,
    "program": engine_program,
    "build": engine_record,
}


rule benchmark:
    input:
        **MEASURED_FROM,
    output:
        result="results/benchmarks/{platform}/{model}/{row}/round-1.json",
        outputs="results/benchmarks/{platform}/{model}/{row}/round-1.safetensors",
        gradients="results/benchmarks/{platform}/{model}/{row}/gradients.safetensors",
        cache=directory("results/benchmarks/{platform}/{model}/{row}/cache"),
    log:
        process="results/logs/benchmark/{platform}/{model}/{row}/round-1.log",
        supervisor="results/logs/benchmark/{platform}/{model}/{row}/round-1.supervisor.log",
    priority: measuring_priority
    conda:
        framework_env
    threads: measuring_cores
    resources:
        **asked_of_slurm(),
        mem_mb=measuring_memory,
        runtime=measuring_minutes,
        timeout_s=PROTOCOL["timeout_s"],
        memory_limit_mb=memory_limit,
    params:
        code=measuring_code,
        cell=cell,
        round=round_number,
        files=round_files,
        raised=raised_limit,
    message:
        "{wildcards.model} in {wildcards.row} on {wildcards.platform}: round {params.round}"
        f" of {ROUNDS[-1]}"
    shell:
        "python {input.script:q} --cell {params.cell:q} --round {params.round} --files {params.files:q}"
        " --timeout {resources.timeout_s} --memory-limit {resources.memory_limit_mb} --raised={params.raised:q}"
        " --log {log.process:q} 2> {log.supervisor:q}"


use rule benchmark as benchmark_repeat with:
    input:
        **MEASURED_FROM,
        first="results/benchmarks/{platform}/{model}/{row}/round-1.json",
        cache="results/benchmarks/{platform}/{model}/{row}/cache",
    output:
        result="results/benchmarks/{platform}/{model}/{row}/round-{n}.json",
        outputs="results/benchmarks/{platform}/{model}/{row}/round-{n}.safetensors",
    log:
        process="results/logs/benchmark/{platform}/{model}/{row}/round-{n}.log",
        supervisor="results/logs/benchmark/{platform}/{model}/{row}/round-{n}.supervisor.log",
    message:
        "{wildcards.model} in {wildcards.row} on {wildcards.platform}: round {params.round}"
        f" ({ROUNDS[-1]} are planned)"
