"""The document's parts. Everything in them is decided; text is plain, as it is read, and escaped by the writers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reporting import quantities
from reporting.columns import Row
from reporting.groups import Finding
from reporting.markdown import Markdown
from reporting.marks import ABSENT, BEST, FAILED, PLAIN
from reporting.quantities import Quantity
from reporting.releases import Release

NOISY = "noisy"
BLANKS = {FAILED: "✗", ABSENT: "—"}


@dataclass(frozen=True)
class Source:
    """Where a figure comes from."""

    files: tuple[str, ...]  # the records of its rounds; of what was measured elsewhere, the published table
    command: str | None = None  # that measures it again; None for what was measured elsewhere


@dataclass(frozen=True)
class Figure:
    """One figure of one line, and all that may be said of it."""

    quantity: Quantity
    value: float | None  # printed only where the mark says that there is one
    interval: tuple[float, float] | None  # 95 %
    mark: str  # one of reporting.marks
    why: str  # that mark, in words
    source: Source
    strict: (
        str  # the mark that a published figure itself allows (reporting.views); elsewhere the same as `mark`
    )
    strict_why: str
    notes: tuple[str, ...] = ()  # what its samples have against it: noisy, still falling, jumps

    @property
    def shown(self) -> bool:
        """Whether there is a figure to print."""
        return self.mark not in BLANKS

    @property
    def text(self) -> str:
        """The figure, or the sign that stands for none."""
        return self.quantity.form(self.value) if self.shown and self.value is not None else BLANKS[self.mark]


@dataclass(frozen=True)
class Cell:
    """Who a line is, by its table; text is empty where the table says nothing."""

    model: str
    framework: str  # the row's label
    version: str
    backend: str
    status: str  # one of reporting.columns.PUBLISHED_STATUSES
    platform_id: str  # the machine's name in the configuration
    row: str  # the row's id there
    table: str  # the file of what was measured elsewhere
    evidence: str  # what that rests on (reporting.standing)


@dataclass(frozen=True)
class Work:
    """How much a line's inference computes, and at what cost; None where it is not known."""

    scale_of: str | None  # the model that this one varies
    forward_flops: float | None
    batch: int | None
    sequence: int | None
    peak_tflops: float | None  # of the card in this precision
    energy_j: float | None  # of an inference


@dataclass(frozen=True)
class Line:
    """One cell: a framework's row on a machine, for one model."""

    machine: str  # as readers tell it from the others
    own: bool  # whether this run measured it
    lane: str  # "" where its table names none
    cell: Cell
    work: Work
    row: Row  # every fact of it, by column: for what prints whole rows
    figures: tuple[Figure, ...]  # of the model's quantities, in their order
    loss: Figure
    source: Source
    source_mark: str  # †, ‡ … of what was measured elsewhere, else ""
    weights_mark: str  # ◇, ◆ … of other weights than the table's first, else ""

    def figure(self, column: str) -> Figure | None:
        """The figure of a quantity; None where the model has no such column."""
        return next((each for each in self.figures if each.quantity.column == column), None)

    @property
    def all_figures(self) -> tuple[Figure, ...]:
        return (*self.figures, self.loss)


@dataclass(frozen=True)
class Model:
    """One model's table."""

    name: str
    title: str
    url: str | None
    is_variant: bool  # of another model, with more work
    weights: str
    caveats: tuple[str, ...]  # Markdown, of the configuration
    remarks: tuple[Markdown, ...]  # on the weights that ran, and on fallbacks
    quantities: tuple[Quantity, ...]
    lines: tuple[Line, ...]  # this run's machines, then the published ones; lanes of one machine together

    def of(self, own: bool) -> list[Line]:
        return [line for line in self.lines if line.own == own]


@dataclass(frozen=True)
class Place:
    """Who is first in one column of one machine, model and lane."""

    lines: tuple[Line, ...]  # the first, best first; several share the place
    figures: tuple[Figure, ...]  # theirs
    ahead: tuple[float, float | None, float | None] | None  # of the next ranked: ratio, low, high


@dataclass(frozen=True)
class Report:
    """All that a report says."""

    own: list[Row]
    published: list[Row]
    models: tuple[Model, ...]  # of this run
    elsewhere: tuple[
        Model, ...
    ]  # published ones that this run does not have: not shown, but for what differs
    sources: tuple[tuple[str, str], ...]  # mark and note of each source of published rows
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]  # Markdown, on the frameworks
    releases: tuple[Release, ...] = ()  # what frameworks' new versions changed

    def lines(self) -> list[Line]:
        """Every line: this run's rows in their order, then the published ones."""
        order = {id(row): number for number, row in enumerate([*self.own, *self.published])}
        found = [line for model in (*self.models, *self.elsewhere) for line in model.lines]
        return sorted(found, key=lambda line: order[id(line.row)])

    def differences(self) -> list[tuple[Line, Figure]]:
        """Published figures whose mark by their source's rules is not the one that they allow."""
        return [(line, each) for line in self.lines() for each in line.figures if each.strict != each.mark]


def by_group(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines of one machine and lane together, in order of appearance."""
    found: dict[tuple[bool, str, str], list[Line]] = {}
    for line in lines:
        found.setdefault((line.own, line.machine, line.lane), []).append(line)
    return list(found.values())


def place(lines: Sequence[Line], quantity: Quantity, strict: bool = False) -> Place | None:
    """Who is first among the lines of one machine, model and lane, by their marks; None where nobody is."""

    def of_mark(mark: str) -> list[tuple[Line, Figure]]:
        found = [(line, line.figure(quantity.column)) for line in lines]
        ranked = [
            (line, each)
            for line, each in found
            if each and each.value and (each.strict if strict else each.mark) == mark
        ]
        return sorted(ranked, key=lambda pair: pair[1].value or 0.0, reverse=quantity.more)

    first, rest = of_mark(BEST), of_mark(PLAIN)
    if not first:
        return None
    ahead = quantities.lead(first[0][0].row, rest[0][0].row, quantity) if rest else None
    return Place(tuple(line for line, _ in first), tuple(each for _, each in first), ahead)
