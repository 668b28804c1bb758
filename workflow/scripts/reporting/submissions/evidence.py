"""A submission's records held against each other, against the protocol that they name, and against this project."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arena.contract import codec
from arena.contract.round import Round
from arena.contract.verdict import Part, Verdict
from arena.judging import distances
from arena.judging import verdict as judging
from arena.weights import source
from reporting.claims import FIRST_DAY
from reporting.rounds import RecordedCell
from reporting.submissions import lines
from reporting.submissions.lines import SubmissionError

SHORTEST_NS = 1000  # of an iteration: calling a function of Python's takes a tenth of that
BETWEEN_S = 0.01  # between two iterations, at most: looking at the clock and at the memory
LONGEST_NAME = 200
SUM = re.compile(r"[0-9a-f]{64}", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{6,40}", re.ASCII)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
FINE = 1e-6  # relative difference of two figures that should be one: both went through a float
MAY_BE_NEGATIVE = frozenset(
    {"loss", "training_loss", "loss_change", "rise_bytes", "options", "seed", "gradient_cosine"}
)
BEST = judging.VERDICTS
GATED = ("inference", "latency", "decode", "training")

HEADER: dict[str, type] = {
    "format": str, "schema": int, "sha256": str, "platform": str, "label": str, "measured_by": str,
    "baseline": str, "gate": dict,
}  # fmt: skip
MODEL: dict[str, type] = {
    "name": str, "definition": str, "loss": str, "architecture": dict, "workload": dict, "source": dict,
}  # fmt: skip


@dataclass(frozen=True)
class Submission:
    """One platform's records, found whole and in agreement with each other."""

    path: Path
    platform: str
    label: str
    measured_by: str
    baseline: str
    gate: dict[str, dict[str, float]]  # by lane: the tolerances that the verdicts were reached with
    models: dict[str, dict[str, Any]]  # by name: definition, loss, architecture, workload, source
    cells: list[RecordedCell]


def read(path: Path, catalogue: Mapping[str, Any] | None = None) -> Submission:
    """The submission in a file.

    ``catalogue`` is this project's: ``{"models": {name: {definition, loss, architecture, workload}}, "rows": {row:
    {framework, lane}}}``; what it names must be what the records are of. Without it nothing is held against it.
    Raises SubmissionError naming the file, the line and the reason.
    """
    header, records = lines.read(path)
    try:
        _typed(header, HEADER)
        _names(header["label"], header["measured_by"])
        if not NAME.fullmatch(header["platform"]):
            raise ValueError(f"platform {header['platform'][:60]!r}: expected letters, digits, dots, dashes")
        gate = _gate(header["gate"])
    except ValueError as error:
        raise SubmissionError(f"{path}:1: {error}") from error
    models: dict[str, dict[str, Any]] = {}
    for number, record in records["model"]:
        with At(path, number):
            _model(record, models, catalogue)
    rounds: dict[tuple[str, str], list[tuple[int, Round]]] = {}
    samples: dict[bytes, str] = {}
    for number, record in records["round"]:
        with At(path, number):
            found = _round(record)
            _identity(found, header["platform"], models, gate, catalogue)
            _plausible(record)
            _timed(found)
            _own_samples(found, samples)
        rounds.setdefault((found.cell.model, found.cell.row), []).append((number, found))
    verdicts: dict[tuple[str, str], tuple[int, Verdict]] = {}
    for number, record in records["verdict"]:
        with At(path, number):
            judged = codec.decode(Verdict, record)
            key = judged.model, judged.row
            if key in verdicts:
                raise ValueError(
                    f"a second verdict on {' / '.join(key)}; the first is in line {verdicts[key][0]}"
                )
            if key not in rounds:
                raise ValueError(f"a verdict on {' / '.join(key)}, of which there is no round")
            verdicts[key] = number, judged
    cells = []
    for key in rounds:
        number, first = rounds[key][0]
        if key not in verdicts:
            raise SubmissionError(
                f"{path}:{number}: {' / '.join(key)} has no verdict; expected one for each cell"
            )
        with At(path, number):
            ordered = _whole(rounds[key])
        with At(path, verdicts[key][0]):
            _agree(verdicts[key][1], ordered, gate[first.cell.lane])
        places = [Path(f"{path}:{line}") for line, _ in sorted(rounds[key], key=lambda pair: pair[1].round)]
        cells.append(RecordedCell(*key, ordered, places, verdicts[key][1]))
    if not cells:
        raise SubmissionError(f"{path}: no rounds; expected the records of a platform")
    if header["baseline"] not in {cell.row for cell in cells}:
        raise SubmissionError(f"{path}:1: baseline {header['baseline'][:60]!r} is no row of these records")
    return Submission(
        path,
        header["platform"],
        header["label"],
        header["measured_by"],
        header["baseline"],
        gate,
        models,
        cells,
    )


