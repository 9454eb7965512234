"""The table among a dashboard's panels: each of its columns is a query of its own."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING, ClassVar

from deploy.dashboards.panels import Json, Panel, Query, Steps

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table that one query fills.

    Attributes:
        title: Its heading; empty for a query of which only labels are shown.
        unit: Grafana's name of the unit.
        expression: PromQL.
        steps: Colours of its cells.
    """

    title: str
    unit: str
    expression: str
    steps: Steps | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Panel):
    """One line for each combination of labels that all columns have.

    Attributes:
        columns: Columns with values.
        labels: Labels that are columns too; they come first, in this order.
        link: Where a click on the last of `labels` leads.
        linked: That label.
    """

    kind: ClassVar[str] = "table"
    asks: ClassVar[Json] = {"instant": True, "format": "table"}
    unit: str = "none"
    queries: tuple[Query, ...] = ()
    columns: tuple[Column, ...] = ()
    labels: tuple[str, ...] = ()
    linked: str = ""
    link: str = ""
    width: int = 24
    height: int = 12

    def __post_init__(self) -> None:
        object.__setattr__(self, "queries", tuple(Query(column.expression) for column in self.columns))

    def _overrides(self) -> list[Json]:
        found = [_named(self.linked, {"id": "links", "value": [{"title": "Open the storage", "url": self.link}]})]
        for column in self.columns:
            if column.title:
                found.append(_named(column.title, {"id": "unit", "value": column.unit}))
            if column.steps is not None:
                cell = {"id": "custom.cellOptions", "value": {"type": "color-text"}}
                found.append(_named(column.title, {"id": "thresholds", "value": column.steps.json()}, cell))
        return found

    def _options(self) -> Json:
        return {"showHeader": True, "cellHeight": "sm", "sortBy": [{"displayName": label} for label in self.labels[:2]]}

    def _transformations(self) -> list[Json]:
        values = {f"Value #{letter}": each.title for each, letter in zip(self.columns, ascii_uppercase, strict=False)}
        shown: Sequence[str] = [*self.labels, *(name for name, title in values.items() if title)]
        organize = {
            "excludeByName": {"Time": True, **{name: True for name, title in values.items() if not title}},
            "indexByName": {name: place for place, name in enumerate(shown)},
            "renameByName": {name: title for name, title in values.items() if title},
        }
        return [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]


def _named(field: str, *properties: Json) -> Json:
    return {"matcher": {"id": "byName", "options": field}, "properties": list(properties)}
