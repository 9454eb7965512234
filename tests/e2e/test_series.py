"""Series of a storage come and go with it, and are back soon after the leader has died, in a real Prometheus.

It takes about 45 s. In the drill, leaders end in two more ways, which takes a minute more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from deploy.demo.installation import NAMESPACE as OWN_NAMESPACE
from deploy.demo.kube import Kube, Object, until
from deploy.demo.storages import KIND
from reconciler.runtime.leader_election import LEASE_DURATION_SECONDS
from tests.chaos import leaders, nodes, processes
from tests.e2e.conftest import Run
from tests.e2e.namespaces import STORAGES
from tests.e2e.scraping import watching
from tests.e2e.storages import seconds_to_ready, storage
from tests.support.prometheus_server import Server

NAME: Final = "counted"
OF_STORAGE: Final = f'namespace="{STORAGES}",storage="{NAME}"'
SCRAPED: Final = f'count({{{OF_STORAGE},__name__!~"session_storage:.*|ALERTS.*"}})'
"""Not what Prometheus records itself: an average over an hour lasts for an hour."""
COME_SECONDS: Final = 30
GONE_SECONDS: Final = 300
BACK_SECONDS: Final = 15


@pytest.fixture(scope="module")
def server(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    leaders.replace_restarted(run.kube)
    with watching(run.kube, tmp_path_factory.mktemp("prometheus"), nodes.KUBECONFIG) as server:
        yield server


@pytest.fixture(scope="module")
def counted(run: Run, server: Server) -> float:
    """Make a storage, and return the seconds from its Ready to its series."""
    seconds_to_ready(run.kube, storage(NAME, STORAGES, size="small"))
    ready = time.monotonic()
    until("the storage has series", lambda: server.instant(SCRAPED), 2 * COME_SECONDS)
    return time.monotonic() - ready


def test_a_new_storage_has_series_soon(counted: float, figures: list[str]) -> None:
    figures.append(f"a storage's series are in Prometheus {counted:.0f} s after Ready")
    assert counted <= COME_SECONDS


def kill_process(_: Kube, leader: Object) -> None:
    """Its container starts again, and still holds the lease."""
    processes.kill(processes.of_pod(leader))


def delete(kube: Kube, leader: Object) -> None:
    """It gives its lease back as it ends."""
    kube.run("delete", "pod", leader["metadata"]["name"], "--wait=false", namespace=OWN_NAMESPACE)


def delete_by_force(kube: Kube, leader: Object) -> None:
    """It cannot give its lease back: its token is void as soon as its pod is gone. So the lease has to expire."""
    options = ("--force", "--grace-period=0", "--wait=false")
    kube.run("delete", "pod", leader["metadata"]["name"], *options, namespace=OWN_NAMESPACE)


@pytest.mark.parametrize(
    ("end", "seconds"),
    [
        pytest.param(kill_process, BACK_SECONDS, id="process killed"),
        pytest.param(delete, BACK_SECONDS, id="pod deleted", marks=pytest.mark.drill),
        pytest.param(
            delete_by_force,
            LEASE_DURATION_SECONDS + BACK_SECONDS,
            id="pod deleted by force",
            marks=pytest.mark.drill,
        ),
    ],
)
@pytest.mark.usefixtures("counted")
def test_series_are_back_soon_after_the_leader_has_ended(
    run: Run, server: Server, end: Callable[[Kube, Object], None], seconds: float, figures: list[str]
) -> None:
    leader = leaders.leading(run.kube)
    # Who ends in order may still answer; whose process is killed does not, and starts again under the same name.
    others = "" if end is kill_process else f',instance!="{leader["metadata"]["name"]}"'
    ended = time.time()
    end(run.kube, leader)
    scraped = f"timestamp(session_storage_info{{{OF_STORAGE}{others}}}) > {time.time() if not others else ended}"
    (back,) = until("the series are back", lambda: server.instant(scraped), 2 * seconds)[:1]
    figures.append(f"leader, {end.__name__.replace('_', ' ')}: series are back after {back - ended:.1f} s")
    leaders.replace_restarted(run.kube)
    assert back - ended <= seconds


@pytest.mark.usefixtures("counted")
def test_a_deleted_storage_has_no_series(run: Run, server: Server, figures: list[str]) -> None:
    run.kube.run("delete", KIND, NAME, "--cascade=foreground", namespace=STORAGES)
    deleted = time.monotonic()
    until("the storage has no series", lambda: not server.instant(SCRAPED), GONE_SECONDS)
    figures.append(f"a storage's series are gone {time.monotonic() - deleted:.0f} s after it")
