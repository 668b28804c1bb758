"""The platform CSV's columns: one table for the writer, the reader and docs/platform-csv.md.

Run as a program, it prints the tables of docs/platform-csv.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from arena.contract.cell import TaskName

#: A line of the CSV: a column's name to its value (numbers as float, an empty field as None).
Row = dict[str, Any]

#: The tasks of the main table, and all that are timed.
TASKS: tuple[TaskName, ...] = ("inference", "latency", "training")
TIMED: tuple[TaskName, ...] = (*TASKS, "decode")

#: What `status` may say in our own CSVs, and in published ones.
OWN_STATUSES = ("pass", "close", "different", "failed", "unsupported")
PUBLISHED_STATUSES = (*OWN_STATUSES, "match")


class Column(NamedTuple):
    """One column: its name, its unit (empty: text) and what it holds."""

    name: str
    unit: str
    meaning: str


REQUIRED = (
    Column("platform", "", "the machine, as readers know it"),
    Column("model", "", "the model's name in the config"),
    Column("framework", "", "the row's label, such as `PyTorch eager`"),
    Column("version", "", "the framework's version"),
    Column("backend", "", "what computed: CPU, CUDA 13.0, a BLAS …"),
    Column("status", "", "`pass`, `close`, `different`, `failed`, `unsupported`; `match` where published"),
    Column("compile_s", "s", "weights in host memory to first output, cold caches (round 1)"),
    Column("inference_ms", "ms", "one full forward pass: geometric mean of the processes' medians"),
    Column("latency_ms", "ms", "the same for the latency input"),
    Column("training_ms", "ms", "forward, loss and every gradient; no optimiser step"),
    Column("loss", "", "loss of the workload's forward pass, from the framework's own outputs"),
)

IDENTITY = (
    Column("measured_by", "", "who measured, by the file's own word: `arena` for files written here"),
    Column("date", "", "day of the first round, YYYY-MM-DD (UTC); YYYY-MM will do where published"),
    Column("commit", "", "the arena's git commit; ends in `-dirty` if files differed from it"),
    Column("platform_id", "", "the platform's name in the config"),
    Column("row", "", "the row's id in the config"),
    Column("baseline", "", "label of the row to whose medians the `…_ratio` columns are given"),
    Column(
        "float32_row", "", "label of its framework's float32 row: what the `…_float32_ratio` are given to"
    ),
    Column("framework_family", "", "the framework's id in the config"),
    Column("lane", "", "numeric precision; only rows of one lane are ranked against each other"),
    Column(
        "weights",
        "",
        "their source: `seeded (seed N, generation N)`, `hub REPOSITORY@REVISION`, `path NAME (sha256 …)`",
    ),
    Column("weights_sha256", "", "of their file, as the arena writes it"),
    Column("verdict", "", "the gate's verdict: `pass`, `close`, `different`; empty without outputs"),
    Column("verdict_reasons", "", "what the gate objects to, with figures and limits"),
    Column("fallback", "", "what of the framework it did without, because that fails there, and why"),
    Column("reason_code", "", "why the cell failed or is unsupported (codes: docs/design.md)"),
    Column("reason_detail", "", "the same in a sentence"),
    Column("rounds", "count", "processes started for this cell"),
    Column(
        "allocations",
        "",
        "of a table made in several: which had how many of the rounds, and where (docs/gpu.md)",
    ),
)

PER_TASK = (
    Column("{t}_samples", "count", "timed iterations of all rounds together"),
    Column("{t}_sampled_s", "s", "seconds of samples in a process: the mean"),
    Column(
        "{t}_worth_s",
        "s",
        "seconds of samples a process that are worth it, by docs/statistics.md; `max_seconds` at most",
    ),
    Column("{t}_low_ms", "ms", "lower end of its 95 % interval between processes; empty with one process"),
    Column("{t}_high_ms", "ms", "upper end"),
    Column("{t}_p95_ms", "ms", "95th percentile of all samples"),
    Column("{t}_min_ms", "ms", "shortest sample"),
    Column("{t}_iqr_ms", "ms", "interquartile range of all samples"),
    Column("{t}_noisy", "true/false", "whether that range is over 10 % of the samples' median"),
    Column("{t}_steady", "true/false", "whether every round's warm-up settled before its time was up"),
    Column(
        "{t}_series", "", "level of the samples in time, the worst process's: `flat`, `falling` or `jumps`"
    ),
    Column("{t}_ratio", "ratio", "time over the baseline row's; above 1: slower"),
    Column("{t}_ratio_low", "ratio", "lower end of its 95 % interval"),
    Column("{t}_ratio_high", "ratio", "upper end"),
    Column("{t}_to_best", "ratio", "time over that of the fastest passing row of this model and lane"),
    Column(
        "{t}_to_best_low",
        "ratio",
        "lower end of its interval, 95 % for all rows of the model and lane together",
    ),
    Column("{t}_to_best_high", "ratio", "upper end"),
    Column(
        "{t}_first", "true/false", "whether it is the fastest, or not told from it; empty if it is not ranked"
    ),
    Column("{t}_float32_ratio", "ratio", "time over that of its framework's float32 row; empty in float32"),
    Column("{t}_float32_ratio_low", "ratio", "lower end of its 95 % interval"),
    Column("{t}_float32_ratio_high", "ratio", "upper end"),
    Column("{t}_status", "", "`ok`, `failed`, `unsupported`; empty if not asked for, or if the cell failed"),
    Column("{t}_reason", "", "code and sentence where it is not `ok`"),
)

GENERATION = (
    Column("decode_ms", "ms", "a whole generation: geometric mean of the processes' medians"),
    Column("prompt_tokens", "count", "length of the prompt of task `decode`, batch 1"),
    Column("new_tokens", "count", "tokens generated after it, greedily"),
    Column("prefill_tokens_per_s", "tokens/s", "`prompt_tokens` over the time to the first new token"),
    Column("prefill_tokens_per_s_low", "tokens/s", "lower end of its 95 % interval"),
    Column("prefill_tokens_per_s_high", "tokens/s", "upper end"),
    Column("decode_tokens_per_s", "tokens/s", "`new_tokens` - 1 over the time from first to last"),
    Column("decode_tokens_per_s_low", "tokens/s", "lower end of its 95 % interval"),
    Column("decode_tokens_per_s_high", "tokens/s", "upper end"),
    *(
        Column(f"{rate}_{name}", unit, meaning)
        for rate in ("prefill_tokens_per_s", "decode_tokens_per_s")
        for name, unit, meaning in (
            ("to_best", "ratio", "highest rate of the passing rows of this model and lane over this one"),
            ("to_best_low", "ratio", "lower end of its interval, 95 % for all of them together"),
            ("to_best_high", "ratio", "upper end"),
            ("first", "true/false", "whether it is the highest, or not told from it"),
        )
    ),
    Column("matching_tokens", "count", "tokens equal to the reference's before the first that differs"),
    Column(
        "divergence_margin", "logits", "lead of the reference's token over the next where the first differs"
    ),
)

COSTS = (
    Column("cold_start_s", "s", "start of the process to first output, cold caches (round 1)"),
    Column("restart_s", "s", "the same, caches of round 1: median of the later rounds"),
    Column("compile_warm_s", "s", "as `compile_s`, caches of round 1: median of the later rounds"),
    Column("latency_compile_s", "s", "first result of the latency task, cold caches"),
    Column("training_compile_s", "s", "first result of the training task, cold caches"),
    Column("decode_compile_s", "s", "first result of the decode task, cold caches"),
    Column("import_s", "s", "importing the framework: median of the rounds"),
    Column("load_s", "s", "weights from disk to host memory: median of the rounds"),
    Column("inference_peak_mb", "MB", "peak resident memory above that before loading: largest round's"),
    Column("training_peak_mb", "MB", "the same while training"),
    Column("decode_peak_mb", "MB", "the same while generating"),
    Column(
        "footprint_mb", "MB", "installed files that the framework needs to run, without shared build tools"
    ),
)

CORRECTNESS = (
    Column("relative_l2", "ratio", "inference output against the float64 reference: norm of the error"),
    Column("max_error", "ratio", "largest error over largest reference magnitude"),
    Column("top1_agreement", "share", "positions with the reference's arg-max, among the decided ones"),
    Column("loss_error", "ratio", "relative error of the loss"),
    Column("loss_change", "", "the loss less the reference's"),
    Column(
        "mean_kl", "nats", "mean over positions of KL(softmax(reference) ‖ softmax(output)); classifiers only"
    ),
    Column("median_kl", "nats", "median of the same over positions"),
    Column("latency_relative_l2", "ratio", "`relative_l2` of the latency output"),
    Column("latency_max_error", "ratio", "`max_error` of the latency output"),
    Column("latency_top1_agreement", "share", "`top1_agreement` of the latency output"),
    Column("latency_mean_kl", "nats", "`mean_kl` of the latency output"),
    Column("latency_median_kl", "nats", "`median_kl` of the latency output"),
    Column("training_loss_error", "ratio", "relative error of the training step's loss"),
    Column("gradient_norm_error", "ratio", "relative error of a gradient's norm: the worst weight's"),
    Column("gradient_cosine", "", "cosine between gradient and reference: the worst weight's"),
    Column("worst_tensor", "", "the weight with the worst gradient"),
    Column("noise_relative_l2", "ratio", "`relative_l2` of plain float32 PyTorch: the noise floor"),
    Column("noise_max_error", "ratio", "`max_error` of plain float32 PyTorch"),
    Column(
        "widened",
        "",
        "what passes only because its lane's noise widens the tolerance, as `gradient_norm_error 0.003` (docs/gate.md)",
    ),
)

QUALITY = (
    Column(
        "quality_tokens", "count", "tokens of the text that round 1 predicted (docs/gate.md); empty if none"
    ),
    Column("quality_perplexity", "tokens", "exponential of the mean of -log p over them"),
    Column("quality_perplexity_change", "ratio", "its relative difference from the float64 reference's"),
    Column("quality_perplexity_change_error", "ratio", "standard error of that, over the tokens"),
    Column("quality_perplexity_float32_change", "ratio", "its relative difference from its float32 row's"),
    Column("quality_top1", "share", "tokens at which the likeliest is the reference's"),
    Column("quality_top1_float32_change", "share", "that less its float32 row's"),
    Column("quality_kl", "nats", "mean KL(softmax(reference) ‖ softmax(output)) over every 16th position"),
    Column("quality_kl_error", "nats", "standard error of that, over those positions"),
    Column("quality_kl_float32_change", "nats", "that less its float32 row's"),
    Column(
        "quality_status", "", "`ok`, `failed`, `unsupported`; empty if not asked for, or if the cell failed"
    ),
    Column("quality_reason", "", "code and sentence where it is not `ok`"),
)

MACHINE = (
    Column("threads", "count", "threads given to the framework"),
    Column("threads_reported", "count", "threads that the framework says it uses"),
    Column("device", "", "what the framework says it ran on"),
    Column("cpu", "", "the processor's name; several if the rounds ran on several"),
    Column("cpu_id", "", "its family, model and stepping, where Linux tells them"),
    Column("cores", "count", "physical cores that the process might use"),
    Column("memory_gb", "GB", "the machine's memory"),
    Column("kernel", "", "operating system kernel and release"),
    Column("os", "", "distribution"),
    Column("python", "", "Python's version"),
    Column("packages", "", "versions of the framework and of all it requires, as a JSON object"),
    Column("steal_max", "share", "CPU time that the hypervisor gave to others: the worst round's"),
    Column("load_max", "", "1-minute load average before a round: the largest"),
    Column("offline", "true/false", "whether the process was cut off from every network"),
    Column("network_attempts", "count", "how often it tried to send all the same: the worst round's"),
    Column("node", "", "the cluster's nodes that ran the rounds; off a cluster empty, as are the next six"),
    Column("node_shared", "true/false", "whether other jobs might run beside it"),
    Column("other_jobs", "count", "other jobs seen on the node before or after a round: the most"),
    Column("accelerators", "", "the GPU's UUID; where no driver tells it, the numbers that Slurm gave"),
    Column("slurm_jobs", "", "Slurm's ids of the rounds' jobs"),
    Column("condition", "", "`clean`, `noisy` or `invalid`, by the rules of docs/cluster.md"),
    Column("condition_reasons", "", "why it is not `clean`"),
    Column("retry", "", "command that tries a failed cell again"),
    Column("log_tail", "", "last lines of a failed round's log"),
)

GPU = (
    Column("gpu", "", "the card's name, by NVIDIA's driver; empty without one, like all of this group"),
    Column("gpu_driver", "", "the driver's version"),
    Column("gpu_power_limit_w", "W", "the card's power limit"),
    Column("gpu_sm_mhz", "MHz", "clock of the multiprocessors, looked at each second: median of the medians"),
    Column("gpu_sm_max_mhz", "MHz", "the highest seen"),
    Column("gpu_power_max_w", "W", "the highest power seen"),
    Column("gpu_celsius_max", "°C", "the highest temperature seen"),
    Column("gpu_throttle", "", "what kept the clock down in any look: power cap, thermal, …"),
    Column("gpu_others", "count", "other processes on the card: the worst round's"),
    Column("inference_device_ms", "ms", "inference by the device's own clock: median of the medians"),
    Column("latency_device_ms", "ms", "the same for the latency input"),
    Column("training_device_ms", "ms", "the same for training"),
    Column("inference_device_mb", "MB", "peak device memory to the end of inference, by the framework"),
    Column("device_peak_mb", "MB", "the same to the end of the last task"),
    Column("inference_energy_j", "J", "energy of the whole card per inference, idle power included"),
    Column("inference_power_w", "W", "mean power while inference repeated"),
    Column("peak_tflops", "TFLOP/s", "the card's peak in this lane, by its maker's word (docs/gpu.md)"),
)

SCALE = (
    Column("scale_of", "", "the model of which this one is a variant with more work"),
    Column("forward_flops", "FLOP", "operations of a forward pass, by its architecture (docs/gpu.md)"),
    Column("batch", "count", "inputs of a forward pass"),
    Column("sequence", "count", "tokens of each, where it reads nothing but tokens"),
)

GROUPS = {
    "The eleven that every CSV has": REQUIRED,
    "Identity and verdict": IDENTITY,
    "Each task": PER_TASK,
    "Generation": GENERATION,
    "Costs beside the run time": COSTS,
    "Correctness": CORRECTNESS,
    "Quality": QUALITY,
    "The machine and the failure": MACHINE,
    "An NVIDIA GPU": GPU,
    "The amount of work": SCALE,
}


def _expand(columns: tuple[Column, ...]) -> list[Column]:
    if columns is not PER_TASK:
        return list(columns)
    return [
        Column(column.name.format(t=task), column.unit, column.meaning)
        for task in TIMED
        for column in columns
    ]


ALL = tuple(column for columns in GROUPS.values() for column in _expand(columns))
NAMES = tuple(column.name for column in ALL)

#: Columns that hold a number (or nothing).
NUMERIC = frozenset(column.name for column in ALL if column.unit not in ("", "true/false")) | {
    "loss",
    "gradient_cosine",
    "loss_change",
    "load_max",
}
#: Columns that hold true, false or nothing.
BOOLEAN = frozenset(column.name for column in ALL if column.unit == "true/false")

#: What an analysis has of a row beside its columns: the files of its rounds, and the command that measures it again.
BEHIND = ("records", "repeat")

#: Of the numbers, the ones that may be negative.
SIGNED = frozenset({"loss", "loss_change", "gradient_cosine"}) | {
    "quality_perplexity_change",
    *(f"quality_{name}_float32_change" for name in ("perplexity", "top1", "kl")),
}


def documentation() -> str:
    """The tables of docs/platform-csv.md."""
    parts = []
    for title, columns in GROUPS.items():
        lines = [f"| `{name}` | {unit or '—'} | {meaning} |" for name, unit, meaning in columns]
        parts.append("\n".join([f"### {title}", "", "| column | unit | meaning |", "|---|---|---|", *lines]))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(documentation(), end="")
