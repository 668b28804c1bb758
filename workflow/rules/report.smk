"""One CSV a platform, then the report of all platforms: results/platforms/, results/report.md."""


rule platform:
    input:
        script=script("collect_platform.py"),
        modules=modules("collect_platform.py"),
        rounds=cells("results/benchmarks/{platform}/{model}/{row}/round-{n}.json"),
        validations=cells("results/validation/{platform}/{model}/{row}.json"),
        sources=expand("results/models/{model}/source.json", model=RUN["models"]),
    output:
        table="results/platforms/{platform}.csv",
    log:
        "results/logs/platform/{platform}.log",
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        label=platform_label,
        baseline=RUN["baseline"],
        models=RUN["models"],
        rows=RUN["rows"],
        retry=command_line(),
    message:
        "{wildcards.platform}: merge the cells into one table"
    shell:
        "python {input.script:q} --platform {wildcards.platform:q} --label {params.label:q}"
        " --baseline {params.baseline:q} --models {params.models:q} --rows {params.rows:q}"
        " --retry {params.retry:q} --rounds {input.rounds:q} --validations {input.validations:q} --sources {input.sources:q}"
        " --out {output.table:q} 2> {log:q}"


rule report:
    input:
        script=script("render_report.py"),
        modules=modules("render_report.py"),
        template=here(ROOT / "report" / "report.md.j2"),
        platforms=expand("results/platforms/{platform}.csv", platform=PLATFORMS),
        published=published(),
    output:
        markdown="results/report.md",
    log:
        "results/logs/report.log",
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        captions=captions(),
    message:
        "Write the report"
    shell:
        "python {input.script:q} --platforms {input.platforms:q} --published {input.published:q}"
        " --template {input.template:q} --captions {params.captions:q} --out {output.markdown:q} 2> {log:q}"
