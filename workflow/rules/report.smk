"""One analysis and CSV a platform, then the reports of all platforms: results/report.md, details.md and report.html."""


rule platform:
    input:
        script=script("collect_platform.py"),
        rounds=lambda wildcards: rounds_on(wildcards.platform),
        validations=lambda wildcards: verdicts_on(wildcards.platform),
        allocations=lambda wildcards: allocations(wildcards.platform),
        sources=lambda wildcards: expand(
            "results/models/{model}/source.json",
            model=measured_models(wildcards.platform),
        ),
    output:
        table=report(
            "results/platforms/{platform}.csv",
            caption="../../report/snakemake/table.rst",
            category="Tables",
            labels={"machine": "{platform}"},
        ),
        # For the reports of the same run: the rows with their types, which text has not.
        analysis="results/analysis/{platform}.json",
        # For the run's exit status, and for measuring it again.
        failures=FAILURES,
    log:
        "results/logs/platform/{platform}.log",
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=code("collect_platform.py"),
        label=platform_label,
        labels=row_labels(),
        unmeasured=lambda wildcards: as_json(unmeasured(wildcards.platform)),
        sentences=row_sentences(),
        crashes=known_crashes(),
        baseline=RUN["baseline"],
        models=RUN["models"],
        rows=RUN["rows"],
        retry=RETRY,
        prepared=lambda wildcards: prepared_for(wildcards.platform),
        float32_rows=float32_rows(),
        work=work(),
        least_difference=CONFIG["report"]["least_difference"],
    message:
        "{wildcards.platform}: merge the cells into one table"
    shell:
        "python {input.script:q} --platform {wildcards.platform:q} --label {params.label:q}"
        " --baseline {params.baseline:q} --models {params.models:q} --rows {params.rows:q}"
        " --retry {params.retry:q} --labels {params.labels:q} --sentences {params.sentences:q}"
        " --crashes {params.crashes:q} --float32-rows {params.float32_rows:q}"
        " --work {params.work:q} --rounds {input.rounds:q} --validations {input.validations:q}"
        " --sources {input.sources:q} --least-difference {params.least_difference}"
        " --allocations {input.allocations:q} --unmeasured {params.unmeasured:q}"
        " --prepared {params.prepared:q} --failures {output.failures:q}"
        " --analysis {output.analysis:q} --out {output.table:q} 2> {log:q}"


# Not among the default targets: it is for those who publish a table.
rule provenance:
    input:
        script=script("provenance.py"),
        table="results/platforms/{platform}.csv",
        rounds=lambda wildcards: rounds_on(wildcards.platform),
        allocations=lambda wildcards: allocations(wildcards.platform),
    output:
        facts="results/platforms/{platform}.json",
    log:
        "results/logs/provenance/{platform}.log",
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=code("provenance.py"),
        command=command_line(),
        unmeasured=lambda wildcards: as_json(unmeasured(wildcards.platform)),
    message:
        "{wildcards.platform}: say how its figures came about"
    shell:
        "python {input.script:q} --table {input.table:q} --rounds {input.rounds:q}"
        " --allocations {input.allocations:q} --unmeasured {params.unmeasured:q}"
        " --command {params.command:q} --out {output.facts:q} 2> {log:q}"


# The table of a submission, by the code and the tolerances of this run.
rule take_submission:
    input:
        script=script("take_submission.py"),
        submission=lambda wildcards: here(
            ROOT / CONFIG["published"] / f"{wildcards.name}.jsonl"
        ),
    output:
        table="results/published/{name}.csv",
        account="results/published/{name}.json",
    log:
        "results/logs/published/{name}.log",
    wildcard_constraints:
        name="[^/]+",
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=code("take_submission.py"),
        gate=as_json(CONFIG["gate"]),
        catalogue=known,
        least_difference=CONFIG["report"]["least_difference"],
    message:
        "{wildcards.name}: recompute its table from its records"
    shell:
        "python {input.script:q} --submission {input.submission:q} --gate {params.gate:q}"
        " --catalogue {params.catalogue:q} --least-difference {params.least_difference}"
        " --out {output.table:q} --account {output.account:q} 2> {log:q}"


