"""Where a model's weights come from, in words: the same in the plan, in the CSV and under every table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from arena.weights import generation

SUM = re.compile(r"[0-9a-f]{64}", re.ASCII)
HUBLESS = ", for want of a hub"  # why, not which
KINDS = ("seeded", "hub", "path", "failed")


def words(source: Mapping[str, Any]) -> str:
    """A source.json (or the record of a download) as one phrase; revisions and sums are what is compared.

    Raises KeyError naming the key that it lacks, ValueError for a ``kind`` that nothing writes. Seeded weights of
    the first generator are named by their seed alone, as they were when there was no other.
    """
    kind = source["kind"]
    if kind == "seeded":
        return _seeded(source["seed"], source.get("generator"), "asked" in source)
    if kind == "hub":
        commit = f"hub {source['repository']}@{source['revision']}"
        pinned = all(file["pinned"] for file in source["files"].values())
        return commit if pinned else f"{commit} (not pinned)"
    if kind == "path":
        return f"path {source['name']} (sha256 {source['sha256'][:12]})"
    if kind == "failed":
        return f"none ({source['reason']['code']})"
    raise ValueError(f"kind {kind!r}: expected {', '.join(map(repr, KINDS))}")


def _seeded(seed: int, generator: str | None, hubless: bool = False) -> str:
    number = generation.number(generator) if generator else 1
    named = f", generation {number}" if number > 1 else ""
    return f"seeded (seed {seed}{named}{HUBLESS if hubless else ''})"


def which(words: str) -> str:
    """What of the phrase tells weights from others, where their sums are not known."""
    return words.replace(HUBLESS, "")


class Weights(NamedTuple):
    """A model's weights: where they came from, in words, and which file that gave."""

    words: str
    sha256: str | None


def of(source: Mapping[str, Any]) -> Weights:
    """The weights of a source.json; raises as ``words`` does."""
    sha256 = source.get("sha256")
    if sha256 is not None and not (isinstance(sha256, str) and SUM.fullmatch(sha256)):
        raise ValueError(f"sha256: {str(sha256)[:70]!r}; expected 64 small hexadecimal digits")
    return Weights(words(source), sha256)


def planned(model: Mapping[str, Any], recorded: Mapping[str, Any] | None) -> str:
    """Where the weights of ``model`` come from: as ``recorded`` by the run that made them, else as asked.

    ``model`` is its mapping in the configuration; ``recorded`` the content of its source.json, or None.
    A record of what the configuration no longer asks for counts as none. Weights of an earlier generator are made
    anew.
    """
    if recorded is not None and _answers(recorded, model):
        if recorded["kind"] == "failed":
            return f"{words(recorded)}: {recorded['reason']['detail']}"
        if recorded["kind"] == "seeded":
            recorded = {**recorded, "generator": generation.GENERATOR}
        if recorded.get("asked") != "auto":
            return words(recorded)
        return f"{words(recorded)}, as auto decided on {recorded['decided'][:10]}"
    seeded, source = _seeded(model["seed"], generation.GENERATOR), model["source"]
    if model["weights"] == "seeded":
        return seeded
    if model["weights"] == "path":
        return f"path {source['path']}"
    loose = any(file["sha256"] is None for file in source["files"])
    hub = f"hub {source['repository']}@{source['revision']}{' (not pinned)' if loose else ''}"
    if model["weights"] == "hub":
        return hub
    return f"auto: {hub} if a hub answers, else {seeded}; decided once, by the first run"


def _answers(recorded: Mapping[str, Any], model: Mapping[str, Any]) -> bool:
    """Whether ``recorded`` is an answer to what ``model`` asks for."""
    if recorded.get("asked", recorded["kind"]) != model["weights"]:
        return False
    if recorded["kind"] == "hub":
        return all(recorded[key] == model["source"][key] for key in ("repository", "revision"))
    return bool(recorded["kind"] in ("path", "failed") or recorded["seed"] == model["seed"])
