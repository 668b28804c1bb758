"""Charts, written once in Vega-Altair: as specifications for the browser, and as SVG that needs none.

Vega-Altair, because its charts are data: checked against the grammar's schema here, drawn by the same Vega
in the page (so that filters and themes reach them) and, through vl-convert, without a browser (for readers
without JavaScript, and as files). Colours are CSS variables with a fallback: the page's theme sets them.
"""

from __future__ import annotations

import base64
import gzip
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


def trace(data: alt.Data) -> alt.LayerChart:
    """Every sample of one task in the order of time, process after process; a line is a process's median.

    Fields: ``kind``, one of sample (``at``, its number in the whole series; ``ms``), median (``at``, ``end``, ``ms``,
    ``label``) and interval (``at``, ``end``, ``low``, ``high``, of the cell's time).
    """
    base = alt.Chart(data)
    x = alt.X("at:Q", scale=alt.Scale(nice=False, zero=False), title=None).axis(None)
    y = alt.Y("ms:Q", scale=alt.Scale(zero=False, nice=True), title="ms").axis(tickCount=4, domain=False)
    band = base.mark_rect(color=FILLS[BEST], opacity=0.14).encode(x=x, x2="end:Q", y="low:Q", y2="high:Q")
    points = base.mark_point(filled=True, size=18, opacity=0.8, color=SOFT).encode(x=x, y=y)
    medians = base.mark_rule(strokeWidth=2, color=FILLS[BEST]).encode(x=x, x2="end:Q", y=y)
    names = base.mark_text(align="left", baseline="top", dy=5, fontSize=11, color=SOFT).encode(
        x=x, y=alt.value("height"), text="label:N"
    )
    return alt.layer(
        band.transform_filter("datum.kind == 'interval'"),
        points.transform_filter("datum.kind == 'sample'"),
        medians.transform_filter("datum.kind == 'median'"),
        names.transform_filter("datum.kind == 'median'"),
    )


def limits(data: alt.Data) -> alt.LayerChart:
    """Figures of the gate on one logarithmic axis, as multiples of what a cell may have and still pass.

    Fields: ``figure``, ``at`` (its multiple, above 0), ``label``, ``close`` (the multiple up to which it is close),
    ``order``.
    """
    base = alt.Chart(data).encode(
        y=alt.Y("figure:N", sort=alt.EncodingSortField("order", op="min"), title=None)
        .axis(ticks=False, domain=False, labelPadding=8, labelLimit=220)
    )  # fmt: skip
    title = "times what passes, logarithmic"
    axis = alt.X("at:Q", scale=alt.Scale(type="log", nice=True), title=title).axis(
        tickCount=6, format="~g", domain=False
    )
    point = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=axis,
        color=alt.condition("datum.at <= 1", alt.value(FILLS[BEST]), alt.value("var(--bad, #a3341f)")),
    )
    label = base.mark_text(align="left", dx=10, fontSize=12, color=INK).encode(
        x=alt.value("width"), text="label:N"
    )
    passes = base.mark_rule(color=INK, strokeWidth=1.5).encode(
        x=alt.datum(1), y=alt.value(0), y2=alt.value("height")
    )
    close = base.mark_rule(color=SOFT, strokeDash=[4, 3]).encode(
        x="close:Q", y=alt.value(0), y2=alt.value("height")
    )
    return alt.layer(passes, close, point, label)


def trade_off(data: alt.Data) -> alt.LayerChart:
    """Time against a cost, both logarithmic; the line joins those that nothing beats in both.

    Fields: ``framework``; ``time`` and ``cost``; ``front``, whether nothing is better in both; ``label``, in words;
    ``name_at`` and ``name_by``, where the framework's name stands, null for none. Domains, ticks and titles are the
    browser's: it knows how much room there is.
    """
    base = alt.Chart(data)
    scale = alt.Scale(type="log", nice=False)
    x = alt.X("time:Q", scale=scale, title="ms").axis(format="~r", domain=False)
    y = alt.Y("cost:Q", scale=scale, title="cost").axis(format="~g", domain=False)
    line = base.transform_filter("datum.front").mark_line(
        interpolate="step-after", color=FILLS[BEST], strokeWidth=1.5, opacity=0.6
    )
    point = base.mark_point(filled=True, size=60, opacity=1).encode(
        x="time:Q", y="cost:Q", tooltip="label:N",
        color=alt.condition("datum.front", alt.value(FILLS[BEST]), alt.value(FILLS[PLAIN])),
    )  # fmt: skip
    name = base.transform_filter("datum.name_at !== null").mark_text(
        align="left", baseline="middle", fontSize=11, color=INK
    )
    return alt.layer(
        line.encode(x=x, y=y), point, name.encode(x="name_at:Q", y="name_by:Q", text="framework:N")
    )


