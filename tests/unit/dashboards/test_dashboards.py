"""Every panel says what it shows, and asks for series that the code declares, by labels that they have."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.dashboards import DASHBOARDS, FOLDER
from deploy.dashboards.dashboard import COLUMNS, Dashboard
from deploy.dashboards.panels import Figure, Graph, Panel, Query, Steps
from deploy.dashboards.table import Table
from tests.reference.metrics import declared_series
from tests.support.dashboards import MAY_BE_EMPTY, OF_ROTATIONS, VARIABLE, Asked, queries
from tests.support.promql import parse

GUIDE: Final = (Path(__file__).parents[3] / "docs/howto/dashboards.md").read_text()
DECLARED: Final = declared_series()
OF_TARGETS: Final = frozenset({"pod"})
"""Labels that Prometheus gives to what it scrapes, if it finds pods."""
IN_A_TIME: Final = "(?:rate|increase|max_over_time)"
OF_GRAFANA: Final = frozenset({"__rate_interval", "__range"})
UNITS: Final = frozenset({"none", "short", "percentunit", "bytes", "Bps", "s", "cps", "ops", "reqps"})
"""Names of units that Grafana knows (`packages/grafana-data/src/valueFormats/categories.ts`)."""
each_dashboard: Final = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)
each_query: Final = pytest.mark.parametrize("asked", queries(), ids=lambda asked: asked.name)


def placed(dashboard: Dashboard) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(dashboard.text())["panels"]
    return panels


@each_query
def test_a_query_asks_for_series_that_exist_by_labels_that_they_have(asked: Asked) -> None:
    parsed = parse(asked.expression)
    assert parsed.selectors
    assert [each.name for each in parsed.selectors if each.name not in DECLARED] == []
    assert [each for each in parsed.selectors if not each.matchers.keys() <= DECLARED[each.name]] == []
    every = OF_TARGETS.union(*(DECLARED[each.name] for each in parsed.selectors))
    assert parsed.groupings <= every


@each_query
def test_the_name_of_a_series_says_what_it_is_grouped_by(asked: Asked) -> None:
    counted = set(re.findall(r'count_values\("(\w+)"', asked.expression))
    assert set(re.findall(r"\{\{(\w+)\}\}", asked.legend)) <= parse(asked.expression).groupings | counted


@each_query
def test_a_counter_is_shown_by_what_it_does_in_a_time(asked: Asked) -> None:
    counters = {each.name for each in parse(asked.expression).selectors if re.search(r"_(?:total|bucket)$", each.name)}
    assert [name for name in counters if not re.search(rf"\b{IN_A_TIME}\({name}\b", asked.expression)] == []


@each_query
def test_a_query_has_no_variable_that_its_dashboard_lacks(asked: Asked) -> None:
    (dashboard,) = (each for each in DASHBOARDS if each.name == asked.dashboard)
    own = {variable.name for variable in dashboard.variables}
    assert set(VARIABLE.findall(asked.expression)) <= own | OF_GRAFANA


@each_dashboard
def test_every_panel_has_a_title_a_unit_and_a_description(dashboard: Dashboard) -> None:
    assert len(dashboard.panels) > 10
    for panel in dashboard.panels:
        assert panel.title
        assert panel.queries
        assert panel.unit in UNITS, panel.title
        assert panel.description.endswith("."), panel.title
        assert len(panel.description) > len(panel.title) + 10, panel.title


@each_dashboard
def test_no_row_has_two_panels_of_one_title(dashboard: Dashboard) -> None:
    for row in dashboard.rows:
        assert len({panel.title for panel in row.panels}) == len(row.panels)


@each_dashboard
def test_a_series_of_a_panel_has_a_name_if_there_are_several(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        if len(panel.queries) > 1 and not isinstance(panel, Table):
            assert all(query.legend for query in panel.queries), panel.title


@each_dashboard
def test_the_values_to_choose_from_are_labels_of_series_that_exist(dashboard: Dashboard) -> None:
    for variable in dashboard.variables:
        series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable.values).groups()  # type: ignore[union-attr]
        (selector,) = parse(series).selectors
        assert {label, *selector.matchers} <= DECLARED[selector.name]


def test_the_queries_that_may_be_empty_are_some_that_there_are() -> None:
    assert MAY_BE_EMPTY.keys() | OF_ROTATIONS < {each.name for each in queries()}


def test_the_guide_says_of_each_panel_that_may_be_empty_why_and_of_none_that_does_not_exist() -> None:
    _, _, table = GUIDE.partition('## If a panel says "No data"')
    told = {
        name for cell in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) for name in re.findall(r"\*([^*]+)\*", cell)
    }
    panels = {panel.title for dashboard in DASHBOARDS for panel in dashboard.panels}
    others = {row.title.partition(" (")[0] for each in DASHBOARDS for row in each.rows} | {
        query.legend for dashboard in DASHBOARDS for panel in dashboard.panels for query in panel.queries
    }
    assert told - {"fleet", "one storage"} <= panels | others
    assert {name.split(" / ")[2] for name in MAY_BE_EMPTY.keys() | OF_ROTATIONS} <= told


@each_dashboard
def test_panels_lie_side_by_side(dashboard: Dashboard) -> None:
    places = [panel["gridPos"] for panel in placed(dashboard)]
    assert all(place["x"] + place["w"] <= COLUMNS for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above
    numbers = [panel["id"] for panel in placed(dashboard)]
    assert len(set(numbers)) == len(numbers)


@each_dashboard
def test_a_dashboard_asks_the_data_source_that_the_reader_chose(dashboard: Dashboard) -> None:
    body = json.loads(dashboard.text())
    named = re.findall(r'"uid": "([^"]+)"', json.dumps([body["panels"], body["templating"], body["annotations"]]))
    assert set(named) == {"${datasource}"}
    assert body["templating"]["list"][0]["name"] == "datasource"


def test_dashboards_have_addresses_of_their_own_and_the_fleets_table_leads_to_one_that_exists() -> None:
    addresses = [json.loads(dashboard.text())["uid"] for dashboard in DASHBOARDS]
    assert len(set(addresses)) == len(DASHBOARDS)
    (table,) = (panel for dashboard in DASHBOARDS for panel in dashboard.panels if isinstance(panel, Table))
    assert re.match(r"/d/([\w-]+)\?", table.link)[1] in addresses  # type: ignore[index]
    assert table.linked in table.labels
    (first, *_) = table.columns
    assert set(table.labels) <= parse(first.expression).groupings


def test_failovers_and_planned_moves_are_drawn_across_all_graphs_of_storages() -> None:
    drawn = {each.name: [annotation.name for annotation in each.annotations] for each in DASHBOARDS}
    assert drawn["fleet"] == drawn["storage"] == ["Failovers", "Planned moves"]


def test_the_charts_files_are_up_to_date() -> None:
    written = {file.name: file.read_text() for file in FOLDER.iterdir()}
    assert written == {f"{each.name}.json": each.text() for each in DASHBOARDS}, (
        "run `make generate`, commit the result"
    )


def graph(**fields: Any) -> dict[str, Any]:
    return Graph(
        title="t", description="d.", unit="s", queries=(Query("a"), Query("b", "{{c}}", is_limit=True)), **fields
    ).json()


def test_a_limit_is_a_dashed_line_that_no_sum_contains() -> None:
    (override,) = graph(is_stacked=True)["fieldConfig"]["overrides"]
    assert override["matcher"] == {"id": "byFrameRefID", "options": "B"}
    changed = {each["id"]: each["value"] for each in override["properties"]}
    assert changed["custom.lineStyle"]["fill"] == "dash"
    assert changed["custom.stacking"]["mode"] == "none"


def test_a_figure_asks_for_the_latest_value_and_a_graph_for_all() -> None:
    figure: Panel = Figure(
        title="t", description="d.", unit="s", queries=(Query("a"),), steps=Steps("red", ((1, "green"),))
    )
    (latest,) = figure.json()["targets"]
    assert latest["instant"]
    assert "range" not in latest
    assert all(target["range"] for target in graph()["targets"])
    assert figure.json()["fieldConfig"]["defaults"]["thresholds"]["steps"] == [
        {"color": "red", "value": None},
        {"color": "green", "value": 1},
    ]
