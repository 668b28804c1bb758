"""Why a job runs, in a few words: from Snakemake's own sentence and from the settings that changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from planning.words import listed, shortened

ONLY_CODE = re.compile(r" before: ((?:'code [^']*',?)+) now: ((?:'code [^']*',?)+) *$")
SETTINGS = "settings changed"


def why(job: Mapping[str, Any], env: str | None) -> str:
    """``reason_in_words`` of a job; what of its settings changed, where that is the cause."""
    words = reason_in_words(job["reason"], env)
    return job.get("settings") or words if words == SETTINGS else words


def reason_in_words(reason: str, env: str | None) -> str:
    """Why a job runs, in a few words, from Snakemake's sentence; the first cause, if there are more.

    What Snakemake says: snakemake.jobs.Reason.__str__ (9.27.1).
    """
    causes = {
        "Forced execution": "forced",
        "Incomplete output files": "interrupted last time",
        "Missing output files": "new",
        "Software environment definition has changed": f"environment {shortened(env or '')} changed",
        "Updated input files: ": "changed: ",
        "Code has changed": "the rule's command changed",
        "Params have changed": SETTINGS,
        "Set of input files has changed": "other input files",
        "Input files updated by another job": "follows from the steps above",
        "Rules with": "always runs",
    }
    parts = reason.split("; ")
    for start, words in causes.items():
        for part in parts:
            if part.startswith(start) and start == "Params have changed" and (rooms := changed_code(part)):
                return "changed: " + listed(rooms)
            if part.startswith(start):
                return words + listed(part.removeprefix(start).split(", ")) if words.endswith(": ") else words
    return reason


def changed_code(part: str) -> list[str]:
    """The folders of modules that differ, where a job's ``code`` is all of its params that changed; else []."""
    sides = ONLY_CODE.search(part)
    if not sides:
        return []
    old, new = (set(re.findall(r"[^ ',]+:[0-9a-f]+", side)) for side in sides.groups())
    return sorted({room.rpartition(":")[0] for room in old ^ new})
