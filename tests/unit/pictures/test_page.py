"""A drawn dashboard shows every panel and every value, and nothing of what it draws is taken for HTML."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from deploy.dashboards import DASHBOARDS
from deploy.dashboards.dashboard import Dashboard
from tests.pictures.charts import Area, Series, graph
from tests.pictures.page import Source, height, page
from tests.pictures.units import shown
from tests.support.prometheus_server import Server, Window

WINDOW = Window(0.0, 60.0, 30.0)
VALUES = {"namespace": "team", "storage": "mine", "__rate_interval": "2m", "__range": "1h"}
LABELS = {"namespace": "team", "storage": "<b>mine</b>", "phase": "Ready", "size": "large", "version": "9.1.2"}
each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)


@dataclass(frozen=True, slots=True)
class Told(Server):
    """A Prometheus that gives every query the same answer."""

    port: int = 0
    labels: dict[str, str] = field(default_factory=lambda: LABELS)

    def series(self, expression: str, window: Window) -> list[dict[str, Any]]:
        own = (
            {name: self.labels[name] for name in ("namespace", "storage")}
            if "version" not in expression
            else self.labels
        )
        return [{"metric": own, "values": [[0.0, "1"], [30.0, "NaN"], [60.0, "0.5"]]}]


@each_dashboard
def test_every_panel_is_drawn_with_its_title(dashboard: Dashboard) -> None:
    drawn = page(dashboard, Source(Told(), WINDOW, VALUES))
    titles = re.findall(r"<h3>(.*?)</h3>", drawn)
    assert titles == [panel.title for panel in dashboard.panels]
    assert "No data" not in drawn
    assert "<b>mine</b>" not in drawn
    assert "http" not in drawn
    assert height(dashboard) > 600


def test_the_table_has_a_line_with_all_values() -> None:
    (fleet,) = (each for each in DASHBOARDS if each.name == "fleet")
    drawn = page(fleet, Source(Told(), WINDOW, VALUES))
    line = re.findall(r"<tr><td>team</td>.*?</tr>", drawn)[0]
    cells = re.findall(r"<td.*?>(.*?)</td>", line)
    assert cells[:5] == ["team", "&lt;b&gt;mine&lt;/b&gt;", "Ready", "large", "9.1.2"]
    assert cells[5] == "50 %"


def test_a_line_has_a_gap_where_there_is_no_number() -> None:
    values = {0.0: 1.0, 30.0: math.nan, 60.0: 2.0, 90.0: 3.0}
    drawn = graph([Series("a", values)], Area(Window(0.0, 90.0), 400, 200), "short")
    assert [line.count(",") for line in re.findall(r'<polyline points="(.*?)"', drawn)] == [1, 2]


def test_parts_of_a_whole_lie_on_top_of_each_other() -> None:
    two = [Series("a", {0.0: 1.0, 30.0: 1.0}), Series("b", {0.0: 2.0, 30.0: 2.0})]
    drawn = graph(two, Area(Window(0.0, 30.0), 400, 200), "short", is_stacked=True)
    first, second = (float(y) for y in re.findall(r'<polyline points="[\d.]+,([\d.]+)', drawn))
    bottom, top = 180.0, 8.0
    assert (bottom - first) / (bottom - top) == pytest.approx(1 / 3, abs=0.01)
    assert second == pytest.approx(top, abs=0.1)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.1234, "percentunit", "12.3 %"),
        (3 * 86400, "s", "3 days"),
        (0.00045, "s", "450 µs"),
        (5 << 20, "bytes", "5 MiB"),
        (2048, "Bps", "2 KiB/s"),
        (17_200, "short", "17.2 K"),
        (0.5, "reqps", "0.5 req/s"),
        (0, "s", "0 s"),
    ],
)
def test_a_value_is_written_with_its_unit(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text
