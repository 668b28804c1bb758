"""The engines: workflow/engines/ → results/engines/{platform}/. Those in Rust are built for each platform's processor,
those in JavaScript get their packages.

Cargo.lock and the workspace's Cargo.toml are the same for all engines in Rust: what of them concerns this one is a
parameter, so that another engine's new version builds nothing here.
"""


rule build_engine:
    input:
        script=script("build_engine.py"),
        driver=here(SCRIPTS / "arena" / "building" / "driver.c"),
        sources=engine_sources,
    output:
        program="results/engines/{platform}/{engine}/program",
        record="results/engines/{platform}/{engine}/build.json",
    log:
        "results/logs/build_engine/{platform}/{engine}.log",
    wildcard_constraints:
        engine=any_of(ALL_ENGINES - JAVASCRIPT),
    priority: PREPARATION
    conda:
        engine_env
    threads: measuring_cores
    resources:
        **asked_of_slurm_to_build(),
        mem_mb=8000,
        runtime=60,
    params:
        code=code("build_engine.py"),
        workspace=here(ENGINES),
        crate=engine_crate,
        interface=engine_interface,
        target="results/engines/target",
        locked=engine_settings,
    message:
        "{wildcards.engine}: build the engine for {wildcards.platform}"
    shell:
        "python {input.script:q} --workspace {params.workspace:q} --engine {wildcards.engine:q}"
        " --crate {params.crate:q} --interface {params.interface:q} --threads {threads}"
        " --target {params.target:q} --program {output.program:q} --record {output.record:q} > {log:q} 2>&1"


rule build_javascript:
    input:
        script=script("build_javascript.py"),
        sources=javascript_sources,
    output:
        program="results/engines/{platform}/{engine}/program",
        record="results/engines/{platform}/{engine}/build.json",
    log:
        "results/logs/build_engine/{platform}/{engine}.log",
    wildcard_constraints:
        engine=any_of(JAVASCRIPT),
    priority: PREPARATION
    conda:
        engine_env
    resources:
        **asked_of_slurm_to_build(),
        mem_mb=2000,
        runtime=15,
    params:
        code=code("build_javascript.py"),
        folder=javascript_folder,
        package=engine_crate,
    message:
        "{wildcards.engine}: bring the engine's packages for {wildcards.platform}"
    shell:
        "python {input.script:q} --engine {params.folder:q} --package {params.package:q}"
        " --program {output.program:q} --record {output.record:q} > {log:q} 2>&1"
