"""Alerts fire on a real cluster when there is a cause, and go when it has ended.

A real Prometheus has the rules that the chart gives to Prometheus' operator, and scrapes both processes and the API
server. Every alert has a storage of its own, so that the drills go on side by side; all together take about 14 minutes,
one and a half of them for seven storages to start. The slowest are the alerts about the last five minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeAlias

import pytest

from deploy.demo.storages import KIND
from shared.names import ANNOTATION_FORCE_DELETE
from tests.chaos import leaders, nodes
from tests.chaos.api import NAMESPACE, Api
from tests.chaos.stand import Stand
from tests.e2e.alerts.cuts import Cuts
from tests.e2e.alerts.drills import BESIDE, DRILLS, LAST, ON_STORAGES, Drill, Seen
from tests.e2e.alerts.drills import run as run_drill
from tests.e2e.alerts.site import Site
from tests.e2e.conftest import Run
from tests.e2e.namespaces import ROTATION, STORAGES
from tests.e2e.scraping import watching
from tests.e2e.storages import storage

Outcomes: TypeAlias = dict[str, Future[Seen]]


@pytest.fixture(scope="module")
def sites(run: Run) -> Iterator[dict[str, Site]]:
    """Make a storage for each drill that needs one, all at once; delete other storages to make room."""
    kube, cuts = run.kube, Cuts()
    nodes.undo_leftovers(kube)
    leaders.await_recovered(kube)
    for namespace in (STORAGES, ROTATION, NAMESPACE):
        kube.run("annotate", KIND, "--all", f"{ANNOTATION_FORCE_DELETE}=true", namespace=namespace)
        kube.run("delete", KIND, "--all", "--cascade=foreground", namespace=namespace)
    sizes = {drill.storage: drill.size.value for drill in DRILLS if drill.size}
    kube.apply(*(storage(name, NAMESPACE, size=size) for name, size in sizes.items()))
    found = {drill.alert: Site(Stand(kube, Api(nodes.KUBECONFIG), run.images, drill.storage), cuts) for drill in DRILLS}
    for drill in ON_STORAGES:
        found[drill.alert].stand.await_recovered()
    yield found
    kube.run("delete", KIND, *sizes, "--ignore-not-found", "--cascade=foreground", namespace=NAMESPACE)


@pytest.fixture(scope="module")
def outcomes(run: Run, sites: dict[str, Site], tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Go through all drills: those on storages side by side, and the one without a reconciler after them."""
    directory = tmp_path_factory.mktemp("prometheus")
    with watching(run.kube, directory, nodes.KUBECONFIG) as server, ThreadPoolExecutor(len(DRILLS)) as pool:

        def begun(drill: Drill) -> Future[Seen]:
            return pool.submit(run_drill, drill, sites[drill.alert], server)

        found = {drill.alert: begun(drill) for drill in (*ON_STORAGES, BESIDE)}
        wait([found[drill.alert] for drill in ON_STORAGES])
        found[LAST.alert] = begun(LAST)
        wait(found.values())
    return found


@pytest.mark.drill
@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.alert)
def test_an_alert_fires_in_time_and_goes_after_its_cause(outcomes: Outcomes, drill: Drill, figures: list[str]) -> None:
    seen = outcomes[drill.alert].result()
    figures.append(str(seen))
    assert seen.fired >= drill.lasts
