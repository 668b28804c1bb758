"""A platform's records as a submission: only what its table follows from, and nothing that tells who measured."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from arena import files
from arena.configuration import frameworks
from arena.configuration.frameworks import model_reason
from arena.contract import codec
from arena.contract import round as contract_round
from arena.contract import verdict as contract_verdict
from arena.contract.round import Round
from reporting import allotments, stated
from reporting.counted import counted
from reporting.outcome import LOG_LINES
from reporting.submissions import lines

#: Absolute paths of two parts or more: what stands before the last part may name people and places.
PATH = re.compile(
    r"(?<![\w:/.}])(?:[A-Za-z]:\\(?:[^\\\s'\":,;]+\\)+|/(?:[^/\s'\":,;()]+/)+)(?=[^/\\\s'\":,;()])"
)
#: Variables and arguments that hold secrets, and texts that are secrets by their form.
SECRET_NAME = re.compile(
    r"token|secret|password|passwd|api_?key|access_?key|credential|private_?key", re.IGNORECASE
)
SECRET = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bglpat-[\w-]{16,}|\bsk-[\w-]{20,}"
    r"|\bxox[abprs]-[\w-]{10,}|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
ASSIGNED = re.compile(
    r"([\w-]*(?:token|secret|password|passwd|api_?key|access_?key|credential)[\w-]*['\"]?\s*[=:]\s*['\"]?)([^\s'\",;]+)",
    re.IGNORECASE,
)
HIDDEN, ELSEWHERE, SOMEBODY, SOMEWHERE = "<secret>", "…/", "<user>", "<host>"
LEAST = 3  # characters of a user's or a host's name that can be told from other words
COMMON = frozenset({"root", "user", "ubuntu", "runner", "debian", "admin", "localhost", "vm"})  # name nobody


class PackingError(ValueError):
    """The records cannot be packed; the message names the file and what to do."""


def packed(
    results: Path,
    platform: str,
    config: Mapping[str, Any],
    label: str = "auto",
    measured_by: str = "",
    rows: Collection[str] | None = None,
) -> str:
    """The submission of one platform's records below ``results``, as text.

    ``config`` is the resolved configuration: models, gate, run.baseline and the order of cells are taken from
    it. ``rows`` are the ids of those to be packed, all by default.
    Raises PackingError naming the file: no records, a round without its verdict, records of a changed checkout, a
    model that is not the configuration's.
    """
    found = sorted(results.glob(f"benchmarks/{platform}/*/*/round-*.json"))
    if not found:
        raise PackingError(
            f"{results}/benchmarks/{platform} holds no round-*.json; expected the records of a run, under the "
            "platform's name in its configuration"
        )
    found, verdicts = counted(results, platform, found)
    rounds = [(path, contract_round.read(path)) for path in found if rows is None or path.parent.name in rows]
    if absent := set(rows or ()) - {record.cell.row for _, record in rounds}:
        raise PackingError(f"{results}/benchmarks/{platform}: no records of row {sorted(absent)[0]}")
    for path, record in rounds:
        if record.commit is None or record.commit.endswith("-dirty"):
            raise PackingError(
                f"{path}: commit {record.commit}: nobody could tell what measured; commit your changes, and measure "
                "the cell again"
            )
    models, order = (list(config["run"].get(name, ())) for name in ("models", "rows"))
    rounds.sort(
        key=lambda pair: (_place(models, pair[1].cell.model), _place(order, pair[1].cell.row), pair[1].round)
    )
    names = list(dict.fromkeys(record.cell.model for _, record in rounds))
    cells = list(dict.fromkeys((record.cell.model, record.cell.row) for _, record in rounds))
    clean = Cleaner(hosts(record for _, record in rounds))
    cards = Numbers("card")
    jobs = Numbers("job")
    records: list[tuple[str, dict[str, Any]]] = [("model", _model(results, name, config)) for name in names]
    written = [clean.record(_round(path, record, cards, jobs)) for path, record in rounds]
    records += [("round", record) for record in written]
    for model, row in cells:
        path = verdicts[f"{model}/{row}"]
        if not path.is_file():
            raise PackingError(f"{path}: missing; validate the cell first: snakemake {path}")
        records.append(("verdict", clean.record(codec.encode(contract_verdict.read(path)))))
    account = results / "allocations" / f"{platform}.json"
    if account.is_file():
        records += [("allocation", each) for each in _allocations(account, written)]
        wanted = [(model, row) for model in models for row in order if rows is None or row in rows]
        lacking = [cell for cell in wanted if cell not in cells]
        records += [("missing", clean.record(each)) for each in _missing(account, lacking, config)]
    lanes = dict.fromkeys(record.cell.lane for _, record in rounds)
    if unknown := [lane for lane in lanes if lane not in config["gate"]]:
        raise PackingError(
            f"lane {unknown[0]}: no tolerances in the configuration; give the overlays of the run"
        )
    header = {
        "platform": platform,
        "label": label,
        "measured_by": measured_by,
        "baseline": config["run"]["baseline"],
        "gate": {lane: dict(config["gate"][lane]) for lane in lanes},
    }
    sentences = frameworks.sentences(config.get("frameworks", {}))
    return lines.text(header, [(kind, stated.in_full(record, sentences)) for kind, record in records])


class Numbers:
    """Names by number, in order of appearance: they tell one from another, and nothing else."""

    def __init__(self, kind: str):
        self.kind = kind
        self.known: dict[str, int] = {}

    def name(self, value: str) -> str:
        return f"{self.kind} {self.known.setdefault(value, len(self.known) + 1)}"


class Cleaner:
    """Takes out of texts what names people, machines and places, and what is secret."""

    def __init__(self, hosts: Iterable[str] = ()):
        environment = os.environ.items()
        values = [value for name, value in environment if SECRET_NAME.search(name) and len(value) >= 8]
        people = {_user(), Path.home().name}
        self.words = [
            (re.compile(re.escape(value)), HIDDEN) for value in sorted(values, key=len, reverse=True)
        ]
        for names, word in ((people, SOMEBODY), ({*hosts, socket.gethostname()}, SOMEWHERE)):
            self.words += [
                (re.compile(rf"(?<!\w){re.escape(name)}(?!\w)"), word)
                for name in sorted(names)
                if len(name) >= LEAST and name not in COMMON
            ]

    def text(self, text: str) -> str:
        """``text`` without paths to a file, secrets, and the names of user and host."""
        text = ASSIGNED.sub(rf"\1{HIDDEN}", SECRET.sub(HIDDEN, text))
        for pattern, word in self.words:
            text = pattern.sub(word, text)
        return PATH.sub(ELSEWHERE, text)

    def record(self, value: Any) -> Any:
        """JSON with every text in it cleaned."""
        if isinstance(value, dict):
            return {name: self.record(each) for name, each in value.items()}
        if isinstance(value, list):
            return (
                value
                if all(isinstance(each, int) for each in value)
                else [self.record(each) for each in value]
            )
        return self.text(value) if isinstance(value, str) else value


def _place(order: list[str], name: str) -> tuple[int, str]:
    """Where a name stands in the configuration; behind all others, by name, where it does not."""
    return (order.index(name) if name in order else len(order)), name


def hosts(records: Iterable[Round]) -> set[str]:
    """The names of machines in the records, and what comes before their first dot."""
    found: set[str] = set()
    for record in records:
        given = record.node.allocation if record.node else None
        for name in (record.machine.hostname, given.name if given else None):
            found |= {name, name.split(".")[0]} if name else set()
    return found


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _model(results: Path, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    entry = config["models"].get(name)
    if entry is None:
        raise PackingError(f"model {name}: not in the configuration; give the overlays of the run")
    architecture = files.read_json(results / "models" / name / "config.json")
    if any(architecture.get(key) != value for key, value in entry["architecture"].items()):
        raise PackingError(
            f"{results}/models/{name}/config.json is not {name} as the configuration has it; give the overlays of "
            "the run"
        )
    facts = {key: entry[key] for key in ("definition", "loss", "architecture", "workload")}
    return {"name": name, **facts, "source": files.read_json(results / "models" / name / "source.json")}


def _allocations(path: Path, written: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The account of the packed rounds' allocations, as it follows from what is packed of them."""
    found = [codec.decode(Round, {key: record[key] for key in record if key != "sums"}) for record in written]
    rounds = {(f"{record.cell.model}/{record.cell.row}", record.round): record for record in found}
    parts = []
    for each in allotments.read(path).allocations:
        shares = [share for share in each.rounds if (share.cell, share.here) in rounds]
        judged = [cell for cell in each.judged if any(share.cell == cell for share in shares)]
        if shares:
            given = [(share, rounds[share.cell, share.here]) for share in shares]
            parts.append(allotments.described(each.id, each.host, judged, given))
    account = allotments.Account(allocations=allotments.together(parts, rounds), missing=[])
    try:
        allotments.hold(account, rounds)
    except ValueError as error:
        raise PackingError(f"{path}: {error}; merge the allocations again") from error
    return [codec.encode(each) for each in account.allocations]