rule report:
    input:
        script=script("render_report.py"),
        template=here(ROOT / "report" / "report.md.j2"),
        details=here(ROOT / "report" / "details.md.j2"),
        analyses=expand("results/analysis/{platform}.json", platform=PLATFORMS),
        decisions=decisions(),
        published=published(),
        recomputed=recomputed(),
        settled=SETTLED,
        releases=released_tables(),
        days=here(RELEASE_DAYS),
    output:
        markdown="results/report.md",
        details="results/details.md",
    log:
        "results/logs/report.log",
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=code("render_report.py"),
        captions=captions(),
        notes=notes(),
        gate=as_json(CONFIG["gate"]),
        packages=distributions(),
        history="results/history",  # no input, as of the page below
    message:
        "Write the report"
    shell:
        "python {input.script:q} --analyses {input.analyses:q} --published {input.published:q}"
        " --recomputed {input.recomputed:q} --gate {params.gate:q}"
        " --template {input.template:q} --details-template {input.details:q}"
        " --captions {params.captions:q} --notes {params.notes:q}"
        " --history {params.history:q} --releases {input.releases:q} --release-days {input.days:q}"
        " --packages {params.packages:q}"
        " --out {output.markdown:q} --details {output.details:q} 2> {log:q}"


rule page:
    input:
        script=script("render_html.py"),
        template=here(ROOT / "report" / "report.html.j2"),
        assets=[here(path) for path in sorted((ROOT / "report" / "html").iterdir())],
        analyses=expand("results/analysis/{platform}.json", platform=PLATFORMS),
        decisions=decisions(),
        published=published(),
        recomputed=recomputed(),
        settled=SETTLED,
        rounds=lambda wildcards: rounds_on(*PLATFORMS),
        validations=lambda wildcards: verdicts_on(*PLATFORMS),
        releases=released_tables(),
        days=here(RELEASE_DAYS),
    output:
        page=report(
            "results/report.html",
            caption="../../report/snakemake/page.rst",
            category="Report",
            labels={"page": "every model and machine"},
        ),
        # Kept until it is written anew: the next report says what changed since this one.
        data=update("results/report.json"),
        figures=report(
            directory("results/figures"),
            patterns=["{model}.svg"],
            caption="../../report/snakemake/figure.rst",
            category="Figures",
            labels={"model": "{model}"},
        ),
    log:
        "results/logs/page.log",
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        code=code("render_html.py"),
        captions=captions(),
        gate=as_json(CONFIG["gate"]),
        sentences=row_sentences(),
        # No input: it gains a table only as a run begins, when Snakemake has already looked at what there is. What a
        # page shows of it changes only with the analyses, which are inputs.
        history="results/history",
        packages=distributions(),
    message:
        "Write the report as a page"
    shell:
        "python {input.script:q} --analyses {input.analyses:q} --published {input.published:q}"
        " --recomputed {input.recomputed:q} --gate {params.gate:q}"
        " --rounds {input.rounds:q} --validations {input.validations:q}"
        " --sentences {params.sentences:q}"
        " --history {params.history:q} --releases {input.releases:q} --release-days {input.days:q}"
        " --packages {params.packages:q}"
        " --template {input.template:q} --captions {params.captions:q} --html {output.page:q}"
        " --json {output.data:q} --figures {output.figures:q} 2> {log:q}"


# A run with nothing to do ends without asking what is failed. So one that ends with something failed counts up, and
# the next has this job.
rule settled:
    output:
        SETTLED,
    log:
        "results/logs/settled.log",
    priority: PREPARATION
    conda:
        env("base")
    threads: 1
    resources:
        mem_mb=100,
        runtime=5,
    params:
        accepted=as_json(CONFIG["accepted"]),
        asked=asked(),
    message:
        "Ask whether anything is failed"
    shell:
        "touch {output:q} 2> {log:q}"
