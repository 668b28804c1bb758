"""The platform CSV's columns: one table for the writer, the reader and docs/platform-csv.md.

Run as a program, it prints the tables of docs/platform-csv.md.
"""

from __future__ import annotations

from typing import NamedTuple

TASKS = ("inference", "latency", "training")

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
    Column("inference_ms", "ms", "one full forward pass: median of the processes' medians"),
    Column("latency_ms", "ms", "the same for the latency input"),
    Column("training_ms", "ms", "forward, loss and every gradient; no optimiser step"),
    Column("loss", "", "loss of the workload's forward pass, from the framework's own outputs"),
)

IDENTITY = (
    Column("measured_by", "", "whose protocol: `arena` for files written here; readers see it as a label"),
    Column("date", "", "day of the first round, YYYY-MM-DD (UTC); YYYY-MM will do where published"),
    Column("commit", "", "the arena's git commit; ends in `-dirty` if files differed from it"),
    Column("platform_id", "", "the platform's name in the config"),
    Column("row", "", "the row's id in the config"),
    Column("baseline", "", "label of the row to whose medians the `…_ratio` columns are given"),
    Column("framework_family", "", "the framework's id in the config"),
    Column("lane", "", "numeric precision; only rows of one lane are ranked against each other"),
    Column("weights", "", "`seeded (seed N)` or `hub REPOSITORY@REVISION`"),
    Column("verdict", "", "the gate's verdict: `pass`, `close`, `different`; empty without outputs"),
    Column("verdict_reasons", "", "what the gate objects to, with figures and limits"),
    Column("reason_code", "", "why the cell failed or is unsupported (codes: docs/design.md)"),
    Column("reason_detail", "", "the same in a sentence"),
    Column("rounds", "count", "processes started for this cell"),
)

PER_TASK = (
    Column("{t}_samples", "count", "timed iterations of all rounds together"),
    Column("{t}_low_ms", "ms", "lower end of the median's 95 % bootstrap interval"),
    Column("{t}_high_ms", "ms", "upper end"),
    Column("{t}_p95_ms", "ms", "95th percentile of all samples"),
    Column("{t}_min_ms", "ms", "shortest sample"),
    Column("{t}_iqr_ms", "ms", "interquartile range of all samples"),
    Column("{t}_noisy", "true/false", "whether that range is over 10 % of the median"),
    Column("{t}_steady", "true/false", "whether every round's warm-up settled before its time was up"),
    Column("{t}_ratio", "ratio", "median over the baseline row's; above 1: slower"),
    Column("{t}_ratio_low", "ratio", "lower end of its 95 % interval"),
    Column("{t}_ratio_high", "ratio", "upper end"),
    Column("{t}_to_best", "ratio", "median over that of the fastest passing row of this model and lane"),
    Column("{t}_to_best_low", "ratio", "lower end of its 95 % interval; at most 1: tied with the fastest"),
    Column("{t}_to_best_high", "ratio", "upper end"),
    Column("{t}_status", "", "`ok`, `failed`, `unsupported`; empty if not asked for, or if the cell failed"),
    Column("{t}_reason", "", "code and sentence where it is not `ok`"),
)

COSTS = (
    Column("compile_warm_s", "s", "as `compile_s`, caches of round 1: median of the later rounds"),
    Column("latency_compile_s", "s", "first result of the latency task, cold caches"),
    Column("training_compile_s", "s", "first result of the training task, cold caches"),
    Column("import_s", "s", "importing the framework: median of the rounds"),
    Column("load_s", "s", "weights from disk to host memory: median of the rounds"),
    Column("inference_peak_mb", "MB", "peak resident memory above that before loading: largest round's"),
    Column("training_peak_mb", "MB", "the same while training"),
    Column("footprint_mb", "MB", "installed files that the framework needs to run"),
)

CORRECTNESS = (
    Column("relative_l2", "ratio", "inference output against the float64 reference: norm of the error"),
    Column("max_error", "ratio", "largest error over largest reference magnitude"),
    Column("top1_agreement", "share", "positions with the reference's arg-max, among the decided ones"),
    Column("loss_error", "ratio", "relative error of the loss"),
    Column("latency_relative_l2", "ratio", "`relative_l2` of the latency output"),
    Column("latency_max_error", "ratio", "`max_error` of the latency output"),
    Column("latency_top1_agreement", "share", "`top1_agreement` of the latency output"),
    Column("training_loss_error", "ratio", "relative error of the training step's loss"),
    Column("gradient_norm_error", "ratio", "relative error of a gradient's norm: the worst weight's"),
    Column("gradient_cosine", "", "cosine between gradient and reference: the worst weight's"),
    Column("worst_tensor", "", "the weight with the worst gradient"),
    Column("noise_relative_l2", "ratio", "`relative_l2` of plain float32 PyTorch: the noise floor"),
    Column("noise_max_error", "ratio", "`max_error` of plain float32 PyTorch"),
)

MACHINE = (
    Column("threads", "count", "threads given to the framework"),
    Column("threads_reported", "count", "threads that the framework says it uses"),
    Column("device", "", "what the framework says it ran on"),
    Column("cpu", "", "the processor's name; several if the rounds ran on several"),
    Column("cores", "count", "physical cores that the process might use"),
    Column("memory_gb", "GB", "the machine's memory"),
    Column("kernel", "", "operating system kernel and release"),
    Column("os", "", "distribution"),
    Column("python", "", "Python's version"),
    Column("packages", "", "versions of the framework and of all it requires, as a JSON object"),
    Column("steal_max", "share", "CPU time that the hypervisor gave to others: the worst round's"),
    Column("load_max", "", "1-minute load average before a round: the largest"),
    Column("retry", "", "command that tries a failed cell again"),
    Column("log_tail", "", "last lines of a failed round's log"),
)

GROUPS = {
    "The eleven that every CSV has": REQUIRED,
    "Identity and verdict": IDENTITY,
    "Each task": PER_TASK,
    "Costs beside the run time": COSTS,
    "Correctness": CORRECTNESS,
    "The machine and the failure": MACHINE,
}


def _expand(columns: tuple[Column, ...]) -> list[Column]:
    if columns is not PER_TASK:
        return list(columns)
    return [
        Column(column.name.format(t=task), column.unit, column.meaning)
        for task in TASKS
        for column in columns
    ]


ALL = tuple(column for columns in GROUPS.values() for column in _expand(columns))
NAMES = tuple(column.name for column in ALL)

#: Columns that hold a number (or nothing).
NUMERIC = frozenset(column.name for column in ALL if column.unit not in ("", "true/false")) | {
    "loss",
    "gradient_cosine",
    "load_max",
}
#: Columns that hold true, false or nothing.
BOOLEAN = frozenset(column.name for column in ALL if column.unit == "true/false")

#: Of the numbers, the ones that may be negative.
SIGNED = frozenset({"loss", "gradient_cosine"})


def documentation() -> str:
    """The tables of docs/platform-csv.md."""
    parts = []
    for title, columns in GROUPS.items():
        lines = [f"| `{name}` | {unit or '—'} | {meaning} |" for name, unit, meaning in columns]
        parts.append("\n".join([f"### {title}", "", "| column | unit | meaning |", "|---|---|---|", *lines]))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(documentation(), end="")
