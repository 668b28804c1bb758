"""The rounds of a submission: each held against itself, the models, the protocol that it names, and this project."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from arena.contract import codec
from arena.contract.round import Round
from reporting.claims import FIRST_DAY
from reporting.submissions import lines

SHORTEST_NS = 1000  # of an iteration: calling a function of Python's takes a tenth of that
BETWEEN_S = 0.01  # between two iterations, at most: looking at the clock and at the memory
SUM = re.compile(r"[0-9a-f]{64}", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{6,40}", re.ASCII)


def decoded(record: dict[str, Any]) -> Round:
    """The round of a record, which loses its ``sums``. Raises ValueError, as all here do, saying what was expected."""
    outputs = record.pop("sums", {})
    if not isinstance(outputs, dict) or not outputs.keys() <= {"outputs", "gradients"}:
        raise ValueError(f"sums: {lines.short(outputs)}; expected those of outputs and gradients")
    for name, each in outputs.items():
        if not isinstance(each, str) or not SUM.fullmatch(each):
            raise ValueError(
                f"sums.{name}: {lines.short(each)}; expected a SHA-256 of 64 small hexadecimal digits"
            )
    found = codec.decode(Round, record)
    _started(found.started)
    if found.commit is None or not COMMIT.fullmatch(found.commit):
        raise ValueError(
            f"commit: {lines.short(found.commit)}; expected the commit of a clean checkout, so that it is known what "
            "measured"
        )
    return found


def _started(text: str) -> None:
    latest = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    try:
        started = datetime.datetime.fromisoformat(text)
        wrong = started.tzinfo is None or not FIRST_DAY <= started.date() <= latest.date()
    except (ValueError, OverflowError):
        wrong = True
    if wrong:
        raise ValueError(
            f"started: {lines.short(text)}; expected a time with its zone, from {FIRST_DAY} to today"
        )


def identity(
    found: Round,
    platform: str,
    models: Mapping[str, Any],
    gate: Mapping[str, Any],
    catalogue: Mapping[str, Any] | None,
) -> None:
    """Refuse a round of another platform, model, row or lane than the file, the models and this project know."""
    cell = found.cell
    if cell.platform != platform:
        raise ValueError(
            f"cell.platform: {lines.short(cell.platform)}; expected {platform!r}, as in the header"
        )
    if cell.model not in models:
        raise ValueError(
            f"cell.model: {lines.short(cell.model)}; expected one of {', '.join(models) or 'no models'}"
        )
    if cell.lane not in gate:
        raise ValueError(
            f"cell.lane: {lines.short(cell.lane)}; expected one of the gate's: {', '.join(gate)}"
        )
    for key in ("definition", "loss"):
        if getattr(cell, key) != models[cell.model][key]:
            raise ValueError(
                f"cell.{key}: {lines.short(getattr(cell, key))}; expected {models[cell.model][key]!r}, "
                f"as of {cell.model}"
            )
    named(cell.row, cell.framework, cell.lane, catalogue or {}, "cell.")


def named(row: str, framework: str, lane: str, catalogue: Mapping[str, Any], where: str = "") -> None:
    """Refuse a row's name that is none, and one of this project's with another framework or lane."""
    if not lines.NAME.fullmatch(row) or not lines.NAME.fullmatch(framework):
        raise ValueError(
            f"{where}row: {lines.short(row)} of {lines.short(framework)}; expected letters, digits, dashes"
        )
    known = catalogue.get("rows", {}).get(row)
    for key, value in {"framework": framework, "lane": lane}.items() if known else ():
        if value != known[key]:
            raise ValueError(
                f"{where}{key}: {lines.short(value)}; expected {known[key]!r}, as the row {row} of "
                "this project has: another row needs another name"
            )


def plausible(value: Any, where: str = "") -> None:
    """Refuse negative figures, but where a figure has a sign."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name not in lines.MAY_BE_NEGATIVE:
                plausible(each, f"{where}.{name}" if where else name)
    elif isinstance(value, list):
        if value and all(type(each) is int for each in value):
            value = [min(value)]
        for each in value:
            plausible(each, where)
    elif isinstance(value, (int, float)) and value < 0:
        raise ValueError(f"{where}: {value}; expected nothing below 0")


