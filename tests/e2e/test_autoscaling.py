"""The proposal's scaling story: proxies are added and removed with the load, and every session goes on.

ToolHive's operator and its proxies are real. In the short form a person sets the number; it takes some 100 s. The drill
takes some six minutes: Kubernetes' autoscaler goes by metrics-server from two proxies to ten and back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from deploy.demo import samples
from deploy.demo.kube import Kube, Object, until
from deploy.demo.proxies import Proxies, is_ready
from deploy.local import metrics
from deploy.local.home import Cluster
from tests.e2e import clients
from tests.e2e.conftest import Run
from tests.e2e.namespaces import AUTOSCALING
from tests.e2e.storages import read

Ask: TypeAlias = Callable[[int], None]
"""Sees to it that there will be so many proxies."""

SAMPLES: Final = samples.SAMPLES / "autoscaling"
PROGRAM: Final = Path(__file__).with_name("rush.py").read_text()
SERVER: Final = "tools"
FEWEST: Final = 2
REQUESTED: Final = "10m"
"""Processor time that a proxy requests here. Users, backend and Valkey share two processors with ten proxies, so these
get about a tenth of one; with the sample's 100m they would have to use seven tenths."""
WINDOW_SECONDS: Final = 60
"""How long the autoscaler waits before it removes proxies; the sample's five minutes would only make this longer."""
FIGURES_SECONDS: Final = 180
"""metrics-server asks every 15 s, and the autoscaler looks every 15 s, at pods that have been ready for a while."""
GROWN_SECONDS: Final = 420
"""The autoscaler adds four proxies, or as many as there are, every 15 s; each was seen to take up to 25 s to start, and
several at a time on two processors take longer."""
SHRUNK_SECONDS: Final = 360
LOAD: Final = "rush"


@pytest.fixture(scope="module")
def proxies(run: Run) -> Proxies:
    """Apply the sample of a server, and return its proxies, whose number it leaves to others."""
    run.kube.apply(*map(placed, samples.load(SAMPLES / "server.yaml", run.images)))
    return Proxies(run.kube, SERVER, AUTOSCALING)


def placed(obj: Object) -> Object:
    """Put a sample into the test's namespace, and make it fit a small machine and a short test."""
    spec = dict(obj["spec"])
    if obj["kind"] == "SessionStorage":
        spec |= {"size": "medium"}
    elif obj["kind"] == "MCPServer":
        spec |= {"resources": {"requests": {"cpu": REQUESTED, "memory": "64Mi"}}}
    else:
        spec |= {"behavior": {"scaleDown": {"stabilizationWindowSeconds": WINDOW_SECONDS}}}
    return {**obj, "metadata": {**obj["metadata"], "namespace": AUTOSCALING}, "spec": spec}


@contextmanager
def by_hand(run: Run) -> Iterator[Ask]:
    """Scale as a person does, or any autoscaler."""

    def scale(count: int) -> None:
        run.kube.run("scale", "deployment", SERVER, f"--replicas={count}", namespace=AUTOSCALING)

    yield scale


@contextmanager
def by_autoscaler(run: Run) -> Iterator[Ask]:
    """Leave it to the sample's autoscaler, which finds out by itself how many proxies there should be."""
    with processor_time(run.kube):
        run.kube.apply(*map(placed, samples.load(SAMPLES / "hpa-cpu.yaml", run.images)))
        try:
            run.kube.await_condition(f"hpa/{SERVER}", "condition=ScalingActive", AUTOSCALING, FIGURES_SECONDS)
            yield lambda _: None
        finally:
            run.kube.run("delete", "hpa", SERVER, namespace=AUTOSCALING)


def processor_time(kube: Kube) -> AbstractContextManager[None]:
    """Have the cluster tell what pods use: by metrics-server of its own, or else by ours on the local cluster."""
    complaint = kube.refusal("get", "--raw", f"/apis/{metrics.GROUP_VERSION}")
    assert kube.is_local or not complaint, f"the cluster needs metrics-server: {complaint}"
    return metrics.served(Cluster.of_this_cache()) if complaint else nullcontext()


