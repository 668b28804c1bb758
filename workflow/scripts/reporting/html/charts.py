"""Charts, written once in Vega-Altair: as specifications for the browser, and as SVG that needs none.

Vega-Altair, because its charts are data: checked against the grammar's schema here, drawn by the same Vega
in the page (so that filters and themes reach them) and, through vl-convert, without a browser (for readers
without JavaScript, and as files). Colours are CSS variables with a fallback: the page's theme sets them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import altair as alt
import vl_convert

from reporting.quantities import Quantity

BEST, PLAIN, OFF = "best", "ranked", "not ranked"
INK, SOFT, LINE = "var(--ink, #1d1f1e)", "var(--soft, #6a6f6c)", "var(--line, #d9dcda)"
FILLS = {BEST: "var(--best, #0b7a5b)", PLAIN: "var(--bar, #b4bbb7)", OFF: "transparent"}
STROKES = {BEST: "transparent", PLAIN: "transparent", OFF: SOFT}
DECADES = 20.0  # slowest over fastest from which an axis is logarithmic
FALLBACK = re.compile(r"var\(--[a-z]+, (#[0-9a-f]{6})\)")
CONFIG = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK, "titleColor": SOFT, "gridColor": LINE, "domainColor": LINE, "tickColor": LINE,
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal",
    },
    "title": {"color": INK, "fontSize": 13, "fontWeight": 600, "anchor": "start", "offset": 8},
}  # fmt: skip


def bars(data: alt.Data, log: bool, unit: str = "") -> alt.LayerChart:
    """One quantity as bars with 95 % intervals, the best on top.

    Fields: ``framework``; ``order``, the rank; ``base``, where bars start; ``value`` with ``low`` and
    ``high`` (the value itself without an interval); ``state``, one of BEST, PLAIN and OFF; ``label``.
    """
    scale = alt.Scale(type="log", nice=True) if log else alt.Scale(zero=True, nice=True)
    base = alt.Chart(data).encode(
        y=alt.Y("framework:N", sort=alt.EncodingSortField("order", op="min"), title=None)
        .axis(ticks=False, domain=False, labelPadding=8, labelLimit=190)
    )  # fmt: skip
    x = alt.X("base:Q", scale=scale, title=f"{unit}, logarithmic" if log else unit).axis(
        tickCount=4, format="~r", grid=True, domain=False
    )
    states = alt.Scale(domain=list(FILLS), range=list(FILLS.values()))
    outlines = alt.Scale(domain=list(STROKES), range=list(STROKES.values()))
    bar = base.mark_bar(height={"band": 0.62}, cornerRadiusEnd=2, strokeDash=[3, 2]).encode(
        x=x, x2="value:Q", fill=alt.Fill("state:N", scale=states, legend=None),
        stroke=alt.Stroke("state:N", scale=outlines, legend=None),
    )  # fmt: skip
    interval = base.mark_rule(color=INK, strokeWidth=1.5).encode(x="low:Q", x2="high:Q")
    label = base.mark_text(align="left", dx=10, fontSize=12, color=INK).encode(
        x=alt.value("width"), text="label:N"
    )
    return alt.layer(bar, interval, label)


def strip(data: alt.Data) -> alt.LayerChart:
    """Every sample of one task, a line of ticks for each process; the heavy tick is the process's median.

    Fields: ``process``, ``ms``, and ``median``, true for the added medians.
    """
    base = alt.Chart(data).encode(
        x=alt.X("ms:Q", scale=alt.Scale(zero=False, nice=True), title="ms").axis(tickCount=5, domain=False),
        y=alt.Y("process:O", title=None).axis(ticks=False, domain=False, labelPadding=8),
    )
    ticks = base.mark_tick(thickness=1.5, bandSize=14, opacity=0.55, color=SOFT)
    medians = base.mark_tick(thickness=3, bandSize=22, color=FILLS[BEST])
    return alt.layer(ticks.transform_filter("!datum.median"), medians.transform_filter("datum.median"))


def specifications() -> dict[str, Any]:
    """Vega-Lite specifications whose data and height the browser fills in."""
    named = alt.Data(name="rows")
    charts = {"linear": bars(named, log=False), "log": bars(named, log=True), "strip": strip(named)}
    specs = {}
    for name, chart in charts.items():
        chart = chart.properties(
            width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding")
        )
        specs[name] = chart.configure(**CONFIG).to_dict(validate=True)
    return specs


def bar_rows(frameworks: list[dict[str, Any]], more: bool) -> tuple[list[dict[str, Any]], bool]:
    """Data of ``bars``, and whether its axis is logarithmic: as ``report/html/charts.js`` makes them.

    ``frameworks``: name, value, low, high, state and label of each; ``more``: whether more is better.
    """
    sign = -1 if more else 1
    ordered = sorted(frameworks, key=lambda each: (each["state"] == OFF, sign * each["value"]))
    least, most = (pick(each["value"] for each in ordered) for pick in (min, max))
    log = most / least >= DECADES
    base = 10.0 ** math.floor(math.log10(least)) if log else 0.0
    return [each | {"order": order, "base": base} for order, each in enumerate(ordered)], log


def svg(title: str, quantities: Mapping[Quantity, list[dict[str, Any]]]) -> str:
    """One figure with a panel of bars for each quantity, two in a row; colours as CSS variables."""
    panels = []
    for quantity, frameworks in quantities.items():
        rows, log = bar_rows(frameworks, quantity.more)
        chart = bars(alt.Data(values=rows), log, quantity.unit)
        panels.append(chart.properties(width=240, height=alt.Step(26), title=quantity.title))
    figure = alt.concat(*panels, columns=2, spacing=90, title=title).configure(**CONFIG)
    return str(vl_convert.vegalite_to_svg(figure.to_dict(validate=True)))


def standalone(text: str) -> str:
    """The SVG with plain colours, for programs that know no CSS variables."""
    return FALLBACK.sub(r"\1", text)


@cache  # three seconds, and the same each time
def runtime() -> str:
    """Vega, Vega-Lite and Vega-Embed as one ES module that sets ``window.vegaEmbed``.

    The vl-convert package brings them along: no network.
    """
    return str(vl_convert.javascript_bundle())
