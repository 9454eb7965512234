"""Faults of the network: a node, the primary or the leading reconciler is cut off from some or all others."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tests.chaos import leaders, nodes
from tests.chaos.faults.fault import hold, now

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.chaos.faults.fault import Scene
    from tests.chaos.stand import Stand

CUT_SECONDS: Final = 20
LEASE_SECONDS: Final = 30
"""Twice the duration of the leader's lease."""


@contextmanager
def separate_primary(stand: Stand) -> Iterator[None]:
    """Give the primary a node that has neither the control plane, the leading reconciler nor a DNS server.

    Otherwise the fault would cut them off together. A client that resolves a name through a DNS server which is cut off
    waits 5 s for the next one, however soon the storage is back.
    """
    kube = stand.kube
    if not nodes.alone(kube):
        nodes.resolve_elsewhere(kube, nodes.WORKERS[0])
    primary = stand.have_primary(lambda pod: pod["spec"]["nodeName"] in nodes.alone(kube))
    leaders.lead_elsewhere(kube, primary["spec"]["nodeName"])
    yield


def cut_off_node(scene: Scene) -> float:
    """Take the link of the primary's node down for a time."""
    node = scene.stand.primary()["spec"]["nodeName"]
    struck = now()
    with nodes.unplugged(node):
        hold(CUT_SECONDS)
    return struck


def cut_off_client(scene: Scene) -> float:
    """Drop all packets between the writers and the primary; everybody else still reaches both."""
    return _cut_off_primary(scene, scene.writers.addresses())


def cut_off_reconcilers(scene: Scene) -> float:
    """Drop all packets between the reconcilers and the primary, which still serves its clients and replicas."""
    return _cut_off_primary(scene, [pod["status"]["podIP"] for pod in leaders.pods(scene.stand.kube)])


def _cut_off_primary(scene: Scene, addresses: Sequence[str]) -> float:
    primary = scene.stand.primary()
    rules = nodes.drops_between(addresses, [primary["status"]["podIP"]])
    struck = now()
    with nodes.dropping(primary["spec"]["nodeName"], rules):
        hold(CUT_SECONDS)
    return struck


def cut_off_leader(scene: Scene) -> float:
    """Cut the leading reconciler off from everybody, the API server included; nothing else happens."""
    leader = leaders.leading(scene.stand.kube)
    struck = now()
    with nodes.dropping(leader["spec"]["nodeName"], nodes.drops_around(leader["status"]["podIP"])):
        hold(LEASE_SECONDS)
    return struck
