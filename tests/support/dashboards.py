"""Our dashboards' queries, as Prometheus gets them from Grafana."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deploy.dashboards import DASHBOARDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deploy.dashboards.dashboard import Dashboard

VARIABLE: Final = re.compile(r"\$(\w+)")
_NO_SCHEDULE: Final = "the storage has no spec.rotation"
_NOTHING_WENT_WRONG: Final = "it shows what has happened, and nothing has"
MAY_BE_EMPTY: Final = {
    "storage / Rotation and consumers / Age of the oldest password / 1": _NO_SCHEDULE,
    "fleet / Reconciler / Errors that nobody foresaw / 0": _NOTHING_WENT_WRONG,
    "fleet / Reconciler / Errors that nobody foresaw / 1": _NOTHING_WENT_WRONG,
}
"""Queries that may have no answer on a healthy cluster, by name, each with the reason."""
OF_ROTATIONS: Final = frozenset(
    {"storage / Rotation and consumers / Phase of the rotation / 0", "fleet / Consumers and passwords / Rotations / 0"}
)
"""Queries that have no answer before the first rotation."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of a dashboard.

    Attributes:
        dashboard: Name of the dashboard.
        panel: Title of the row and of the panel, or `annotation` and its name.
        number: The query's place in the panel.
        expression: PromQL, with Grafana's variables.
        legend: Name of its series, with labels of theirs.
    """

    dashboard: str
    panel: str
    number: int
    expression: str
    legend: str

    @property
    def name(self) -> str:
        """The query, for people."""
        return f"{self.dashboard} / {self.panel} / {self.number}"

    def filled(self, values: Mapping[str, str]) -> str:
        """Return the expression with the variables' values, which Grafana would fill in."""
        return VARIABLE.sub(lambda match: values[match[1]], self.expression)


def queries() -> tuple[Asked, ...]:
    """List all queries of all dashboards."""
    return tuple(asked for dashboard in DASHBOARDS for asked in _queries_of(dashboard))


def _queries_of(dashboard: Dashboard) -> Iterator[Asked]:
    for row in dashboard.rows:
        for panel in row.panels:
            for number, query in enumerate(panel.queries):
                yield Asked(dashboard.name, f"{row.title} / {panel.title}", number, query.expression, query.legend)
    for annotation in dashboard.annotations:
        yield Asked(dashboard.name, f"annotation / {annotation.name}", 0, annotation.expression, annotation.title)