class At:
    """Whatever is refused inside is refused with file and line."""

    def __init__(self, path: Path, number: int):
        self.place = f"{path}:{number}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ValueError):
            raise SubmissionError(f"{self.place}: {error}") from error


def _typed(found: Mapping[str, Any], expected: Mapping[str, type]) -> None:
    for name, kind in expected.items():
        if name not in found:
            raise ValueError(f"{name}: missing")
        if type(found[name]) is not kind:
            raise ValueError(f"{name}: expected {kind.__name__}, got {type(found[name]).__name__}")
    if unknown := [name for name in found if name not in expected]:
        raise ValueError(f"{unknown[0][:60]}: unknown; expected only {', '.join(expected)}")


def _names(*texts: str) -> None:
    for text in texts:
        if len(text) > LONGEST_NAME:
            raise ValueError(
                f"name {text[:30]!r}… of {len(text)} characters; expected {LONGEST_NAME} at most"
            )


def _gate(gate: dict[str, Any]) -> dict[str, dict[str, float]]:
    for lane, tolerances in gate.items():
        if not isinstance(tolerances, dict) or "close_factor" not in tolerances:
            raise ValueError(f"gate.{lane}: expected tolerances with close_factor")
        if not all(type(value) in (int, float) for value in tolerances.values()):
            raise ValueError(f"gate.{lane}: expected numbers")
        rest = {name: value for name, value in tolerances.items() if name != "close_factor"}
        judging.limits(rest, tolerances["close_factor"])
    return gate


