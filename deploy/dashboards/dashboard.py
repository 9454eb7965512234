"""A dashboard: rows of panels, what a reader chooses, and what is drawn across all graphs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deploy.dashboards.panels import DATASOURCE, Json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.dashboards.panels import Panel

COLUMNS: Final = 24
SCHEMA: Final = 39
TAG: Final = "toolhive-session-storage"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which series a dashboard's queries ask for.

    Attributes:
        matchers: What all of them ask of labels, as in PromQL.
    """

    matchers: str = ""

    def series(self, name: str, *matchers: str) -> str:
        """Select series by name; `matchers` are asked for besides."""
        asked = ",".join(each for each in (self.matchers, *matchers) if each)
        return f"{name}{{{asked}}}" if asked else name

    def once(self, name: str, *labels: str) -> str:
        """Select a gauge of storages, one value for each combination of these labels.

        When another replica begins to lead, its series and those of the former leader are there together for a moment,
        or for five minutes if Prometheus has lost the former one. A sum would count both.
        """
        return f"max by ({', '.join(('namespace', 'storage', *labels))}) ({self.series(name)})"

    def rate(self, name: str, *matchers: str) -> str:
        """Say by how much a counter grows per second."""
        return f"rate({self.series(name, *matchers)}[$__rate_interval])"

    def grown(self, name: str, *matchers: str) -> str:
        """Say by how much a counter grew in the interval before each point of a graph."""
        return f"increase({self.series(name, *matchers)}[$__rate_interval])"

    def total(self, name: str, *matchers: str) -> str:
        """Say by how much a counter grew in the time that the dashboard shows."""
        return f"increase({self.series(name, *matchers)}[$__range])"

    def count(self, name: str, *matchers: str) -> str:
        """Say how often something has happened since each process began.

        For what may happen before Prometheus first asks a process: it sees no growth in that.
        """
        return f"max_over_time({self.series(name, *matchers)}[$__range])"

    def quantile(self, share: float, histogram: str, *labels: str) -> str:
        """Say below which value this share of a histogram's values is, for each combination of these labels.

        That is no number (NaN) while nothing happens: a graph has a gap there. A figure would show the word, and asks
        for `>= 0` besides.
        """
        grouping = ", ".join(("le", *labels))
        return f"histogram_quantile({share}, sum by ({grouping}) ({self.rate(f'{histogram}_bucket')}))"


@dataclass(frozen=True, slots=True)
class Variable:
    """What a reader chooses above the dashboard: the value of a label.

    Attributes:
        name: The variable's name.
        label: What the reader sees.
        values: Grafana's query for the values to choose from.
        takes_all: Whether several values or all of them can be chosen.
    """

    name: str
    label: str
    values: str
    takes_all: bool = False

    def json(self) -> Json:
        """Return it as Grafana's JSON."""
        every: Json = {
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }
        return {
            "type": "query",
            "name": self.name,
            "label": self.label,
            "datasource": DATASOURCE,
            "definition": self.values,
            "query": {"query": self.values, "refId": self.name},
            # On each change of the time, because storages come and go.
            "refresh": 2,
            "sort": 1,
            **(every if self.takes_all else {"multi": False, "includeAll": False, "current": {}}),
        }


@dataclass(frozen=True, slots=True)
class Annotation:
    """Moments that are drawn as lines across all graphs.

    Attributes:
        name: What the reader sees above the dashboard, where the lines can be switched off.
        expression: PromQL; a moment is where it has a value.
        title: What a line says; `{{label}}` stands for the value of a label.
        color: Its colour.
    """

    name: str
    expression: str
    title: str
    color: str

    def json(self) -> Json:
        """Return it as Grafana's JSON."""
        return {
            "name": self.name,
            "datasource": DATASOURCE,
            "enable": True,
            "expr": self.expression,
            "iconColor": self.color,
            "step": "60s",
            "titleFormat": self.title,
        }


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading; they flow from left to right, and begin a new line where the next has no room."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard.

    Attributes:
        name: Name of its file; its address in Grafana is `/d/session-storage-<name>`.
        title: Its heading.
        description: What it is for.
        rows: What it shows.
        variables: What the reader chooses, beside the data source.
        annotations: What is drawn across all graphs.
    """

    name: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    annotations: tuple[Annotation, ...] = ()

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, in order."""
        return tuple(panel for row in self.rows for panel in row.panels)

    def text(self) -> str:
        """Return the file: JSON as Grafana imports it."""
        source = {
            "type": "datasource",
            "name": "datasource",
            "label": "Data source",
            "query": "prometheus",
            "current": {},
        }
        others = {"type": "dashboards", "title": "Session storage", "tags": [TAG], "asDropdown": False}
        body = {
            "uid": f"session-storage-{self.name}",
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "timezone": "",
            "links": [{**others, "includeVars": True, "keepTime": True, "targetBlank": False}],
            "templating": {"list": [source, *(variable.json() for variable in self.variables)]},
            "annotations": {"list": [annotation.json() for annotation in self.annotations]},
            "panels": list(self._placed()),
        }
        return json.dumps(body, indent=1) + "\n"

    def _placed(self) -> Iterator[Json]:
        number, top = 1, 0
        for row in self.rows:
            place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
            yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
            number, top, left, tallest = number + 1, top + 1, 0, 0
            for panel in row.panels:
                if left + panel.width > COLUMNS:
                    top, left, tallest = top + tallest, 0, 0
                place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
                yield {"id": number, **panel.json(), "gridPos": place}
                number, left, tallest = number + 1, left + panel.width, max(tallest, panel.height)
            top += tallest