@dataclass(frozen=True)
class Rush:
    """A pod with users of the server, who hurry until they are told that the rush is over."""

    kube: Kube

    def start(self, run: Run) -> None:
        pod = clients.client(LOAD, AUTOSCALING, run.images)
        pod["metadata"]["labels"] = {}
        host = {"MCP_HOST": f"mcp-{SERVER}-proxy.{AUTOSCALING}.svc:8080"}
        self.kube.apply(clients.program(pod, run.images, ["python", "-c", PROGRAM], host))
        until("the rush has begun", lambda: self.tally().get("calls", 0) > 100, 120)

    def calm_down(self) -> None:
        self.kube.run("exec", LOAD, "--", "sh", "-c", "kill -USR1 1", namespace=AUTOSCALING)

    def end(self) -> dict[str, Any]:
        """Have each user make a last call, end the pod, and return its results."""
        clients.end(self.kube, LOAD, AUTOSCALING, self._phase)
        return self.tally()

    def tally(self) -> dict[str, Any]:
        if self._phase() in {"", "Pending"}:
            return {}
        line = self.kube.run("logs", LOAD, "--tail=1", namespace=AUTOSCALING).strip()
        tally: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
        return tally

    def _phase(self) -> str:
        pod = self.kube.get("pod", LOAD, AUTOSCALING)
        return pod["status"].get("phase", "") if pod is not None else ""


@contextmanager
def rushing(run: Run) -> Iterator[Rush]:
    """Have users hurry; the pod goes at the end of the block, however that comes."""
    rush = Rush(run.kube)
    rush.start(run)
    try:
        yield rush
    finally:
        run.kube.run("delete", "pod", LOAD, "--ignore-not-found", namespace=AUTOSCALING)


def await_ready(proxies: Proxies, count: int, seconds: float) -> float:
    """Wait until there are so many proxies, all ready, and return after how many seconds."""
    begun = time.monotonic()

    def are_there() -> bool:
        pods = proxies.pods()
        return len(pods) == count and all(map(is_ready, pods))

    until(f"{count} proxies of {SERVER}", are_there, seconds)
    return time.monotonic() - begun


@pytest.mark.parametrize(
    ("scaled_by", "most"),
    [pytest.param(by_hand, 4, id="by hand"), pytest.param(by_autoscaler, 10, id="by load", marks=pytest.mark.drill)],
)
def test_proxies_are_added_and_removed_with_the_load_and_every_session_goes_on(
    run: Run,
    proxies: Proxies,
    scaled_by: Callable[[Run], AbstractContextManager[Ask]],
    most: int,
    figures: list[str],
) -> None:
    proxies.await_ready(1)
    with scaled_by(run) as ask:
        ask(FEWEST)
        session, count = proxies.open_session(proxies.await_ready(FEWEST)[0])
        assert count == 1
        with rushing(run) as rush:
            ask(most)
            grown = await_ready(proxies, most, GROWN_SECONDS)
            # Each of them finds a session that was opened before there were most of them.
            assert [proxies.count(pod, session) for pod in proxies.await_ready(most)] == [*range(2, most + 2)]
            rush.calm_down()
            ask(FEWEST)
            shrunk = await_ready(proxies, FEWEST, SHRUNK_SECONDS)
            assert [proxies.count(pod, session) for pod in proxies.await_ready(FEWEST)] == [most + 2, most + 3]
            tally = rush.end()

    assert "replicas" not in read(run.kube, "mcpservers", SERVER, AUTOSCALING)["spec"]
    assert tally["lost"] == 0, tally["said"]
    assert tally["calls"] > tally["sessions"] > 0
    figures += [
        f"from {FEWEST} proxies to {most} in {grown:.0f} s of load, and back in {shrunk:.0f} s",
        f"{tally['sessions']} sessions, {tally['calls']} calls: none lost, {tally['again']} made again",
    ]