def _model(record: Mapping[str, Any], models: dict[str, Any], catalogue: Mapping[str, Any] | None) -> None:
    _typed(record, MODEL)
    name = record["name"]
    if not NAME.fullmatch(name) or name in models:
        raise ValueError(
            f"model {name[:60]!r}: expected a name of letters, digits, dots and dashes, each once"
        )
    try:
        source.words(record["source"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"source of {name}'s weights: key {error} is missing") from error
    known = (catalogue or {}).get("models", {}).get(name)
    for key in ("definition", "loss", "architecture", "workload") if known else ():
        if record[key] != known[key]:
            raise ValueError(
                f"{name}: {key} is {_short(_difference(record[key], known[key]))}; expected this project's: "
                "another model needs another name"
            )
    models[name] = record


def _difference(found: Any, expected: Any) -> Any:
    """Of two objects, what the first has for the first key in which they differ."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for key in [*expected, *found]:
            if found.get(key) != expected.get(key):
                return {key: _difference(found.get(key), expected.get(key))}
    return found


def _round(record: dict[str, Any]) -> Round:
    outputs = record.pop("sums", {})
    if not isinstance(outputs, dict) or not outputs.keys() <= {"outputs", "gradients"}:
        raise ValueError(f"sums: {_short(outputs)}; expected those of outputs and gradients")
    for name, each in outputs.items():
        if not isinstance(each, str) or not SUM.fullmatch(each):
            raise ValueError(
                f"sums.{name}: {_short(each)}; expected a SHA-256 of 64 small hexadecimal digits"
            )
    found = codec.decode(Round, record)
    _started(found.started)
    if found.commit is None or not COMMIT.fullmatch(found.commit):
        raise ValueError(
            f"commit: {_short(found.commit)}; expected the commit of a clean checkout, so that it is known what "
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
        raise ValueError(f"started: {_short(text)}; expected a time with its zone, from {FIRST_DAY} to today")


def _identity(
    found: Round,
    platform: str,
    models: Mapping[str, Any],
    gate: Mapping[str, Any],
    catalogue: Mapping[str, Any] | None,
) -> None:
    cell = found.cell
    if cell.platform != platform:
        raise ValueError(f"cell.platform: {_short(cell.platform)}; expected {platform!r}, as in the header")
    if cell.model not in models:
        raise ValueError(
            f"cell.model: {_short(cell.model)}; expected one of {', '.join(models) or 'no models'}"
        )
    if not NAME.fullmatch(cell.row) or not NAME.fullmatch(cell.framework):
        raise ValueError(
            f"cell.row: {_short(cell.row)} of {_short(cell.framework)}; expected letters, digits, dashes"
        )
    if cell.lane not in gate:
        raise ValueError(f"cell.lane: {_short(cell.lane)}; expected one of the gate's: {', '.join(gate)}")
    for key in ("definition", "loss"):
        if getattr(cell, key) != models[cell.model][key]:
            raise ValueError(
                f"cell.{key}: {_short(getattr(cell, key))}; expected {models[cell.model][key]!r}, as of {cell.model}"
            )
    known = (catalogue or {}).get("rows", {}).get(cell.row)
    for key in ("framework", "lane") if known else ():
        if getattr(cell, key) != known[key]:
            raise ValueError(
                f"cell.{key}: {_short(getattr(cell, key))}; expected {known[key]!r}, as the row {cell.row} of this "
                "project has: another row needs another name"
            )


def _plausible(value: Any, where: str = "") -> None:
    """Refuse negative figures, but where a figure has a sign."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name not in MAY_BE_NEGATIVE:
                _plausible(each, f"{where}.{name}" if where else name)
    elif isinstance(value, list):
        if value and all(type(each) is int for each in value):
            value = [min(value)]
        for each in value:
            _plausible(each, where)
    elif isinstance(value, (int, float)) and value < 0:
        raise ValueError(f"{where}: {value}; expected nothing below 0")


def _timed(found: Round) -> None:
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


def _own_samples(found: Round, known: dict[bytes, str]) -> None:
    """Refuse a series that another round has, too: two processes never agree to the nanosecond."""
    for task, timed in found.tasks.items():
        if len(timed.samples_ns or []) < 5:
            continue
        here = f"{found.cell.model} / {found.cell.row}, round {found.round}, {task}"
        key = hashlib.sha256(json.dumps(timed.samples_ns).encode()).digest()
        if (first := known.setdefault(key, here)) != here:
            raise ValueError(f"tasks.{task}.samples_ns: the same as of {first}; each process has its own")


def _whole(numbered: list[tuple[int, Round]]) -> list[Round]:
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


def _agree(judged: Verdict, rounds: list[Round], gate: Mapping[str, float]) -> None:
    """Refuse a verdict that its own figures, or the rounds that it is of, contradict."""
    cell = rounds[0].cell
    name = f"{cell.model} / {cell.row}"
    if (judged.platform, judged.lane) != (cell.platform, cell.lane):
        raise ValueError(
            f"verdict on {name}: platform {_short(judged.platform)}, lane {_short(judged.lane)}; the rounds have "
            f"{cell.platform!r}, {cell.lane!r}"
        )
    ended = all(record.status == "ok" for record in rounds)
    if judged.verdict is not None and not ended:
        raise ValueError(f"{name}: verdict {judged.verdict}, yet a round did not end well")
    if judged.verdict is None and ended:
        raise ValueError(f"{name}: every round is ok, yet the verdict is null")
    for part in GATED:
        figures = getattr(judged.parts, part)
        if figures is None:
            continue
        _bounded(f"parts.{part}", figures, len(rounds))
        measured = (
            rounds[0] if part == "training" else next((each for each in rounds if each.ok(part)), rounds[0])
        )
        if judged.verdict is not None and measured.ok(part) and not _known(figures):
            raise ValueError(f"{name}: {part} was measured, yet the verdict has no figures of it")
    if judged.verdict is not None:
        again, parts = judge(judged, gate)
        if BEST.index(judged.verdict) < BEST.index(again):
            worse = [f"{part}: {why}" for part, why in parts]
            raise ValueError(
                f"{name}: verdict {judged.verdict}, yet its figures make it {again} by the submission's own "
                f"tolerances ({'; '.join(worse)[:300]})"
            )
        _losses(name, judged, rounds)


def judge(judged: Verdict, gate: Mapping[str, float]) -> tuple[str, list[tuple[str, str]]]:
    """(verdict, [(part, reason)]) of the figures of a verdict under the tolerances of its lane.

    What could not be computed is null there; where the gate needs it, the part is different.
    """
    tolerances = {name: value for name, value in gate.items() if name != "close_factor"}
    held = {}
    for part in GATED:
        figures = getattr(judged.parts, part)
        if (
            figures is not None
            and _known(figures)
            and (judged.lane == "float32" or part not in judging.STRICT_ONLY)
        ):
            held[part] = {name: value for name, value in vars(figures).items() if value is not None}
    if "inference" not in held:
        return "different", [("inference", "no figures")]
    result = judging.judge(held, tolerances, gate["close_factor"])
    pairs = [tuple(reason.split(": ", 1)) for reason in result["reasons"]]
    return result["verdict"], [(part, why) for part, why in pairs]


def _known(figures: Part) -> bool:
    """Whether a part has figures: its task was measured, and compared with the reference."""
    return any(value is not None for name, value in vars(figures).items() if name not in ("verdict", "note"))


def _bounded(where: str, figures: Part, rounds: int) -> None:
    values = vars(figures)
    for name, value in values.items():
        if name in ("top1_agreement",) and value is not None and not 0 <= value <= 1:
            raise ValueError(f"{where}.{name}: {value}; expected a share from 0 to 1")
        if name == "gradient_cosine" and value is not None and not -1 - FINE <= value <= 1 + FINE:
            raise ValueError(f"{where}.{name}: {value}; expected a cosine from -1 to 1")
        if isinstance(value, float) and value < 0 and name not in MAY_BE_NEGATIVE:
            raise ValueError(f"{where}.{name}: {value}; expected nothing below 0")
    for name, number in (figures.rounds or {}).items():
        if not 1 <= number <= rounds:
            raise ValueError(f"{where}.rounds.{_short(name)}: {number}; expected one of the {rounds} rounds")
    for few, many in (("top1_decided", "top1_positions"), ("matching_tokens", "decode_tokens")):
        if values[few] is not None and values[many] is not None and values[few] > values[many]:
            raise ValueError(f"{where}.{few}: {values[few]}, of {values[many]} {many}")


def _losses(name: str, judged: Verdict, rounds: list[Round]) -> None:
    """Refuse losses of rounds that are further from each other, or from the reference's, than the figures say."""
    part = judged.parts.inference
    if part.loss is None or part.loss_change is None:
        return
    if rounds[0].loss is not None and part.printed_loss_error is not None:
        far = distances.relative_error(rounds[0].loss, part.loss)
        if far > part.printed_loss_error + FINE:
            raise ValueError(
                f"{name}: round 1 printed the loss {rounds[0].loss:g}, its output has {part.loss:g}; the verdict says "
                f"that they are {part.printed_loss_error:.2g} apart"
            )
    reference, allowed = part.loss - part.loss_change, judged.parts.training.loss_error
    for record in rounds if allowed is not None else ():
        if record.ok("training") and record.training_loss is not None:
            far = distances.relative_error(record.training_loss, reference)
            if far > (allowed or 0.0) + FINE:
                raise ValueError(
                    f"{name}: the training loss of round {record.round} is {record.training_loss:g}, {far:.2g} from "
                    f"the reference's; the verdict says {allowed:.2g} at most"
                )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
