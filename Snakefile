"""The arena: one ML workload, every framework, every machine, one table.

    snakemake --cores 4

config/README.md explains what can be configured, docs/design.md how the steps fit together.
"""

import gc
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")


report: "report/snakemake/workflow.rst"


configfile: str(Path(workflow.basedir) / "config" / "config.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/cells.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/failures.smk"
include: "workflow/rules/weights.smk"
include: "workflow/rules/reference.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/engines.smk"
include: "workflow/rules/benchmark.smk"
include: "workflow/rules/adaptive.smk"
include: "workflow/rules/validate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/history.smk"


# What is there by now stays as long as the run: no need to look through it for garbage while the jobs are listed.
gc.freeze()


rule all:
    default_target: True
    input:
        "results/report.md",
        "results/report.html",


onstart:
    cancel_leftover_jobs()
    end_leftovers()
    keep_history()
    write_retry()


onsuccess:
    complain_about_failures()


onerror:
    mention_failures()
