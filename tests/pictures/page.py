"""Draws a dashboard as a page of HTML: what Grafana would show of the same series, without Grafana."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deploy.dashboards.dashboard import COLUMNS
from deploy.dashboards.panels import GREY, Figure, Graph, States
from deploy.dashboards.table import Table
from tests.pictures.charts import COLORS, Area, Mark, Series, graph, states
from tests.pictures.units import shown
from tests.support.dashboards import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deploy.dashboards.dashboard import Dashboard
    from deploy.dashboards.panels import Panel, Steps
    from tests.support.prometheus_server import Server, Window

WIDTH: Final = 1560
COLUMN: Final = WIDTH // COLUMNS
LINE: Final = 30
TITLE: Final = 26
LEGEND: Final = 17
"""Height of one name in a legend, in pixels."""
SHADES: Final = {"green": "#73bf69", "yellow": "#f2cc0c", "red": "#e02f44", "blue": "#5794f2", GREY: "#3a3f46"}
STYLE: Final = f"""
body {{ margin: 12px; width: {WIDTH}px; background: #111217; color: #ccccdc; font: 12px sans-serif }}
h1 {{ font-size: 18px; margin: 4px }} h2 {{ font-size: 14px; margin: 14px 4px 6px }}
.row {{ display: grid; grid-template-columns: repeat({COLUMNS}, {COLUMN}px); grid-auto-flow: dense; grid-row-gap: 6px }}
.panel {{ background: #181b1f; border: 1px solid #2c3036; margin-right: 6px; overflow: hidden; box-sizing: border-box }}
.panel h3 {{ font-size: 13px; font-weight: 500; margin: 5px 8px }}
.figure {{ text-align: center; font-size: 26px; padding-top: 8px }} .figure small {{ font-size: 12px; color: #9aa0a6 }}
.legend {{ padding: 0 10px; line-height: {LEGEND}px }} .legend b {{ font-weight: 400; float: right }}
svg text {{ fill: #9aa0a6; font: 11px sans-serif }}
table {{ width: 98%; margin: 4px 1%; border-collapse: collapse }}
td, th {{ text-align: left; padding: 4px 8px; border-bottom: 1px solid #2c3036 }}
"""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the series come from.

    Attributes:
        server: A Prometheus.
        window: The time to show.
        values: What Grafana would fill in for variables.
    """

    server: Server
    window: Window
    values: Mapping[str, str]

    def series(self, expression: str, legend: str = "", *, is_limit: bool = False) -> list[Series]:
        """Ask for the series of a query."""
        found = self.server.series(VARIABLE.sub(lambda match: self.values[match[1]], expression), self.window)
        return [
            Series(
                _named(legend, each["metric"]),
                {at: float(value) for at, value in each["values"]},
                is_limit=is_limit,
            )
            for each in found
        ]

    def lines(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Ask for the latest values, by all labels."""
        found = self.server.series(VARIABLE.sub(lambda match: self.values[match[1]], expression), self.window)
        latest = [each for each in found if each["values"][-1][0] >= self.window.end - self.window.step]
        return {tuple(sorted(each["metric"].items())): float(each["values"][-1][1]) for each in latest}


def page(dashboard: Dashboard, source: Source) -> str:
    """Draw a dashboard."""
    marks = [
        Mark(min(series.values), SHADES[annotation.color])
        for annotation in dashboard.annotations
        for series in source.series(annotation.expression)
    ]
    rows = "".join(
        f'<h2>{html.escape(row.title)}</h2><div class="row">'
        f"{''.join(_panel(panel, source, marks) for panel in row.panels)}</div>"
        for row in dashboard.rows
    )
    title = html.escape(dashboard.title)
    return f"<!doctype html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style><h1>{title}</h1>{rows}"


def height(dashboard: Dashboard) -> int:
    """Say how high the page is, in pixels."""
    places: list[dict[str, int]] = [panel["gridPos"] for panel in json.loads(dashboard.text())["panels"]]
    gaps = len({place["y"] for place in places})
    return 60 + LINE * max(place["y"] + place["h"] for place in places) + 8 * gaps


def _panel(panel: Panel, source: Source, marks: list[Mark]) -> str:
    height = panel.height * LINE
    style = f"grid-column: span {panel.width}; height: {height}px"
    body = "".join(_body(panel, source, marks, panel.width * COLUMN - 10, height - TITLE))
    return f'<div class="panel" style="{style}"><h3>{html.escape(panel.title)}</h3>{body}</div>'


def _body(panel: Panel, source: Source, marks: list[Mark], width: int, height: int) -> Iterator[str]:
    if isinstance(panel, Table):
        yield from _table(panel, source)
        return
    asked = [source.series(query.expression, query.legend, is_limit=query.is_limit) for query in panel.queries]
    found = [series for answer in asked for series in answer]
    if not found:
        yield '<div class="figure"><small>No data</small></div>'
    elif isinstance(panel, Figure):
        yield from _figure(panel, found)
    elif isinstance(panel, States):
        yield states(found, Area(source.window, width, height), SHADES[panel.color])
    elif isinstance(panel, Graph):
        shown_names = found[: max(int(height * 0.4 / LEGEND), 1)]
        area = Area(source.window, width, height - LEGEND * len(shown_names) - 6)
        yield graph(found, area, panel.unit, marks, is_stacked=panel.is_stacked)
        yield from _legend(shown_names, panel.unit)


def _figure(panel: Figure, found: list[Series]) -> Iterator[str]:
    newest = max(max(each.values) for each in found)
    latest = [each for each in found if max(each.values) == newest]
    for each in latest:
        text = each.name if panel.shows_name else shown(each.last, panel.unit)
        name = "" if panel.shows_name or len(latest) == 1 else f" <small>{html.escape(each.name)}</small>"
        style = f"color: {_color(panel.steps, each.last)}"
        yield f'<div class="figure" style="{style}">{html.escape(text)}{name}</div>'


def _legend(found: list[Series], unit: str) -> Iterator[str]:
    for number, each in enumerate(found):
        line = f'<span style="color: {COLORS[number % len(COLORS)]}">━</span>'
        yield f'<div class="legend">{line} {html.escape(each.name)}<b>{shown(each.last, unit)}</b></div>'


def _table(table: Table, source: Source) -> Iterator[str]:
    first, *others = ((column, source.lines(column.expression)) for column in table.columns)
    key = [label for label in table.labels if label in {"namespace", "storage"}]
    heads = [*table.labels, *(column.title for column, _ in others)]
    yield f"<table><tr>{''.join(f'<th>{html.escape(head)}</th>' for head in heads)}</tr>"
    for labels in sorted(first[1]):
        line = dict(labels)
        cells = [f"<td>{html.escape(line.get(label, ''))}</td>" for label in table.labels]
        for column, values in others:
            value = values.get(tuple((label, line[label]) for label in sorted(key)))
            color = _color(column.steps, value) if column.steps and value is not None else "inherit"
            text = "" if value is None else shown(value, column.unit)
            cells.append(f'<td style="color: {color}">{text}</td>')
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</table>"


def _color(steps: Steps, value: float) -> str:
    reached = [color for bound, color in steps.bounds if value >= bound]
    return SHADES[(reached or [steps.below])[-1]]


def _named(legend: str, labels: Mapping[str, str]) -> str:
    if legend:
        return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend)
    return ", ".join(value for name, value in sorted(labels.items()) if name != "__name__")
