"""Pages made for tests: the script's own main, on records and CSVs that tests make up."""

import csv
import json
import sys
from html.parser import HTMLParser

import pytest
import yaml

import records
import render_html
from platform_csv import analysis_of, good, own_csv
from reporting import analysis, intake
from reporting.columns import REQUIRED
from reporting.document import build
from runner import REPOSITORY

TEMPLATE = REPOSITORY / "report" / "report.html.j2"
GATE = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8"))["gate"]
FIELDS = [column.name for column in REQUIRED]
ROWS = ("eager", "compiled", "onnx", "jax")


def mixed(directory, models=("Tiny",), **times):
    """A run of four rows a model: fast, tied with it, close, failed. ``times``: ms of a row."""
    rounds, verdicts = [], []
    for model in models:
        rounds += good("eager", times.get("eager", 40.0), model=model)
        rounds += good("compiled", times.get("compiled", 40.1), model=model)
        rounds += good("onnx", times.get("onnx", 10.0), model=model)
        rounds.append(records.failed("jax", code="crashed", model=model))
        for row, verdict in (("eager", "pass"), ("compiled", "pass"), ("onnx", "close"), ("jax", None)):
            verdicts.append(records.verdict_record(row, verdict, model=model))
    return own_csv(directory, rounds, verdicts, ROWS, models)


def published_row(**changes):
    """A published row that matches."""
    values = ("Desk", "Tiny", "PyTorch", "2.13.0", "CPU", "match", "1.50", "40", "4.0", "120", "6.01")
    return dict(zip(FIELDS, values, strict=True)) | changes


def write_rows(path, *rows):
    """A CSV of these rows."""
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def document(own=None, published=(), models=("Tiny",)):
    """The document of a run's table (``mixed``) and of published CSVs."""
    rows = analysis.read([analysis_of(own)]) if own else []
    return build.report(rows, intake.published(list(published)), {name: {} for name in models})


def render(directory, own, published=(), models=("Tiny",), more=(), **caption):
    """Run the script; the paths of page, JSON and figures lie in ``directory/out``; ``more``: arguments."""
    facts = {"title": "Tiny model", "url": "https://example.org/tiny", "caveats": []} | caption
    out = directory / "out"
    command = [
        "render_html.py",
        "--analyses",
        analysis_of(own),
        "--published",
        *published,
    ]
    command += ["--rounds", *directory.glob("benchmarks/*/*/*/round-*.json")]
    command += ["--validations", *directory.glob("validation/*/*/*.json")]
    command += ["--gate", json.dumps(GATE)]
    command += ["--history", directory / "history"]
    command += more
    command += ["--template", TEMPLATE, "--captions", json.dumps(dict.fromkeys(models, facts))]
    command += ["--html", out / "report.html", "--json", out / "report.json", "--figures", out / "figures"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(map(str, command)))
        render_html.main()
    return out / "report.html"


class Outline(HTMLParser):
    """A page as a reader without JavaScript has it: tables by caption, elements, text."""

    def __init__(self, text):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.words: list[str] = []
        self._open: list[str] = []
        self._rows: list[list[str]] | None = None
        self._caption = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag):
        if tag == "table":
            self.tables[" ".join(self._caption.split())] = self._rows
            self._rows = None
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if "script" in self._open or "style" in self._open:
            return
        self.words.append(data)
        if "caption" in self._open:
            self._caption += data
        elif self._rows and self._rows[-1] and ("td" in self._open or "th" in self._open):
            self._rows[-1][-1] += data

    def table(self, start):
        """The table whose caption starts so: its lines, cells as text on one line."""
        found = [rows for caption, rows in self.tables.items() if caption.startswith(start)]
        assert len(found) == 1, list(self.tables)
        return [[" ".join(cell.split()) for cell in row] for row in found[0]]
