"""No alert fires in half an hour of steady load, in which everything is changed that administrators change.

Storages of all three sizes are written to and used through ToolHive's proxies; passwords rotate, primaries move, the
chart is upgraded, and Valkey's image changes. That takes 34 minutes, so that an alert that waits for 15 minutes had
time to fire. In the short form the primary of one storage without proxies moves, which takes about 45 s.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.demo.storages import KIND
from shared.names import ANNOTATION_FORCE_DELETE
from shared.session_storage.sizes import Size
from tests.chaos import leaders, nodes
from tests.chaos.api import Api
from tests.chaos.stand import Stand
from tests.e2e.alerts import quiet
from tests.e2e.conftest import Run
from tests.e2e.namespaces import CHAOS, ROTATION, STORAGES
from tests.e2e.scraping import watching
from tests.e2e.storages import seconds_to_ready, storage
from tests.support.prometheus_server import Server, Window

STEP_SECONDS = 5
"""As often as Prometheus evaluates rules: no moment is left out."""


@dataclass(frozen=True)
class Plan:
    """How long which storages are used, whether through ToolHive's proxies too, and what happens meanwhile."""

    minutes: float
    sizes: Sequence[Size]
    events: Sequence[quiet.Event]
    has_proxies: bool


SHORT = Plan(0.25, (Size.SMALL,), (quiet.switchover,), has_proxies=False)
LONG = Plan(30, tuple(Size), quiet.EVENTS, has_proxies=True)


@pytest.fixture
def stands(run: Run, plan: Plan) -> Iterator[list[Stand]]:
    """Make a storage of each size, perhaps with a server and two proxies; delete other storages to make room."""
    nodes.undo_leftovers(run.kube)
    leaders.replace_restarted(run.kube)
    for namespace in (STORAGES, ROTATION, CHAOS):
        run.kube.run("annotate", KIND, "--all", f"{ANNOTATION_FORCE_DELETE}=true", namespace=namespace)
        run.kube.run("delete", KIND, "--all", "--cascade=foreground", namespace=namespace)
    found = [Stand(run.kube, Api(nodes.KUBECONFIG), run.images, f"quiet-{size}") for size in plan.sizes]
    for stand, size in zip(found, plan.sizes, strict=True):
        if plan.has_proxies:
            stand.make(size)
        else:
            seconds_to_ready(run.kube, storage(stand.name, CHAOS, size=size.value))
            stand.await_recovered()
    yield found
    for stand in found:
        stand.remove()
    if quiet.update in plan.events:
        run.install()


def told(server: Server, state: str, window: Window) -> dict[str, int]:
    """Name the alerts that were in a state at any moment, each with the seconds that it was."""
    seconds: dict[str, int] = {}
    for series in server.series(f'ALERTS{{alertstate="{state}"}}', window):
        labels = series["metric"]
        name = f"{labels['alertname']} {labels['severity']} {labels.get('storage', '')}".strip()
        seconds[name] = seconds.get(name, 0) + STEP_SECONDS * len(series["values"])
    return seconds


@pytest.mark.parametrize(
    "plan", [SHORT, pytest.param(LONG, marks=pytest.mark.drill)], ids=["a switchover", "half an hour"]
)
def test_nobody_is_woken_while_all_is_well(
    run: Run, plan: Plan, stands: list[Stand], tmp_path: Path, figures: list[str]
) -> None:
    with watching(run.kube, tmp_path, nodes.KUBECONFIG) as server:
        begun = time.time()
        events = quiet.live(stands, plan.events, plan.minutes, has_proxies=plan.has_proxies)
        window = Window(begun, time.time(), STEP_SECONDS)
        firing, pending = told(server, "firing", window), told(server, "pending", window)
    figures.append(f"{window.end - window.start:.0f} s of load: {', '.join(events)}")
    figures.append(f"pending for s: {pending or 'nothing'}; firing: {firing or 'nothing'}")
    assert window.end - window.start >= 60 * plan.minutes
    assert firing == {}
