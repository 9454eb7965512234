"""Prometheus watches a cluster on which only what is nobody's worry happens: all panels fill, and no alert fires.

A `large` storage is used through ToolHive's proxies; its primary dies, and moves once more by request. That takes about
two minutes. In the drill, storages of all sizes are used for half an hour, in which also all passwords rotate, the
chart is upgraded and Valkey's image changes: 34 minutes, so that an alert that waits for 15 minutes had time to fire.
`tests/integration/dashboards` asks the same queries of a history that is made up, in seconds.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from deploy.demo.errors import NotInTime
from deploy.demo.kube import until
from deploy.demo.storages import KIND
from shared.names import ANNOTATION_FORCE_DELETE
from shared.session_storage.sizes import Size
from tests.chaos import leaders, nodes
from tests.chaos.api import NAMESPACE, Api
from tests.chaos.stand import Stand
from tests.e2e.alerts import quiet
from tests.e2e.conftest import Run
from tests.e2e.namespaces import ROTATION, STORAGES
from tests.e2e.scraping import watching
from tests.support import redis_exporter_dashboard
from tests.support.dashboards import MAY_BE_EMPTY, OF_ROTATIONS, queries
from tests.support.prometheus_server import Server, Window

STEP_SECONDS = 5
"""As often as Prometheus evaluates rules: no moment is left out."""
ANSWER_SECONDS = 120
"""Sessions are counted once a minute, and a rate needs two scrapes."""


@dataclass(frozen=True)
class Plan:
    """How long storages of which sizes are used, and what happens meanwhile."""

    minutes: float
    sizes: Sequence[Size]
    events: Sequence[quiet.Event]


SHORT = Plan(0.25, (Size.LARGE,), (quiet.failover, quiet.switchover))
LONG = Plan(30, tuple(Size), quiet.EVENTS)


@dataclass(frozen=True)
class Seen:
    """What a Prometheus has seen.

    Attributes:
        server: The Prometheus.
        begun: When it began to scrape, in Unix seconds.
        since: When all storages had become ready and were used.
        plan: What has happened since.
        events: The same with the seconds that each took, for people.
    """

    server: Server
    begun: float
    since: float
    plan: Plan
    events: Sequence[str]

    @property
    def window(self) -> Window:
        return Window(self.begun, time.time(), STEP_SECONDS)

    @property
    def well(self) -> Window:
        return Window(self.since, time.time(), STEP_SECONDS)

    def unanswered(self) -> set[str]:
        """Name our queries that have no answer and should have one."""
        excused = MAY_BE_EMPTY.keys() | (set() if quiet.rotation in self.plan.events else OF_ROTATIONS)
        asked = [each for each in queries() if each.name not in excused]
        return {each.name for each in asked if not self.server.answers(each.filled(self._values()), self.window)}

    def answered(self) -> int:
        """Count our queries that have an answer."""
        return sum(self.server.answers(each.filled(self._values()), self.window) for each in queries())

    def alerts(self, state: str) -> dict[str, int]:
        """Name the alerts that were in a state at any moment, each with the seconds that it was."""
        seconds: dict[str, int] = {}
        for series in self.server.series(f'ALERTS{{alertstate="{state}"}}', self.well):
            labels = series["metric"]
            name = f"{labels['alertname']} {labels['severity']} {labels.get('storage', '')}".strip()
            seconds[name] = seconds.get(name, 0) + STEP_SECONDS * len(series["values"])
        return seconds

    def _values(self) -> dict[str, str]:
        return {"namespace": NAMESPACE, "storage": name_of(Size.LARGE), "__rate_interval": "1m", "__range": "10m"}


def name_of(size: Size) -> str:
    return f"quiet-{size}"


@pytest.fixture(
    scope="module",
    params=[SHORT, pytest.param(LONG, marks=pytest.mark.drill)],
    ids=["a failover and a move", "half an hour"],
)
def plan(request: pytest.FixtureRequest) -> Plan:
    chosen: Plan = request.param
    return chosen


@contextlib.contextmanager
def made(run: Run, plan: Plan) -> Iterator[list[Stand]]:
    """Make a storage of each size, with a server and two proxies; delete other storages to make room."""
    for namespace in (STORAGES, ROTATION, NAMESPACE):
        run.kube.run("annotate", KIND, "--all", f"{ANNOTATION_FORCE_DELETE}=true", namespace=namespace)
        run.kube.run("delete", KIND, "--all", "--cascade=foreground", namespace=namespace)
    found = [Stand(run.kube, Api(nodes.KUBECONFIG), run.images, name_of(size)) for size in plan.sizes]
    for stand, size in zip(found, plan.sizes, strict=True):
        stand.make(size)
    yield found
    for stand in found:
        stand.remove()
    if quiet.update in plan.events:
        run.install()


@pytest.fixture(scope="module")
def seen(run: Run, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Let storages come and live under the eyes of a Prometheus that has our rules."""
    nodes.undo_leftovers(run.kube)
    leaders.replace_restarted(run.kube)
    with watching(run.kube, tmp_path_factory.mktemp("prometheus"), nodes.KUBECONFIG) as server:
        begun = time.time()
        with made(run, plan) as stands:
            since = time.time()
            yield Seen(server, begun, since, plan, quiet.live(stands, plan.events, plan.minutes))


def test_every_panel_and_every_line_across_the_graphs_is_filled(seen: Seen, figures: list[str]) -> None:
    with contextlib.suppress(NotInTime):
        until("every query has an answer", lambda: not seen.unanswered(), ANSWER_SECONDS)
    assert seen.unanswered() == set()
    figures.append(f"{seen.answered()} of {len(queries())} queries of our dashboards answered")


def test_redis_exporters_own_dashboard_is_filled(seen: Seen, figures: list[str]) -> None:
    instances = seen.server.label_values("instance", "redis_up", seen.window)
    asked = {
        title: text.replace("$instance", "|".join(instances))
        for title, text in redis_exporter_dashboard.QUERIES.items()
    }
    answered = [title for title, text in asked.items() if seen.server.answers(text, seen.window)]
    figures.append(f"{len(answered)} of {len(asked)} queries of redis_exporter's dashboard answered")
    assert len(answered) >= redis_exporter_dashboard.LEAST, sorted(asked.keys() - set(answered))


def test_nobody_is_woken_while_all_is_well(seen: Seen, figures: list[str]) -> None:
    firing, seconds = seen.alerts("firing"), seen.well.end - seen.since
    figures.append(f"{seconds:.0f} s of load: {', '.join(seen.events)}")
    figures.append(f"pending for s: {seen.alerts('pending') or 'nothing'}; firing: {firing or 'nothing'}")
    assert seconds >= 60 * seen.plan.minutes
    assert firing == {}
