"""A real Prometheus answers every query of our dashboards, and those of redis_exporter's.

It reads two hours that the code's own lines make up. All together takes about twelve seconds.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from deploy.dashboards import DASHBOARDS
from reconciler.failover.candidates import LOST
from tests.integration.dashboards.history import GROWTH, history
from tests.integration.loopback import free_port
from tests.support import prometheus, redis_exporter_dashboard
from tests.support.dashboards import VARIABLE, Asked, queries
from tests.support.prometheus_server import Server, Window, serving

HOURS = 2
VALUES = {"namespace": "team", "storage": "large", "__rate_interval": "2m", "__range": "1h"}
each_query = pytest.mark.parametrize("asked", queries(), ids=lambda asked: asked.name)


@pytest.fixture(scope="module")
def window() -> Window:
    end = time.time() // 60 * 60
    return Window(end - HOURS * 3600, end)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, window: Window) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("prometheus")
    text = directory / "history.txt"
    text.write_text("".join(history(window)))
    promtool = str(prometheus.program("promtool"))
    command = (promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", text, directory / "data")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with serving(directory, free_port(), []) as server:
        yield server


@each_query
def test_a_query_has_an_answer(server: Server, window: Window, asked: Asked) -> None:
    assert server.answers(asked.filled(VALUES), window)


def test_what_the_reader_can_choose_is_what_there_is(server: Server, window: Window) -> None:
    found = {}
    for variable in (each for dashboard in DASHBOARDS for each in dashboard.variables):
        series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable.values).groups()  # type: ignore[union-attr]
        asked = VARIABLE.sub(lambda match: VALUES[match[1]], series)
        found[variable.name] = server.label_values(label, asked, window)
    assert found == {"namespace": {"team"}, "storage": {"large", "small", "theirs"}}


def asked_of(name: str) -> str:
    (asked,) = (each for each in queries() if each.name == name)
    return asked.filled(VALUES)


def points(server: Server, window: Window, name: str) -> list[float]:
    (only,) = server.series(asked_of(name), window)
    return [float(value) for _, value in only["values"]]


def test_the_failover_is_drawn_once_with_its_reason(server: Server, window: Window) -> None:
    (failover,) = server.series(asked_of("storage / annotation / Failovers / 0"), window)
    assert failover["metric"] == {"namespace": "team", "storage": "large", "reason": LOST}
    first, last = failover["values"][0][0], failover["values"][-1][0]
    assert last - first <= 120
    assert abs(first - (window.start + HOURS * 1800)) <= 60


def test_the_primarys_memory_is_one_line_across_a_failover_and_a_change_of_the_leader(
    server: Server, window: Window
) -> None:
    used = points(server, window, "storage / Memory / Memory and forecast / 0")
    assert len(used) == HOURS * 120 + 1
    assert used == sorted(used)
    forecast = points(server, window, "storage / Memory / Memory and forecast / 2")
    assert forecast[-1] == pytest.approx(used[-1] + 4 * 120 * GROWTH["used_memory"], rel=0.01)


def test_no_session_and_no_consumer_counts_twice_when_another_replica_begins_to_lead(
    server: Server, window: Window
) -> None:
    weather = next(
        each["values"]
        for each in server.series(asked_of("storage / Sessions / Sessions by consumer / 0"), window)
        if each["metric"]["consumer"] == "weather"
    )
    assert [float(value) for _, value in weather] == [100 + number for number in range(HOURS * 120 + 1)]
    total = points(server, window, "storage / Now / Live sessions / 0")
    assert total == [143 + number for number in range(HOURS * 120 + 1)]
    rotating = points(server, window, "fleet / Consumers and passwords / Rotations / 0")
    assert set(rotating) == {2}


def test_the_table_of_all_storages_has_a_line_for_each(server: Server, window: Window) -> None:
    found = [each["metric"] for each in server.series(asked_of("fleet / Storages / Storages / 0"), window)]
    lines = {(line["storage"], line["size"], line["phase"]) for line in found}
    assert lines == {("large", "large", "Ready"), ("small", "small", "Ready"), ("theirs", "external", "Ready")}
    assert len(found) == len(lines)


def test_redis_exporters_own_dashboard_is_answered(server: Server, window: Window) -> None:
    (instance, *_) = sorted(server.label_values("instance", "redis_up", window))
    asked = {title: text.replace("$instance", instance) for title, text in redis_exporter_dashboard.QUERIES.items()}
    answered = [title for title, text in asked.items() if server.answers(text, window)]
    assert len(asked) == 19
    assert len(answered) >= redis_exporter_dashboard.LEAST, sorted(asked.keys() - set(answered))
