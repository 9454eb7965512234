"""Panels of a dashboard, in Grafana's words, and the JSON that Grafana reads (schema 39, which Grafana 11 wrote).

Later releases of Grafana migrate older JSON by themselves, and earlier ones, from 10 on, ignore what they do not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, ClassVar, Final, TypeAlias

Json: TypeAlias = dict[str, Any]
DATASOURCE: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}
INTERVAL: Final = "30s"
"""Least distance of two points: the reconciler looks at a storage twice a minute. Grafana makes `$__rate_interval` at
least four times as long."""
GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "#8e8e8e"


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel.

    Attributes:
        expression: PromQL, with Grafana's variables.
        legend: Name of its series; `{{label}}` stands for the value of a label.
        is_limit: Whether a graph draws it as a dashed line, as a limit or a forecast that others are compared with.
    """

    expression: str
    legend: str = ""
    is_limit: bool = False


@dataclass(frozen=True, slots=True)
class Steps:
    """Colours of a figure by its value: `below` until the first bound, then the colour of the highest bound reached."""

    below: str
    bounds: tuple[tuple[float, str], ...] = ()

    def json(self) -> Json:
        """Return them as Grafana's thresholds."""
        steps: list[Json] = [{"color": self.below, "value": None}]
        steps += [{"color": color, "value": value} for value, color in self.bounds]
        return {"mode": "absolute", "steps": steps}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """What all panels have.

    Attributes:
        title: Its heading.
        description: What it shows and what to think of it; Grafana shows that on demand.
        unit: Grafana's name of the values' unit.
        queries: What it shows.
        width: In columns; a dashboard has 24.
        height: In rows of about 30 pixels.
    """

    kind: ClassVar[str]
    asks: ClassVar[Json] = {"range": True}
    """What Grafana asks Prometheus for: values over time, or the latest."""
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    width: int = 8
    height: int = 8

    def json(self) -> Json:
        """Return the panel, without its place."""
        body: Json = {
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "interval": INTERVAL,
            "targets": [
                self._target(query, letter) for query, letter in zip(self.queries, ascii_uppercase, strict=False)
            ],
            "fieldConfig": {"defaults": {"unit": self.unit, **self._defaults()}, "overrides": self._overrides()},
            "options": self._options(),
        }
        if transformations := self._transformations():
            body["transformations"] = transformations
        return body

    def _target(self, query: Query, letter: str) -> Json:
        return {
            "refId": letter,
            "datasource": DATASOURCE,
            "expr": query.expression,
            "legendFormat": query.legend or "__auto",
            **self.asks,
        }

    def _defaults(self) -> Json:
        return {}

    def _overrides(self) -> list[Json]:
        return []

    def _options(self) -> Json:
        return {}

    def _transformations(self) -> list[Json]:
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph(Panel):
    """Values over time.

    Attributes:
        is_stacked: Whether series are drawn on top of each other, as parts of a whole.
        highest: Upper end of the axis; None lets Grafana choose.
    """

    kind: ClassVar[str] = "timeseries"
    is_stacked: bool = False
    highest: float | None = None

    def _defaults(self) -> Json:
        custom: Json = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 30 if self.is_stacked else 10,
            "showPoints": "auto",
            "stacking": {"mode": "normal" if self.is_stacked else "none", "group": "A"},
        }
        return {"min": 0, "custom": custom} | ({} if self.highest is None else {"max": self.highest})

    def _overrides(self) -> list[Json]:
        dashed = [
            {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 8]}},
            {"id": "custom.fillOpacity", "value": 0},
            {"id": "custom.stacking", "value": {"mode": "none", "group": "A"}},
        ]
        return [
            {"matcher": {"id": "byFrameRefID", "options": letter}, "properties": dashed}
            for query, letter in zip(self.queries, ascii_uppercase, strict=False)
            if query.is_limit
        ]

    def _options(self) -> Json:
        return {
            "legend": {
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
                "calcs": ["lastNotNull", "max"],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure(Panel):
    """The latest value, in large print.

    Attributes:
        steps: Its colours.
        shows_name: Whether the name of the series is what it says, and not the value.
    """

    kind: ClassVar[str] = "stat"
    asks: ClassVar[Json] = {"instant": True}
    steps: Steps = Steps(BLUE)
    shows_name: bool = False
    width: int = 3
    height: int = 4

    def _defaults(self) -> Json:
        return {"color": {"mode": "thresholds"}, "thresholds": self.steps.json()}

    def _options(self) -> Json:
        reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {"textMode": "name" if self.shows_name else "auto", "graphMode": "none", "reduceOptions": reduced}


@dataclass(frozen=True, slots=True, kw_only=True)
class States(Panel):
    """What was so at which time: a bar for each series while its value is 1.

    Attributes:
        color: Colour of the bars.
    """

    kind: ClassVar[str] = "state-timeline"
    unit: str = "none"
    color: str = BLUE

    def _defaults(self) -> Json:
        texts = {"0": {"text": "no", "color": GREY, "index": 0}, "1": {"text": "yes", "color": self.color, "index": 1}}
        return {"mappings": [{"type": "value", "options": texts}], "custom": {"fillOpacity": 70, "lineWidth": 0}}

    def _options(self) -> Json:
        return {"showValue": "never", "mergeValues": True, "rowHeight": 0.8, "legend": {"showLegend": False}}
