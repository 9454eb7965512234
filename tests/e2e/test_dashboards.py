"""Our dashboards are filled on a real cluster, after minutes in which a storage failed over and moved under load.

A real Prometheus scrapes both processes meanwhile. The two tests share one storage, and take about 150 s together; the
drill also rotates the passwords, which takes two minutes more. `tests/integration/dashboards` asks the same queries of
a history that is made up, in seconds.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from deploy.demo.errors import NotInTime
from deploy.demo.kube import until
from deploy.demo.storages import KIND
from shared.names import ANNOTATION_ROTATE
from shared.session_storage.sizes import Size
from tests.chaos import leaders, nodes, trials
from tests.chaos.api import NAMESPACE, Api
from tests.chaos.catalogue import BY_NAME
from tests.chaos.stand import Stand
from tests.e2e.conftest import Run
from tests.e2e.scraping import watching
from tests.support import redis_exporter_dashboard
from tests.support.dashboards import MAY_BE_EMPTY, OF_ROTATIONS, queries
from tests.support.prometheus_server import Server, Window

NAME = "seen"
VALUES = {"namespace": NAMESPACE, "storage": NAME, "__rate_interval": "1m", "__range": "10m"}
ROTATION_SECONDS = 300
"""A rotation waits for kubelets, by the chart's default 100 s."""
ANSWER_SECONDS = 120
"""Sessions are counted once a minute, and a rate needs two scrapes."""


@dataclass(frozen=True)
class Seen:
    """A Prometheus that has seen a storage live.

    Attributes:
        server: The Prometheus.
        since: When it began to scrape, in Unix seconds.
        has_rotated: Whether the storage's passwords have rotated.
    """

    server: Server
    since: float
    has_rotated: bool

    @property
    def window(self) -> Window:
        return Window(self.since, time.time(), 5.0)

    def unanswered(self) -> set[str]:
        """Name our queries that have no answer and should have one."""
        excused = MAY_BE_EMPTY.keys() | (set() if self.has_rotated else OF_ROTATIONS)
        asked = [each for each in queries() if each.name not in excused]
        return {each.name for each in asked if not self.server.answers(each.filled(VALUES), self.window)}


@pytest.fixture(
    scope="module", params=[False, pytest.param(True, marks=pytest.mark.drill)], ids=["moved", "and rotated"]
)
def seen(run: Run, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Let a `large` storage live through a failover and a switchover under load, and perhaps through a rotation."""
    directory = tmp_path_factory.mktemp("prometheus")
    stand = Stand(run.kube, Api(nodes.KUBECONFIG), run.images, NAME)
    leaders.await_recovered(run.kube)
    stand.make(Size.LARGE)
    trials.prepare(stand)
    with watching(run.kube, directory, nodes.KUBECONFIG) as server:
        seen = Seen(server, time.time(), request.param)
        for fault in ("sigkill", "switchover"):
            trials.run(BY_NAME[fault], stand, Size.LARGE, random.Random(0))
        if seen.has_rotated:
            rotate(stand)
        yield seen
    stand.remove()


def rotate(stand: Stand) -> None:
    stand.kube.run("annotate", KIND, NAME, f"{ANNOTATION_ROTATE}=drawn", "--overwrite", namespace=NAMESPACE)

    def is_over() -> bool:
        rotation = stand.storage().get("status", {}).get("rotation") or {}
        return rotation.get("phase") == "Discarded"

    until("the passwords have rotated", is_over, ROTATION_SECONDS)


def test_every_panel_and_every_line_across_the_graphs_is_filled(seen: Seen, figures: list[str]) -> None:
    with contextlib.suppress(NotInTime):
        until("every query has an answer", lambda: not seen.unanswered(), ANSWER_SECONDS)
    assert seen.unanswered() == set()
    answered = [each for each in queries() if seen.server.answers(each.filled(VALUES), seen.window)]
    figures.append(f"{len(answered)} of {len(queries())} queries of our dashboards answered")


def test_redis_exporters_own_dashboard_is_filled(seen: Seen, figures: list[str]) -> None:
    instances = seen.server.label_values("instance", "redis_up", seen.window)
    asked = {
        title: text.replace("$instance", "|".join(instances))
        for title, text in redis_exporter_dashboard.QUERIES.items()
    }
    answered = [title for title, text in asked.items() if seen.server.answers(text, seen.window)]
    figures.append(f"{len(answered)} of {len(asked)} queries of redis_exporter's dashboard answered")
    assert len(answered) >= redis_exporter_dashboard.LEAST, sorted(asked.keys() - set(answered))
