"""What measuring jobs ask of Slurm (docs/cluster.md). On one machine, Snakemake ignores it.

All other jobs ask for cores, memory and time only; partition and account come from the profile.
"""

import math

from arena.measuring import node


# Seconds each, and they tell of the submitting command: not worth a place in a queue.
localrules:
    all,
    decide_rounds,
    settled,
    platform,
    report,
    page,


# Minutes that Slurm leaves a job beyond the time limit of its measuring process, which then is the first to end.
GRACE = 15


def cluster(wildcards):
    """What the platform says of its nodes; nothing, if it is no cluster's."""
    return PLATFORMS[wildcards.platform].get("cluster", {})


def measuring_cores(wildcards):
    return cluster(wildcards).get("cpus", MEASURING_CORES)


def measuring_threads(wildcards):
    """What the frameworks are given; on a cluster the node's supervisor lowers it to the job's physical cores."""
    given = cluster(wildcards).get("cpus", THREADS)
    return given if PROTOCOL["threads"] == "auto" else min(given, PROTOCOL["threads"])


def measuring_memory(wildcards):
    return cluster(wildcards).get("mem_mb", 16000)


def memory_limit(wildcards):
    """MB at which the supervisor ends a measuring process, before Slurm would; 0 leaves it to the supervisor."""
    asked = cluster(wildcards).get("mem_mb")
    return PROTOCOL["memory_limit_mb"] or int(0.9 * asked if asked else 0)


def measuring_minutes(wildcards):
    minutes = math.ceil(PROTOCOL["timeout_s"] / 60) + GRACE
    return cluster(wildcards).get("runtime") or minutes


def measuring_node(wildcards):
    """Further options of sbatch."""
    return "--exclusive" if cluster(wildcards).get("exclusive") else ""


def asked_of_slurm():
    """Resources by the names that the executor plugin knows, as far as any platform has them."""
    names = {"partition": "slurm_partition", "constraint": "constraint", "gres": "gres"}
    clusters = [platform.get("cluster", {}) for platform in PLATFORMS.values()]
    asked = {
        resource: lambda wildcards, key=key: cluster(wildcards).get(key, "")
        for key, resource in names.items()
        if any(key in each for each in clusters)
    }
    return asked | ({"slurm_extra": measuring_node} if any(clusters) else {})


def asked_of_slurm_to_build():
    """A node of the platform, for its processor: neither its GPU nor the whole of it."""
    asked = asked_of_slurm()
    return {name: asked[name] for name in asked.keys() - {"gres", "slurm_extra"}}


def cancel_leftover_jobs():
    """End what a killed submitter left in the queue, and this run too.

    A second copy of a job would write the same files. What was there when this run looked may be gone once
    its jobs are cancelled, so the next run has to look again.
    """
    jobs = node.leftover_jobs(Path.cwd()) if asked_of_slurm() else []
    if jobs:
        node.cancel(jobs)
        raise WorkflowError(
            f"Jobs of an earlier run here were still in the queue and are cancelled now: {', '.join(jobs)}. "
            "Start again."
        )
