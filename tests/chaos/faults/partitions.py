"""Somebody cannot be reached any more, by everybody or by some."""

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
"""Twice as long as a lease lasts without its holder."""


@contextmanager
def apart(stand: Stand) -> Iterator[None]:
    """Have the primary on a node that neither the control plane nor the leader is on, or they would be cut off too."""
    primary = stand.have_primary(lambda pod: pod["spec"]["nodeName"] != nodes.CONTROL_PLANE)
    leaders.lead_elsewhere(stand.kube, primary["spec"]["nodeName"])
    yield


def cut_off_node(scene: Scene) -> float:
    """Pull the cable of the primary's node."""
    node = scene.stand.primary()["spec"]["nodeName"]
    struck = now()
    with nodes.unplugged(node):
        hold(CUT_SECONDS)
    return struck


def cut_off_client(scene: Scene) -> float:
    """Drop all packets between the writer and the primary; everybody else goes on talking with both."""
    return _cut_off_primary(scene, [scene.writer.program.address()])


def cut_off_reconcilers(scene: Scene) -> float:
    """Drop all packets between the reconcilers and the primary, which goes on serving its clients and replicas."""
    return _cut_off_primary(scene, [pod["status"]["podIP"] for pod in leaders.pods(scene.stand.kube)])


def _cut_off_primary(scene: Scene, addresses: Sequence[str]) -> float:
    primary = scene.stand.primary()
    rules = nodes.between(addresses, [primary["status"]["podIP"]])
    struck = now()
    with nodes.dropping(primary["spec"]["nodeName"], rules):
        hold(CUT_SECONDS)
    return struck


def cut_off_leader(scene: Scene) -> float:
    """Cut the reconciler that leads off from everybody, the API server included; nothing else happens."""
    leader = leaders.leading(scene.stand.kube)
    struck = now()
    with nodes.dropping(leader["spec"]["nodeName"], nodes.around(leader["status"]["podIP"])):
        hold(LEASE_SECONDS)
    return struck
