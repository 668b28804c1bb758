"""More rounds for the cells whose times are known too little (protocol.adaptive) → results/adaptive/.

What depends on the decision is the table, the account and the page: they ask for the rounds that it gives to a cell,
and for the verdict on all of them.
"""

EXTRA_SECONDS = PROTOCOL["adaptive"]["max_seconds"]


checkpoint decide_rounds:
    input:
        script=script("decide_rounds.py"),
        rounds=planned_rounds,
        validations=planned_verdicts,
    output:
        # What it decided before holds on for cells that were not measured again.
        decision=update("results/adaptive/{platform}.json"),
    log:
        "results/logs/adaptive/{platform}.log",
    priority: PREPARATION
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=code("decide_rounds.py"),
        planned=len(ROUNDS),
        max_rounds=PROTOCOL["adaptive"]["max_rounds"],
        target=PROTOCOL["adaptive"]["target"],
        # None is no limit, and no word in the command.
        limit=[f"--max-seconds {EXTRA_SECONDS:g}"] if EXTRA_SECONDS else [],
    message:
        "{wildcards.platform}: decide which cells get more than {params.planned} rounds"
    shell:
        "python {input.script:q} --platform {wildcards.platform:q} --rounds {input.rounds:q}"
        " --validations {input.validations:q}"
        " --planned {params.planned} --max-rounds {params.max_rounds} --target {params.target}"
        " {params.limit} --out {output.decision:q} 2> {log:q}"


if ADAPTIVE and workflow.is_main_process:
    extra_rounds = PROTOCOL["adaptive"]["max_rounds"] - len(ROUNDS)
    logger.info(
        f"Extra rounds: up to {extra_rounds} for a cell whose times are not known to"
        f" ± {100 * PROTOCOL['adaptive']['target']:g} %"
        + (f", {EXTRA_SECONDS:g} s in all" if EXTRA_SECONDS else ""),
        # for plan.py
        extra={"extra_rounds": extra_rounds, "extra_seconds": EXTRA_SECONDS},
    )