def losses(data: alt.Data) -> alt.LayerChart:
    """Time against what a row's users lose, rows of every precision; the line joins those that nothing beats in both.

    Fields as of ``trade_off``, and ``ranked``, whether the gate lets the row's times count: others are hollow. What is
    lost may be next to nothing, or less than that within its error, so its axis goes by the square root.
    """
    base = alt.Chart(data)
    x = alt.X("time:Q", scale=alt.Scale(type="log", nice=False), title="ms").axis(format="~r", domain=False)
    y = alt.Y("cost:Q", scale=alt.Scale(type="sqrt", nice=False, zero=False), title="cost").axis(
        format="~g", tickCount=5, domain=False
    )
    line = base.transform_filter("datum.front").mark_line(
        interpolate="step-after", color=FILLS[BEST], strokeWidth=1.5, opacity=0.6
    )
    point = base.mark_point(size=60, opacity=1, strokeWidth=1.5).encode(
        x="time:Q", y="cost:Q", tooltip="label:N",
        stroke=alt.condition("datum.front", alt.value(FILLS[BEST]), alt.value(SOFT)),
        fill=alt.condition("datum.ranked", alt.value(FILLS[PLAIN]), alt.value("transparent")),
    )  # fmt: skip
    name = base.transform_filter("datum.name_at !== null").mark_text(
        align="left", baseline="middle", fontSize=11, color=INK
    )
    return alt.layer(
        line.encode(x=x, y=y), point, name.encode(x="name_at:Q", y="name_by:Q", text="framework:N")
    )


def curves(data: alt.Data) -> alt.LayerChart:
    """A line for each framework, its name at the end of it.

    Fields: ``kind``; ``framework``; ``colour``; ``at`` and ``value``. A point has a ``label``, in words, ``release``,
    whether a version begins with it, and a ``note`` beside it, null for none; an end has ``name_at`` and ``name_by``,
    where the name stands. Scales, axes and titles are the browser's.
    """
    base = alt.Chart(data)
    points, ends = (base.transform_filter(f"datum.kind == '{kind}'") for kind in ("point", "end"))
    x = alt.X("at:Q", scale=alt.Scale(nice=False), title="at").axis(domain=False)
    y = alt.Y("value:Q", scale=alt.Scale(type="log", nice=False), title="value").axis(
        format="~r", domain=False
    )
    colour = alt.Color("colour:N", scale=None)
    line = points.mark_line(strokeWidth=1.8).encode(x=x, y=y, detail="framework:N", color=colour)
    point = points.mark_point(filled=True, opacity=1).encode(
        x="at:Q",
        y="value:Q",
        color=colour,
        tooltip="label:N",
        shape=alt.condition("datum.release", alt.value("diamond"), alt.value("circle")),
        size=alt.condition("datum.release", alt.value(110), alt.value(42)),
    )
    note = points.transform_filter("datum.note !== null").mark_text(dy=-9, fontSize=10, color=INK)
    leader = ends.mark_rule(opacity=0.6, strokeDash=[2, 2]).encode(
        x="at:Q", y="value:Q", x2="name_at:Q", y2="name_by:Q", color=colour
    )
    name = ends.mark_text(align="left", baseline="middle", dx=4, fontSize=11, color=INK).encode(
        x="name_at:Q", y="name_by:Q", text="framework:N"
    )
    return alt.layer(line, leader, point, note.encode(x="at:Q", y="value:Q", text="note:N"), name)


def specifications() -> dict[str, Any]:
    """Vega-Lite specifications whose data and height the browser fills in."""
    named = alt.Data(name="rows")
    charts = {
        "linear": bars(named, log=False),
        "log": bars(named, log=True),
        "trace": trace(named),
        "limits": limits(named),
        "tradeOff": trade_off(named),
        "losses": losses(named),
        "curves": curves(named),
    }
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
    """Vega, Vega-Lite and Vega-Embed as one ES module that sets ``window.vegaEmbed``, then sends the event ``vega``.

    The vl-convert package brings them along: no network.
    """
    return f'{vl_convert.javascript_bundle()}\ndispatchEvent(new Event("vega"));\n'


def packed(text: str) -> str:
    """The text as gzip in base64: a third of its size, unpacked by the browser when the first chart is drawn."""
    return base64.b64encode(gzip.compress(text.encode("utf-8"), mtime=0)).decode("ascii")
