"""The file of a submission: JSON lines that a person can read, of the same bytes for the same records.

Line 1 is the header, with the SHA-256 of everything after it. Line 2 holds what many records share, each once; a
record has its number there. Then come the models, the rounds and the verdicts, a line each, and the allocations, where
the table was made in several, with the cells that none of them measured. Series of nanoseconds are written as the
first value and the differences from each to the next.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from reporting.submissions import strict_json

SUFFIX = ".jsonl"
FORMAT = "arena-submission"
SCHEMA = 1
MOST_BYTES = 16 * 2**20
MOST_LINES = 20_000
SHARED = ("cell", "machine", "packages", "noise")  # keys of a record whose values recur
SERIES = ("samples_ns", "warmup_ns", "device_ns", "first_token_ns")  # keys of a task
KINDS = ("model", "round", "verdict", "allocation", "missing")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
# Figures that have a sign.
MAY_BE_NEGATIVE = frozenset(
    {"loss", "training_loss", "loss_change", "rise_bytes", "options", "seed", "gradient_cosine"}
    | {"perplexity_change"}
)

Line = tuple[int, dict[str, Any]]  # its number in the file; what it holds


class SubmissionError(ValueError):
    """A submission is broken or contradicts itself; the message names file, line and reason."""


def text(header: dict[str, Any], records: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """The file's text. ``records`` are (one of KINDS, its JSON), in the order in which they are to stand."""
    shared: dict[str, int] = {}
    lines = []
    for kind, record in records:
        record = {name: _share(shared, value) if name in SHARED else value for name, value in record.items()}
        lines.append(_dumps({kind: record | _coded(record, _differences)}))
    body = "\n".join([_dumps({"shared": [json.loads(each) for each in shared]}), *lines]) + "\n"
    first = {
        "format": FORMAT,
        "schema": SCHEMA,
        "sha256": hashlib.sha256(body.encode()).hexdigest(),
        **header,
    }
    return f"{_dumps(first)}\n{body}"


def read(path: Path) -> tuple[dict[str, Any], dict[str, list[Line]]]:
    """The header, and the records by kind with the numbers of their lines.

    Raises SubmissionError naming file and line for what is no file, too large, not as ``text`` writes it, or
    has another sum than its header says.
    """
    content = _content(path)
    first, _, body = content.partition("\n")
    header = _object(path, 1, first)
    if header.get("format") != FORMAT or header.get("schema") != SCHEMA:
        raise SubmissionError(
            f"{path}:1: format {header.get('format')!r}, schema {header.get('schema')!r}; expected {FORMAT!r}, "
            f"{SCHEMA}: pack the records again with `make submission`"
        )
    found = hashlib.sha256(body.encode()).hexdigest()
    if header.get("sha256") != found:
        raise SubmissionError(
            f"{path}:1: sha256 {str(header.get('sha256'))[:64]!r}, yet the lines after it have {found}; the file was "
            "cut or edited: send it as `make submission` wrote it"
        )
    numbered = list(enumerate(body.split("\n")[:-1], 2))
    if len(numbered) > MOST_LINES:
        raise SubmissionError(f"{path}: {len(numbered)} lines; expected {MOST_LINES} at most")
    shared: list[Any] = []
    records: dict[str, list[Line]] = {kind: [] for kind in KINDS}
    for number, line in numbered:
        value = _object(path, number, line)
        if len(value) != 1 or (kind := next(iter(value))) not in (*KINDS, "shared"):
            raise SubmissionError(
                f"{path}:{number}: keys {list(value)[:5]}; expected one of {', '.join(KINDS)}"
            )
        if (kind == "shared") != (number == 2) or not isinstance(value[kind], list if number == 2 else dict):
            raise SubmissionError(
                f"{path}:{number}: {kind!r}; expected a list 'shared' in line 2, records after it"
            )
        if kind == "shared":
            shared = value[kind]
            continue
        try:
            record = {
                name: _shared(shared, name, each) if name in SHARED else each
                for name, each in value[kind].items()
            }
            records[kind].append((number, record | _coded(record, _sums)))
        except (ValueError, TypeError, AttributeError) as error:
            raise SubmissionError(f"{path}:{number}: {kind}: {error}") from error
    return header, records


def names(path: Path) -> set[str]:
    """Models and rows of the cells in a submission, without reading its records: for what was read before."""
    with open(path, encoding="utf-8") as stream:
        _, shared = next(stream), _object(path, 2, next(stream))
    cells = [each for each in shared["shared"] if isinstance(each, dict) and {"model", "row"} <= each.keys()]
    return {cell[key] for cell in cells for key in ("model", "row")}


def _content(path: Path) -> str:
    if not path.is_file():
        what = "a directory" if path.is_dir() else "a link to nothing" if path.is_symlink() else "no file"
        raise SubmissionError(f"{path}: {what}; expected a submission as `make submission` writes it")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise SubmissionError(f"{path}: {size / 1e6:.0f} MB; expected {MOST_BYTES / 1e6:.0f} MB at most")
    try:
        content = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise SubmissionError(f"{path}: not UTF-8 ({error})") from error
    return content.replace("\r\n", "\n")


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = strict_json.loads(line)
    except ValueError as error:
        raise SubmissionError(f"{path}:{number}: {error}") from error
    if not isinstance(value, dict):
        raise SubmissionError(f"{path}:{number}: {type(value).__name__}; expected an object")
    return value


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _share(shared: dict[str, int], value: Any) -> int:
    return shared.setdefault(_dumps(value), len(shared))


def _shared(shared: list[Any], name: str, number: Any) -> Any:
    if type(number) is not int or not 0 <= number < len(shared):
        raise ValueError(
            f"{name}: {number!r}; expected the number of one of the {len(shared)} values in line 2"
        )
    return shared[number]


def _coded(record: dict[str, Any], code: Callable[[str, list[int]], list[int]]) -> dict[str, Any]:
    """The key ``tasks`` of a round with its series in another form."""
    if not isinstance(record.get("tasks"), dict):
        return {}
    return {
        "tasks": {
            task: {name: code(f"tasks.{task}.{name}", each) if name in SERIES and each else each
                   for name, each in figures.items()}
            for task, figures in record["tasks"].items()
        }
    }  # fmt: skip


def _differences(_: str, values: list[int]) -> list[int]:
    return [values[0], *(after - before for before, after in itertools.pairwise(values))]


def _sums(where: str, values: Any) -> list[int]:
    if not isinstance(values, list):
        raise ValueError(f"{where}: expected a list, got {type(values).__name__}")
    total, found = 0, []
    for index, each in enumerate(values):
        if type(each) is not int:
            raise ValueError(f"{where}[{index}]: expected int, got {type(each).__name__}")
        total += each
        found.append(total)
    return found


def short(value: Any) -> str:
    """A value in quotation marks, at most 60 characters of it."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
