"""A Snakemake logger plugin that writes what a dry run would do as JSON lines, for plan.py.

Snakemake finds it because plan.py puts this folder's parent on PYTHONPATH. Logger plugins are
Snakemake's interface for programs that follow a run: the events carry fields, so nothing here takes
apart text that was meant for people, but for the sentence that gives a job's reasons.

Each line holds one of
    {"job": {rule, wildcards, reason, works}}  a job that would run; it works unless it only names inputs
    {"past": {rule, wildcards, env, seconds}}  a job of the graph: its env file, its last duration or null
    {"params": {rule, wildcards, old, new, names}}
                                               the values of params that a job had and those that it has, where they
                                               differ, as Python writes them; `names` of the new ones, {value: name}
    {"environment": path}                      an env that would be installed first
    {"weights": text}                          where a model's weights come from, as the rules put it
    {"extra": count}                           up to how many rounds a cell may get beyond the planned ones
    {"failed": text}                           what the last run left failed, and nobody accepts
    {"rows": {run: [row, …], baseline}}        the rows of the run
    {"need": {rule, wildcards, env, rows}}     a job that would run, and for the cells of which rows; none: for all
    {"total": count}                           the number of jobs, to check the above against
"""

import json
import sys
from dataclasses import dataclass, field
from logging import WARNING, LogRecord
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    out: str = field(default="", metadata={"help": "File to write", "required": True})


class LogHandler(LogHandlerBase):
    writes_to_stream = True  # takes the place of the output on the terminal
    writes_to_file = False
    has_filter = True  # no filter: a quiet run has the same events
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self.lines: list[str] = []
        self.selected: dict[int, Any] = {}
        self.dag: Any = None

    def emit(self, record: LogRecord) -> None:
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            job = {"rule": record.rule_name, "wildcards": dict(record.wildcards), "reason": record.reason}
            self.write({"job": job | {"works": bool(record.output or record.shellcmd)}})
        elif event == LogEvent.DEBUG_DAG and getattr(record, "status", None) == "selected":
            self.selected.setdefault(id(record.job), record.job)
            self.dag = record.job.dag
            self.write({"past": past(record.job)})
        elif event == LogEvent.RUN_INFO:
            self.write({"total": record.stats["total"]})
        elif event is None and "Conda environment" in record.getMessage():
            path = record.getMessage().removeprefix("Conda environment ").removesuffix(" will be created.")
            self.write({"environment": path})
        elif event is None and record.getMessage().startswith("Weights of "):
            self.write({"weights": record.getMessage()})
        elif hasattr(record, "extra_rounds"):
            self.write({"extra": {"rounds": record.extra_rounds, "seconds": record.extra_seconds}})
        elif hasattr(record, "failed_before"):
            self.write({"failed": record.failed_before})
        elif hasattr(record, "arena_rows"):
            self.write({"rows": {"run": record.arena_rows, "baseline": record.arena_baseline}})
        elif record.levelno >= WARNING:
            print(self.format(record), file=sys.stderr)

    def write(self, line: dict[str, Any]) -> None:
        self.lines.append(json.dumps(line) + "\n")

    def close(self) -> None:
        for job in self.selected.values():
            if changed := params(job):
                self.write({"params": changed})
        dag, self.dag = self.dag, None  # Snakemake closes its loggers twice
        if dag is not None:
            known: dict[Any, frozenset[str]] = {}
            for job in dag.needrun_jobs(exclude_finished=False):  # a dry run takes all for finished
                need = {"env": env(job), "rows": sorted(rows(job, dag, known))}
                self.write({"need": {"rule": job.rule.name, "wildcards": dict(job.wildcards_dict)} | need})
        Path(self.settings.out).write_text("".join(self.lines), encoding="utf-8")
        super().close()


def past(job: Any) -> dict[str, Any]:
    """A job's env file and, where Snakemake's metadata has them, the seconds that it took last time."""
    records = [job.dag.workflow.persistence.metadata(path) for path in job.output]
    spans = [r.endtime - r.starttime for r in records if r and r.starttime and r.endtime]
    return {
        "rule": job.rule.name,
        "wildcards": dict(job.wildcards_dict),
        "env": env(job),
        # A record ends when its file was last written; the job's last file ends the job.
        "seconds": max(spans) if spans and max(spans) >= 0 else None,
    }


def params(job: Any) -> dict[str, Any] | None:
    """Which values of a job's params are others than those with which its output was made; None if none are."""
    reason = job.dag.reason(job).params_changed
    if not reason:
        return None
    return {
        "rule": job.rule.name,
        "wildcards": dict(job.wildcards_dict),
        "old": sorted(reason.only_old),
        "new": sorted(reason.only_new),
        "names": {repr(value): name for name, value in job.params.items()},
    }


def env(job: Any) -> str | None:
    """The file that a job's environment is made from."""
    spec = job.conda_env_spec
    return spec.file.get_path_or_uri(secret_free=True) if spec and spec.is_file else None


def rows(job: Any, dag: Any, known: dict[Any, frozenset[str]]) -> frozenset[str]:
    """The rows whose cells need ``job``: its own, else those of the jobs that need it. ``known`` is filled."""
    if job not in known:
        own = job.wildcards_dict.get("row")
        needed = (rows(other, dag, known) for other in dag.depending[job])
        known[job] = frozenset([own]) if own else frozenset().union(*needed)
    return known[job]
