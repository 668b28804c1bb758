"""A figure for each framework, machine, precision and column, for the page's overview.

Numbers stand for names, as in the tables' keys, and only what is there is written: fifty machines must stay small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from reporting import findings, standing, summary
from reporting import markdown as md
from reporting.document.types import Line, Model
from reporting.groups import Finding
from reporting.html.lines import VIEWS, Index, Tables
from reporting.quantities import Quantity

LISTED, FEW = 120, 6  # findings of one machine that are printed: of this run's, of others
TOP = 10  # of them that are there at once, as in report/html/overview.js
Means = Mapping[tuple[str, str], Mapping[str, summary.Summary]]  # by (machine, precision), by framework


def data(tables: Tables, models: Sequence[Model], named: Sequence[Quantity]) -> dict[str, Any]:
    """``summaries``: by view and column, ``"machine,lane": [models, {framework: [mean, low, high, models]}]``.

    ``portability``: by view and column, ``"protocol,lane": {framework: [efficiency, machines, of]}``;
    ``protocols``: that number by machine. What a view says like the first is left out of it.
    ``tables`` have printed the lines of ``models`` before, and so know the numbers of all names.
    """
    protocols = Index()
    numbers = {
        tables.platforms[line.machine]: protocols.number(protocol(line))
        for model in tables.report.models
        for line in model.lines
    }
    found: dict[str, dict[str, dict[str, Any]]] = {
        name: {view: {} for view in VIEWS} for name in ("summaries", "portability")
    }
    for strict, view in enumerate(VIEWS):
        for quantity in named:
            means = summary.of_models(models, quantity, bool(strict))
            parts = {
                "summaries": _summaries(tables, means),
                "portability": _portability(tables, means, numbers),
            }
            for name, part in parts.items():
                if not strict or part != found[name][VIEWS[0]][quantity.column]:
                    found[name][view][quantity.column] = part
    return found | {"protocols": numbers}


def sentences(tables: Tables, found: Sequence[Finding]) -> dict[str, Any]:
    """The findings that the page has, in their order: ``lines`` to print, ``keys`` to choose them by.

    LISTED for each machine of this run, FEW for each other; ``left_out`` is how many only report.json has.
    """
    shown, counts = [], Counter[str | None]()
    for finding in findings.in_order(list(found)):
        counts[finding.platform] += 1
        if counts[finding.platform] <= (LISTED if finding.own else FEW):
            shown.append(finding)
    keys: dict[str, list[Any]] = {"platform": [], "lane": []}
    for finding in shown:
        machines = dict.fromkeys(each["platform"] for each in finding.cells) or {finding.platform: None}
        keys["platform"].append([tables.platforms[each] for each in machines if each in tables.platforms])
        keys["lane"].append(tables.lanes.number(md.one_line(findings.lane_of(finding))))
    return {"lines": shown, "keys": keys, "left_out": len(found) - len(shown)}


def protocol(line: Line) -> str:
    """Whose way of measuring a line follows: machines of one are held against each other, a claim against none."""
    evidence = line.cell.evidence
    if line.own or evidence == standing.RECOMPUTED:
        return "arena"
    return standing.ORIGINAL if evidence == standing.ORIGINAL else f"{standing.CLAIMED}: {line.cell.table}"


def _place(tables: Tables, machine: str, lane: str) -> tuple[int, int]:
    return tables.platforms[machine], tables.lanes[md.one_line(lane)]


def _summaries(tables: Tables, means: Means) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for (machine, lane), by_framework in means.items():
        place, lane_number = _place(tables, machine, lane)
        for name, each in by_framework.items():
            _, lines = found.setdefault(f"{place},{lane_number}", [each.of, {}])
            lines[tables.frameworks[md.one_line(name)]] = [
                *map(_short, (each.mean.point, each.mean.low, each.mean.high)),
                each.models,
            ]
    return found


def _portability(tables: Tables, means: Means, protocols: Mapping[int, int]) -> dict[str, Any]:
    pools: dict[tuple[int, int], list[Mapping[str, summary.Summary]]] = {}
    for (machine, lane), by_framework in means.items():
        place, lane_number = _place(tables, machine, lane)
        pools.setdefault((protocols[place], lane_number), []).append(by_framework)
    return {
        f"{source},{lane}": {
            tables.frameworks[md.one_line(name)]: [_short(each.efficiency), each.machines, each.of]
            for name, each in summary.over_machines(found).items()
        }
        for (source, lane), found in pools.items()
        if len(found) > 1
    }


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