def _missing(
    path: Path, absent: Iterable[tuple[str, str]], config: Mapping[str, Any]
) -> Iterable[dict[str, Any]]:
    """Those of the cells without records of which the account says why, or that their framework cannot run."""
    account = allotments.read(path)
    known = {
        row: (name, entry, variant["lane"])
        for name, entry in config["frameworks"].items()
        for row, variant in entry["rows"].items()
    }
    for model, row in absent:
        name, entry, lane = known[row]
        reason = model_reason(entry, model, config["models"][model]["definition"])
        if why := reason["why"] if reason else account.why_missing(model, row):
            yield {"model": model, "row": row, "framework": name, "lane": lane, "why": why}


def _round(path: Path, record: Round, cards: Numbers, jobs: Numbers) -> dict[str, Any]:
    """A round's JSON with the sums of its tensors, without names of hosts, jobs and cards."""
    values: dict[str, Any] = codec.encode(record)
    values |= dict.fromkeys(("command", "environment", "withheld"))
    values["machine"]["hostname"] = None
    for card in (values["machine"]["gpu"], (values["node"] or {}).get("gpu")):
        if card and card["uuid"]:
            card["uuid"] = cards.name(card["uuid"])
    if values["node"] and (given := values["node"]["allocation"]):
        given |= {"name": None, "partition": None, "job": jobs.name(given["job"])}
    if values["log_tail"]:
        values["log_tail"] = "\n".join(values["log_tail"].splitlines()[-LOG_LINES:])
    tensors = {"outputs": path.with_suffix(".safetensors")}
    if record.round == 1:
        tensors["gradients"] = path.with_name("gradients.safetensors")
    sums = {name: files.sha256(file) for name, file in tensors.items() if file.is_file()}
    return values | {"sums": sums}
