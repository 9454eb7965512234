"""Alerts fire on a real cluster when there is a cause, and go when it has ended.

A real Prometheus has the rules that the chart gives to Prometheus' operator, and scrapes both processes and the API
server. The short form is one alert, and takes about 90 s. In the drill every alert has a storage of its own, so that
they go on side by side: about 14 minutes, one and a half of them for seven storages to start. The slowest alerts are
those about the last five minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.demo.storages import KIND
from shared.names import ANNOTATION_FORCE_DELETE
from tests.chaos import leaders, nodes
from tests.chaos.api import NAMESPACE, Api
from tests.chaos.stand import Stand
from tests.e2e.alerts.cuts import Cuts
from tests.e2e.alerts.drills import DRILLS, QUICKEST, Drill, Seen
from tests.e2e.alerts.drills import run as run_drill
from tests.e2e.alerts.site import Site
from tests.e2e.conftest import Run
from tests.e2e.namespaces import ROTATION, STORAGES
from tests.e2e.scraping import watching
from tests.e2e.storages import storage
from tests.support.prometheus_server import Server


@contextmanager
def sites(run: Run, drills: Sequence[Drill]) -> Iterator[dict[str, Site]]:
    """Make a storage for each drill that needs one, all at once; delete other storages to make room."""
    kube, cuts = run.kube, Cuts()
    nodes.undo_leftovers(kube)
    leaders.replace_restarted(kube)
    for namespace in (STORAGES, ROTATION, NAMESPACE):
        kube.run("annotate", KIND, "--all", f"{ANNOTATION_FORCE_DELETE}=true", namespace=namespace)
        kube.run("delete", KIND, "--all", "--cascade=foreground", namespace=namespace)
    sizes = {drill.storage: drill.size.value for drill in drills if drill.size}
    kube.apply(*(storage(name, NAMESPACE, size=size) for name, size in sizes.items()))
    try:
        stands = {drill.storage: Stand(kube, Api(nodes.KUBECONFIG), run.images, drill.storage) for drill in drills}
        for name in sizes:
            stands[name].await_recovered()
        yield {drill.alert: Site(stands[drill.storage], cuts) for drill in drills}
    finally:
        kube.run("delete", KIND, *sizes, "--ignore-not-found", "--cascade=foreground", namespace=NAMESPACE)


def go_through(drills: Sequence[Drill], found: dict[str, Site], server: Server) -> dict[str, Future[Seen]]:
    """Run all drills side by side, but those without a reconciler once nothing has to be known of storages."""
    with ThreadPoolExecutor(len(drills)) as pool:

        def begun(drill: Drill) -> Future[Seen]:
            return pool.submit(run_drill, drill, found[drill.alert], server)

        outcomes = {drill.alert: begun(drill) for drill in drills if not drill.is_last}
        wait([outcomes[drill.alert] for drill in drills if drill.size])
        return outcomes | {drill.alert: begun(drill) for drill in drills if drill.is_last}


@pytest.mark.parametrize(
    "drills", [(QUICKEST,), pytest.param(DRILLS, marks=pytest.mark.drill)], ids=["one alert", "many alerts"]
)
def test_alerts_fire_in_time_and_go_after_their_cause(
    run: Run, drills: Sequence[Drill], tmp_path: Path, figures: list[str]
) -> None:
    with sites(run, drills) as found, watching(run.kube, tmp_path, nodes.KUBECONFIG) as server:
        outcomes = go_through(drills, found, server)
    failures = {alert: each.exception() for alert, each in outcomes.items()}
    seen = [each.result() for alert, each in outcomes.items() if failures[alert] is None]
    figures.extend(map(str, seen))
    assert {alert: str(failure) for alert, failure in failures.items() if failure is not None} == {}
    assert [str(each) for each in seen if each.fired < each.drill.lasts] == []