def timed(found: Round) -> None:
    """Refuse times that no process can have, or that the cell's own protocol would not have ended with."""
    protocol, spent = found.cell.protocol.sampling, 0.0
    for task, timed in found.tasks.items():
        if task not in found.cell.protocol.tasks:
            raise ValueError(
                f"tasks.{task}: measured, yet the protocol asks for {', '.join(found.cell.protocol.tasks)}"
            )
        if timed.status != "ok":
            continue
        samples, warmup = timed.samples_ns or [], timed.warmup_ns or []
        for name, values in (("samples_ns", samples), ("warmup_ns", warmup)):
            if not values:
                raise ValueError(f"tasks.{task}.{name}: empty, though the task is ok")
            if min(values) < SHORTEST_NS:
                index = values.index(min(values))
                raise ValueError(
                    f"tasks.{task}.{name}[{index}]: {values[index]} ns; expected {SHORTEST_NS} or more: calling a "
                    "function takes longer"
                )
        seconds = sum(samples) / 1e9
        most = seconds + BETWEEN_S * len(samples)
        least = protocol.min_seconds if len(samples) >= protocol.min_iterations else protocol.max_seconds
        if most < least:
            raise ValueError(
                f"tasks.{task}.samples_ns: {len(samples)} samples of {seconds:.3g} s in all; the protocol goes on to "
                f"{protocol.min_iterations} of {protocol.min_seconds:g} s, or to {protocol.max_seconds:g} s"
            )
        if timed.device_ns and len(timed.device_ns) != len(samples):
            raise ValueError(f"tasks.{task}.device_ns: {len(timed.device_ns)} for {len(samples)} samples_ns")
        if task == "decode":
            _tokens(timed.first_token_ns, samples, timed.prompt_tokens, timed.new_tokens)
        spent += seconds + sum(warmup) / 1e9 + (timed.compile_s or 0.0)
    if spent > found.duration_s + 1.0:
        raise ValueError(
            f"duration_s: {found.duration_s:.3g}, yet its tasks took {spent:.3g} s: a process ends after its tasks"
        )


def _tokens(first: list[int] | None, samples: list[int], prompt: int | None, new: int | None) -> None:
    if not first or not prompt or not new:
        raise ValueError(
            "tasks.decode: first_token_ns, prompt_tokens and new_tokens are needed where it is ok"
        )
    if len(first) != len(samples) or any(a >= b for a, b in zip(first, samples, strict=True)):
        raise ValueError("tasks.decode.first_token_ns: expected one for each of samples_ns, each the shorter")


def own_samples(found: Round, known: dict[bytes, str]) -> None:
    """Refuse a series that another round has, too: two processes never agree to the nanosecond."""
    for task, timed in found.tasks.items():
        if len(timed.samples_ns or []) < 5:
            continue
        here = f"{found.cell.model} / {found.cell.row}, round {found.round}, {task}"
        key = hashlib.sha256(json.dumps(timed.samples_ns).encode()).digest()
        if (first := known.setdefault(key, here)) != here:
            raise ValueError(f"tasks.{task}.samples_ns: the same as of {first}; each process has its own")


def whole(numbered: list[tuple[int, Round]]) -> list[Round]:
    """The rounds of a cell in order, if they are 1 to n of one definition."""
    ordered = sorted((record for _, record in numbered), key=lambda record: record.round)
    numbers = [record.round for record in ordered]
    name = f"{ordered[0].cell.model} / {ordered[0].cell.row}"
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(f"{name}: rounds {numbers[:20]}; expected 1 to {len(numbers)}, each once")
    for record in ordered[1:]:
        for each in dataclasses.fields(record.cell):
            # A cluster's node may leave fewer threads to one round.
            if each.name != "threads" and getattr(record.cell, each.name) != getattr(
                ordered[0].cell, each.name
            ):
                raise ValueError(
                    f"{name}: cell.{each.name} of round {record.round} is not that of round 1; expected one "
                    "definition for all rounds"
                )
    return ordered
