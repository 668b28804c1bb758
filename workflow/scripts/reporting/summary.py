"""One figure for a framework: how far it is from the best, over the models of a machine, and over machines.

Ratio to the best: time over the smallest of the ranked times of one machine, model, precision and task (of a rate,
the highest over it), so 1 is the best. Its interval is the one of column ``…_to_best``, made to hold by itself and
cut at 1, below which no such ratio can be. The one with the smallest figure has 1 by definition, and its interval
reaches to where another may be the best in truth: to the largest of the others' 1 / low (multiple comparisons with
the best: Hsu, Annals of Statistics 12, 1984).

Mean over models: the geometric mean, the only one that does not depend on which model's unit is taken (Fleming and
Wallace, "How not to lie with statistics", Communications of the ACM 29, 1986). Models are measured in processes of
their own, so their errors add in quadrature: with l the logarithm of a ratio and l_low its lower end,
low = mean(l) - sqrt(sum((l - l_low)^2)) / n, and high alike (Zou and Donner, "Construction of confidence limits
about effect measures", Statistics in Medicine 27, 2008).

Portability over machines: the harmonic mean of the efficiencies, which are 1 over that mean (Pennycook, Sewall and
Lee, "Implications of a metric for performance portability", Future Generation Computer Systems 92, 2019). Theirs is
0 as soon as one machine is not supported; here it stands beside how many are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import special

from reporting import markdown as md
from reporting.columns import TASKS, Row
from reporting.document.types import Line, Model, Report, by_group
from reporting.intervals.model import Figure
from reporting.marks import BEST, PLAIN
from reporting.quantities import TIMES, Quantity

RANKED = (BEST, PLAIN)
MOST = 700.0  # of a logarithm: a float goes no further
Means = dict[tuple[str, str], dict[str, "Summary"]]  # by (machine, precision), by framework


@dataclass(frozen=True)
class Summary:
    """A framework in one task and precision of one machine."""

    mean: Figure  # geometric mean of its ratios to the best; ends are None where one of them is unknown
    models: int  # in which it is ranked
    of: int  # models of this machine in which anyone is


@dataclass(frozen=True)
class Portability:
    """A framework in one task and precision over machines that one protocol measured."""

    efficiency: float  # harmonic mean, from 0 to 1
    machines: int  # on which it is ranked in every model that anyone is
    of: int


def to_best(lines: Sequence[Line], quantity: Quantity, strict: bool = False) -> list[Figure | None]:
    """Each line's ratio to the best of one machine, model and precision; None for one that is not ranked.

    ``strict``: by the marks that published figures themselves allow.
    """
    column = quantity.column
    told = [line.figure(column) for line in lines]
    values = [
        each.value if each and each.value and (each.strict if strict else each.mark) in RANKED else None
        for each in told
    ]
    rows = [line.row for line in lines]
    known = [value for value in values if value is not None]
    if not known:
        return [None] * len(values)
    best = max(known) if quantity.more else min(known)
    name = column if quantity.more else quantity.task
    found = [
        None if value is None else _ratio(row, value, best, quantity.more, f"{name}_to_best")
        for row, value in zip(rows, values, strict=True)
    ]
    reach = max([1.0, *(1 / each.low for each in found if each and each.low)])
    return [each and _cut(single(each, len(known) - 1), reach) for each in found]


def _ratio(row: Row, value: float, best: float, more: bool, name: str) -> Figure | None:
    point = best / value if more else value / best
    if not 0.0 < point < math.inf:  # absurd figures, 300 orders of magnitude apart
        return None
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return Figure(point, None, None) if low is None or high is None else Figure(point, low, high)


def single(ratio: Figure, comparisons: int) -> Figure:
    """An interval of which ``comparisons`` hold together (Bonferroni, 95 %) as one that holds by itself.

    On logarithms by the ratio of the normal's quantiles. Student's t, of which it was made, has a smaller one, so
    what comes out is rather too wide.
    """
    if ratio.low is None or ratio.high is None or comparisons < 2:
        return ratio
    share = float(special.ndtri(0.975) / special.ndtri(1 - 0.025 / comparisons))
    return Figure(
        ratio.point, *(ratio.point * (end / ratio.point) ** share for end in (ratio.low, ratio.high))
    )


def _cut(ratio: Figure, reach: float) -> Figure:
    """Its interval without what lies below 1; that of the best up to ``reach``."""
    if ratio.low is None or ratio.high is None:
        return ratio
    return (
        Figure(1.0, 1.0, reach) if ratio.point == 1 else Figure(ratio.point, max(1.0, ratio.low), ratio.high)
    )


def mean(ratios: Sequence[Figure]) -> Figure:
    """The geometric mean of independent ratios, one or more, with the interval that theirs give."""
    logs = [math.log(each.point) for each in ratios]
    middle, count = sum(logs) / len(logs), len(logs)
    ends = [(each.low, each.high) for each in ratios]
    if any(not low or not high for low, high in ends):
        return Figure(math.exp(middle), None, None)
    below, above = (
        math.hypot(*(log - math.log(end[side] or 1.0) for log, end in zip(logs, ends, strict=True))) / count
        for side in (0, 1)
    )
    if middle + above > MOST:
        return Figure(math.exp(middle), None, None)
    return Figure(math.exp(middle), math.exp(middle - below), math.exp(middle + above))


def over_models(by_model: Sequence[Mapping[str, Figure]]) -> dict[str, Summary]:
    """By framework, from its ratios in each model; those in more models come first, then the faster."""
    entered = [ratios for ratios in by_model if ratios]
    names = list(dict.fromkeys(name for ratios in entered for name in ratios))
    found = {}
    for name in names:
        mine = [ratios[name] for ratios in entered if name in ratios]
        found[name] = Summary(mean(mine), len(mine), len(entered))
    return dict(sorted(found.items(), key=lambda each: (-each[1].models, each[1].mean.point)))


def over_machines(machines: Sequence[Mapping[str, Summary]]) -> dict[str, Portability]:
    """By framework; a machine counts for it where it is ranked in every model that anyone is."""
    entered = [found for found in machines if found]
    names = dict.fromkeys(name for found in entered for name in found)
    result = {}
    for name in names:
        ratios = [
            found[name].mean.point
            for found in entered
            if name in found and found[name].models == found[name].of
        ]
        if ratios:
            result[name] = Portability(len(ratios) / sum(ratios), len(ratios), len(entered))
    return result


def of_models(models: Iterable[Model], quantity: Quantity, strict: bool = False) -> Means:
    """Summaries over these models, of every machine and precision; ``strict`` as for ``to_best``."""
    ratios: dict[tuple[str, str], list[dict[str, Figure]]] = {}
    for model in models:
        for lines in by_group(model.lines):
            found = zip(lines, to_best(lines, quantity, strict), strict=True)
            ratios.setdefault((lines[0].machine, lines[0].lane), []).append(
                {line.cell.framework: ratio for line, ratio in found if ratio is not None}
            )
    return {place: over_models(by_model) for place, by_model in ratios.items()}


def table(report: Report) -> list[dict[str, Any]]:
    """Lines of report.md: of each machine of this run, precision and framework, its figure in each task."""
    models = [model for model in report.models if not model.is_variant]
    found = {each.task: of_models(models, each) for each in TIMES if each.task in TASKS}
    places = dict.fromkeys((line.machine, line.lane) for model in models for line in model.of(own=True))
    lines = []
    for machine, lane in places:
        here = {task: means.get((machine, lane), {}) for task, means in found.items()}
        for framework in dict.fromkeys(name for by_framework in here.values() for name in by_framework):
            figures = {task: _figure(by_framework.get(framework)) for task, by_framework in here.items()}
            lines.append({"platform": machine, "lane": lane, "framework": framework} | figures)
    return lines


def _figure(found: Summary | None) -> md.Markdown:
    if found is None:
        return md.DASH
    point, low, high = found.mean.point, found.mean.low, found.mean.high
    interval = f" ({md.interval(low, high)})" if low is not None and high is not None else ""
    return md.Markdown(f"{md.significant(point)}{interval}, {found.models} of {found.of}")
